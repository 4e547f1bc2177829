import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stillHad, whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { judgeIssues } from '../../../src/activities/check-health/issues.ts';
import type { HostConfig } from '../../../src/config.ts';
import { recentIssues } from '../../../src/hosts/commands/check-health/recent-issues.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { Hosts } from '../../../src/hosts/host.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { configOf, everyKind, log, makeBare } from '../install/sample.ts';

describe.skipIf(whyNoLab()).each(await stillHad(everyKind))('what is counted on $name', ({ name, ...kind }) => {
  let lab: LabHost;
  let hosts: Hosts;
  let config: HostConfig;
  beforeAll(async () => {
    lab = await startLabHost(kind);
    await makeBare(lab);
    config = configOf(lab);
    await install(config, { login: lab.admin, log, agree: async () => true });
    expect(await checkInstallation(config, { login: lab.admin, log })).toEqual([]);
    hosts = createHosts({
      hosts: [config],
      executorFor: ({ name: at, ssh }) => createSshExecutor({ name: at, ssh: ssh ?? lab.ssh, log }),
    });
  }, startTimeoutMs);
  afterAll(async () => {
    await hosts?.close();
    await lab?.stop();
  });

  const user = 'claude-user';
  const found = async () => {
    const host = hosts.get(lab.name);
    const [blocked, failed, selfTests] = judgeIssues(await host.run(recentIssues, {}), host.config.layout);
    return { blocked, failed, selfTests };
  };
  const logs = () => lab.must(['sh', '-c', 'sleep 1; journalctl --sync']);
  // sudo-rs 0.2.5 refuses without a word in any log.
  const isSilent = 'sudo' in kind;

  it('is nothing after an installation and its check: they ask sudo what it would do', async () => {
    expect(await found()).toMatchObject({ blocked: { verdict: 'ok' }, failed: { verdict: 'ok' } });
  });

  it('is nothing that another program says, whatever it calls itself', async () => {
    const refusal = `${user} : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`;
    const failure = `Failed password for ${user} from 192.0.2.1 port 22 ssh2`;
    for (const as of ['root', user] as const) {
      await lab.must(['logger', '-t', 'sudo', '-p', 'authpriv.alert', refusal], { user: as });
      await lab.must(['logger', '-p', 'auth.info', '-t', 'sshd', failure], { user: as });
      await lab.must(['systemd-cat', '-t', 'sudo', 'echo', refusal], { user: as });
      await lab.must(
        ['sh', '-c', 'cp /usr/bin/logger /tmp/sudo; /tmp/sudo -t sudo -p auth.info "$1"; rm /tmp/sudo', 'sh', refusal],
        { user: as },
      );
    }
    await logs();
    expect(await found()).toMatchObject({ blocked: { verdict: 'ok' }, failed: { verdict: 'ok' } });
  });

  it.skipIf(isSilent)('are our own self-tests apart, where sudo is not asked but tried', async () => {
    await lab.must(['sh', '-c', 'umask 337; echo "Defaults listpw=always" >/etc/sudoers.d/zz-listpw']);
    try {
      expect(await checkInstallation(config, { login: lab.admin, log })).toEqual([]);
    } finally {
      await lab.must(['rm', '/etc/sudoers.d/zz-listpw']);
    }
    await logs();
    const { blocked, selfTests } = await found();
    const seen = JSON.stringify({ blocked, selfTests });
    // Its log may hold lines that callers made.
    if (kind.debian === 'bullseye') return expect(blocked, seen).toMatchObject({ verdict: 'warning' });
    expect(blocked, seen).toMatchObject({ verdict: 'ok' });
    expect(selfTests, seen).toMatchObject({
      verdict: 'ok',
      summary: expect.stringMatching(/^[2-9] refused self-tests/),
    });
  });

  it.skipIf(isSilent)('is a command that hides behind one of them', async () => {
    const before = Number.parseInt((await found()).blocked?.summary ?? '', 10) || 0;
    const folder = '/tmp/x ; USER=root ; COMMAND=/usr/bin/id -u\nNov 22 23:00:01 2026 : claude-user : PWD=';
    for (const argv of [
      ['/bin/sh'],
      ['/bin/sh', ' ; USER=root ; COMMAND=/usr/bin/id -u'],
      ['/bin/cat', '/dev/null\nNov', '/etc/shadow'],
    ]) {
      const script = 'mkdir -p "$1" && cd "$1" && shift && sudo -n -- "$@"';
      const { exitCode } = await lab.exec(['sh', '-c', script, 'sh', folder, ...argv], { user });
      expect(exitCode).not.toBe(0);
    }
    await logs();
    const { blocked } = await found();
    expect(blocked, JSON.stringify(blocked)).toMatchObject({ verdict: 'warning' });
    expect(Number.parseInt(blocked?.summary ?? '', 10)).toBe(before + 3);
  });

  it('is what sudo and sshd say', async () => {
    await lab.exec(['sudo', '-n', '--', '/bin/cat', '/etc/shadow'], { user });
    // The journal doesn't know each sender that has ended by the time it looks.
    await lab.exec([
      'sh',
      '-c',
      `for i in 1 2 3 4 5; do ssh -o BatchMode=yes -o StrictHostKeyChecking=no ${user}@127.0.0.1 true || :; done`,
    ]);
    await logs();
    const { blocked, failed } = await found();
    if (!isSilent) expect(blocked, JSON.stringify(blocked)).toMatchObject({ verdict: 'warning' });
    expect(failed, JSON.stringify(failed)).toMatchObject({ verdict: 'warning' });
  });
});
