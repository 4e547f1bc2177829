import { afterAll, beforeAll, expect, it } from 'vitest';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { type Attempt, corpus, isRefusal, marksScript, trapFiles, trapScript, wordsOf } from './corpus.ts';
import { commands as sample } from './sample.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';
import { whyNoSandbox } from './sandbox/sandbox.ts';

// The shipped table, one command that shows what environment arrives, and one for a guest, whose form it lacks.
const commands = [...table, sample.environment, sample.markGuest];

const its = it.skipIf(whyNoSandbox());

let host: PolicyHost;
beforeAll(async () => {
  if (whyNoSandbox()) return;
  host = await startPolicyHost(commands);
  await prepare();
}, 120_000);
afterAll(() => host?.sandbox.close());

const refused = corpus.filter(({ name }) => name !== 'environment.json');

it('is a corpus of at least 500 attempts', () => {
  expect(refused.reduce((sum, { attempts }) => sum + attempts.length, 0)).toBeGreaterThanOrEqual(500);
});

// Without this the rest would prove nothing: what is denied below must be denied for what it is.
its('allows the legitimate command that the attempts are bent from', async () => {
  expect(await host.sudo('environment')).toMatchObject({ code: 0 });
  expect(await host.sandbox.run({ argv: [host.layout.helper, 'list-backups'] })).toMatchObject({ code: 0 });
});

its('would notice: what sudo allows by mistake leaves a mark', async () => {
  await host.sandbox.write(
    '/etc/sudoers.d/mistake',
    `${host.layout.user} ALL = (root) NOPASSWD: /usr/sbin/qm\n`,
    0o440,
  );
  expect(await attack({ why: 'a mistake', sudo: [], command: ['qm', 'monitor', '100'], env: {} })).not.toBe('');
  expect(await marks()).not.toBe('');
  await host.sandbox.root('rm -f /etc/sudoers.d/mistake; find /canary -mindepth 1 ! -name proof -delete');
});

its.each(refused)(
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

its.each(corpus.filter(({ name }) => name === 'environment.json'))(
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
  const { argv, command } = wordsOf(attempt, host.layout.helper);
  const bySudo = await host.asUser(argv, attempt.env);
  const problems = isRefusal(bySudo) ? [] : [`sudo: ${JSON.stringify({ argv, ...bySudo })}`];
  if (attempt.sudo.length === 0 && attempt.command[0] !== '{legitimate}' && attempt.by !== 'sudo') {
    const args = attempt.command[0] === '{helper}' ? command.slice(1) : command;
    const byHelper = await host.sandbox.run({ argv: [host.layout.helper, ...args] });
    const isRefused =
      isRefusal(byHelper) && /^proxmox-mcp-helper: (refused|fenced-out): [ -~]+\n$/.test(byHelper.stderr);
    if (!isRefused) problems.push(`helper: ${JSON.stringify({ args, ...byHelper })}`);
  }
  return problems.join('\n');
}

/** A folder that only root can write to, and stand-ins for the programs that this machine lacks. */
async function prepare(): Promise<void> {
  for (const [path, content] of trapFiles) await host.sandbox.write(path, content, 0o755);
  await host.sandbox.root(trapScript(host.layout.user));
}

/** '' unless something was executed as root. */
const marks = () => host.sandbox.root(marksScript);

/** What an attempt would have to change to be worth something. */
const fingerprint = () =>
  host.sandbox.root(`
    sha256sum /etc/passwd /etc/shadow /etc/group /etc/sudoers /etc/sudoers.d/* ${host.layout.helper}
    find /etc/sudoers.d /etc/cron.d /etc/systemd /usr/local/libexec; stat -c '%a %U %n' /bin/sh /canary /usr/bin/sudo
    find ${host.layout.state} -type f 2>/dev/null | sort`);
