import { afterAll, beforeAll, expect, it } from 'vitest';
import { table } from '../../src/privileges/table.ts';
import { type Attempt, corpus } from './corpus.ts';
import { sampleEntries } from './sample.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';
import type { Ran } from './sandbox/sandbox.ts';

// The shipped table, and one command that shows what environment arrives.
const entries = { ...table, environment: sampleEntries.environment };

let host: PolicyHost;
beforeAll(async () => {
  host = await startPolicyHost(entries);
  await prepare();
}, 120_000);
afterAll(() => host?.sandbox.close());

const refused = corpus.filter(({ name }) => name !== 'environment.json');

it('is a corpus of at least 500 attempts', () => {
  expect(refused.reduce((sum, { attempts }) => sum + attempts.length, 0)).toBeGreaterThanOrEqual(500);
});

// Without this the rest would prove nothing: what is denied below must be denied for what it is.
it('allows the legitimate command that the attempts are bent from', async () => {
  expect(await host.sudo('environment')).toMatchObject({ code: 0 });
  expect(await host.sandbox.run({ argv: [host.layout.helper, 'list-backups'] })).toMatchObject({ code: 0 });
});

it('would notice: what sudo allows by mistake leaves a mark', async () => {
  await host.sandbox.write(
    '/etc/sudoers.d/mistake',
    `${host.layout.user} ALL = (root) NOPASSWD: /usr/sbin/qm\n`,
    0o440,
  );
  expect(await attack({ why: 'a mistake', sudo: [], command: ['qm', 'monitor', '100'], env: {} })).not.toBe('');
  expect(await marks()).not.toBe('');
  await host.sandbox.root('rm -f /etc/sudoers.d/mistake; find /canary -mindepth 1 ! -name proof -delete');
});

it.each(refused)(
  '$name: each of $attempts.length attempts is refused and leaves no mark',
  async ({ attempts }) => {
    const before = await fingerprint();
    const broken = await Promise.all(attempts.map(attack));
    expect(broken.filter(Boolean)).toEqual([]);
    expect(await marks()).toBe('');
    expect(await fingerprint()).toBe(before);
  },
  300_000,
);

it.each(corpus.filter(({ name }) => name === 'environment.json'))(
  '$name: none of $attempts.length variables arrives',
  async ({ attempts }) => {
    const clean = (await host.sudo('environment')).stdout;
    for (const { env } of attempts) {
      const ran = await host.asUser(['/usr/bin/sudo', '-n', '--', host.layout.helper, 'environment'], env);
      // Refusing is as good as ignoring.
      if (ran.code === 0) expect({ env, stdout: ran.stdout }).toEqual({ env, stdout: clean });
      else expect({ env, stderr: ran.stderr }).toEqual({ env, stderr: expect.stringMatching(/^sudo: /m) });
    }
    expect(await marks()).toBe('');
  },
  300_000,
);

/** Tries it as the service's user through sudo, and on the helper as root, as if sudo had let it pass. */
async function attack(attempt: Attempt): Promise<string> {
  const command = attempt.command.flatMap((word) => {
    if (word === '{legitimate}') return [host.layout.helper, 'environment'];
    return word === '{helper}' ? [host.layout.helper] : [word];
  });
  const argv = ['/usr/bin/sudo', '-n', ...attempt.sudo, ...(command.length > 0 ? ['--', ...command] : [])];
  const bySudo = await host.asUser(argv, attempt.env);
  const problems = isRefusal(bySudo) ? [] : [`sudo: ${JSON.stringify({ argv, ...bySudo })}`];
  if (attempt.sudo.length === 0 && attempt.command[0] !== '{legitimate}' && attempt.by !== 'sudo') {
    const args = attempt.command[0] === '{helper}' ? command.slice(1) : command;
    const byHelper = await host.sandbox.run({ argv: [host.layout.helper, ...args] });
    const isRefused = byHelper.code === 64 && /^proxmox-mcp-helper: refused: [ -~]+\n$/.test(byHelper.stderr);
    if (!isRefused) problems.push(`helper: ${JSON.stringify({ args, ...byHelper })}`);
  }
  return problems.join('\n');
}

/** sudo's own words or the helper's; anything else means that something else was executed. */
function isRefusal({ code, stdout, stderr }: Ran): boolean {
  if (code === 64) return stdout === '' && stderr.startsWith('proxmox-mcp-helper: refused: ');
  // `sudo -l COMMAND` says no by its exit code alone.
  return (
    code === 1 && stdout === '' && (stderr === '' || /^(sudo: |sudoedit: |usage: sudo|Sorry, user )/m.test(stderr))
  );
}

/** A folder that only root can write to, and stand-ins for the programs that this machine lacks. */
async function prepare(): Promise<void> {
  const names = new Set(corpus.flatMap(({ attempts }) => attempts.flatMap(({ command }) => command.slice(0, 1))));
  const words = [...names].filter((name) => /^[A-Za-z0-9._+-]+$/.test(name) && !name.startsWith('.'));
  await host.sandbox.write('/tmp/names', `${words.join('\n')}\nqm\n`);
  await host.sandbox.write('/tmp/stub', '#!/bin/sh\necho "$0 $*" >>/canary/executed\n', 0o755);
  await host.sandbox.root(`
    mkdir -m 0700 /canary; echo proof >/canary/proof
    mkdir -p /tmp/woot/etc; cp /tmp/stub /tmp/evil; cp /tmp/stub /home/${host.layout.user}/helper
    cp /tmp/stub /tmp/helper; ln -s /bin/sh /tmp/link; : >/tmp/x
    sort -u /tmp/names | while read -r name; do
      command -v -- "$name" >/dev/null || cp /tmp/stub "/usr/sbin/$name"
    done
    [ -x /usr/sbin/qm ]`);
}

/** What is in the folder besides its one file: '' unless something was executed as root. */
const marks = () => host.sandbox.root('find /canary -mindepth 1 ! -name proof; grep -vx proof /canary/proof || :');

/** What an attempt would have to change to be worth something. */
const fingerprint = () =>
  host.sandbox.root(`
    sha256sum /etc/passwd /etc/shadow /etc/group /etc/sudoers /etc/sudoers.d/* ${host.layout.helper}
    find /etc/sudoers.d /etc/cron.d /etc/systemd /usr/local/libexec; stat -c '%a %U %n' /bin/sh /canary /usr/bin/sudo
    find ${host.layout.state} -type f 2>/dev/null | sort`);
