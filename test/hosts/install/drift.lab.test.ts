import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import type { Finding } from '../../../src/operations/finding.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { configFolder, configOf, difference, listing, log } from './sample.ts';

const sentence = ({ check, summary }: Finding) => `${check} ${summary}`;

describe.skipIf(whyNoLab())('a host whose user was there before', () => {
  const build = useBuild();
  let host: LabHost;
  let config: HostConfig;
  let folder: string;
  let before: string[];

  beforeAll(async () => {
    host = await startLabHost();
    await host.must(['sudo', '-n', 'true'], { user: 'admin' });
    await host.must([
      'sh',
      '-c',
      'groupadd watchers; usermod -aG watchers,adm claude-user; echo claude-user:x | chpasswd',
    ]);
    config = configOf(host);
    folder = configFolder(host, config);
    before = await listing(host);
    await install(config, options());
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const options = () => ({ login: host.admin, log, agree: async () => true });
  const sh = (script: string) => () => host.must(['sh', '-c', script]);
  const cli = (...args: string[]) =>
    runNode(build.path('src/cli.js'), [
      '--config-dir',
      folder,
      'host',
      ...args,
      '--as',
      'admin',
      '--key',
      host.admin.keyPath,
    ]);

  it('has lost its password, groups and other keys', async () => {
    expect(await host.must(['id', '-Gn', 'claude-user'])).toBe('claude-user\n');
    expect(await host.must(['getent', 'shadow', 'claude-user'])).toMatch(/^claude-user:\*:/);
    expect(await host.readFile('/home/claude-user/.ssh/authorized_keys')).toMatch(
      /^restrict ssh-ed25519 \S+ proxmox-mcp\n$/,
    );
    expect(await checkInstallation(config, options())).toEqual([]);
  });

  const helper = '/usr/local/libexec/proxmox-mcp/helper';
  it.each([
    ['a changed helper', `echo '#' >>${helper}`, /helper has other content/],
    ['a helper that others may write', `chmod 775 ${helper}`, /helper has the mode 775 instead of 755/],
    ['a helper of somebody else', `chown claude-user ${helper}`, /helper belongs to 1001:0 instead of root/],
    ['a changed policy', "echo '# more' >>/etc/sudoers.d/claude-user", /claude-user has other content/],
    ['a policy that is gone', 'rm /etc/sudoers.d/claude-user', /sudoers.d\/claude-user is missing/],
    [
      'another key',
      'echo ssh-rsa AAAA other >>/home/claude-user/.ssh/authorized_keys',
      /authorized_keys has other content/,
    ],
    ['keys that the user can change', 'chown claude-user: /home/claude-user/.ssh', /\.ssh belongs to 1001:1001/],
    ['another shell', 'usermod -s /bin/bash claude-user', /its shell is \/bin\/bash/],
    ['a password', 'echo claude-user:x | chpasswd', /its password is set/],
    ['a group', 'usermod -aG watchers claude-user', /it is in the groups watchers/],
    ['an open state folder', 'chmod 755 /var/lib/proxmox-mcp', /proxmox-mcp has the mode 755 instead of 700/],
    ['open backups', 'chmod 755 /opt/proxmox-mcp-backups', /backups has the mode 755/],
    ['logs that nobody rotates', 'rm /etc/logrotate.d/proxmox-mcp', /logrotate.d\/proxmox-mcp is missing/],
  ])('finds %s, and install mends it', async (_, plant, found) => {
    await sh(plant)();
    const drift = await checkInstallation(config, options());
    expect(drift.map(sentence)).toEqual([expect.stringMatching(found)]);
    expect(drift[0]?.remedy).toContain(`npx proxmox-mcp host install ${config.name}`);
    expect(await install(config, options())).toBe('installed');
    expect(await checkInstallation(config, options())).toEqual([]);
  });

  it.each([
    [
      'other rules',
      sh("echo 'claude-user ALL=(ALL) NOPASSWD: /bin/ls' >/etc/sudoers.d/x"),
      sh('rm /etc/sudoers.d/x'),
      /x has rules for claude-user/,
    ],
    [
      'rules of its group',
      sh("echo '%claude-user ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/zz; chmod 440 /etc/sudoers.d/zz"),
      sh('rm /etc/sudoers.d/zz'),
      /may run .*id/,
    ],
    [
      'an sshd that shuts it out',
      sh('echo DenyUsers claude-user >/etc/ssh/sshd_config.d/x.conf; systemctl restart ssh'),
      sh('rm /etc/ssh/sshd_config.d/x.conf; systemctl restart ssh'),
      /refused the SSH key/,
    ],
    [
      'a parent that others may write',
      sh('chmod 777 /usr/local'),
      sh('chmod 755 /usr/local'),
      /\/usr\/local can be written/,
    ],
    [
      'a key that others may read here',
      () => chmodSync(config.ssh?.keyPath ?? '', 0o644),
      () => chmodSync(config.ssh?.keyPath ?? '', 0o600),
      /may be read by others/,
    ],
  ] as const)('finds %s', async (_, plant, mend, found) => {
    await plant();
    const drift = await checkInstallation(config, options()).finally(() => mend());
    expect(drift.map(sentence).join('\n')).toMatch(found);
    expect(await checkInstallation(config, options())).toEqual([]);
  });

  it('is checked, and asked about, by the command line', async () => {
    expect(await cli('check', 'lab')).toMatchObject({ code: 0, stdout: 'lab is as it should be.\n' });
    await host.must(['chmod', '700', helper]);
    const drifted = await cli('check', 'lab', '--json');
    expect(drifted.code).toBe(1);
    expect(JSON.parse(drifted.stdout)).toMatchObject({
      host: 'lab',
      healthy: false,
      findings: [{ check: helper, verdict: 'failed', summary: 'has the mode 700 instead of 755' }],
    });
    expect(await cli('check', 'lab')).toMatchObject({
      code: 1,
      stdout: `lab differs from what host install put there:
  FAILED    ${helper}: has the mode 700 instead of 755
            To do: Run: npx proxmox-mcp host install lab
`,
    });
    const dry = await cli('install', 'lab', '--dry-run');
    expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining(`replace ${helper}`) });
    const unasked = await cli('install', 'lab');
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('Nobody can be asked to agree') });
    expect((await cli('check', 'lab')).code).toBe(1);
    expect(await cli('install', 'lab', '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Installed on lab'),
    });
    expect(await cli('install', 'lab', '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nothing to do'),
    });
  });

  it('keeps where its key may be used from', async () => {
    const gateway = (await host.must(['sh', '-c', "ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'"])).trim();
    await install(config, { ...options(), from: gateway });
    expect(await host.readFile('/home/claude-user/.ssh/authorized_keys')).toMatch(`restrict,from="${gateway}" `);
    expect(await install(config, options())).toBe('nothing-to-do');
    // One that this machine doesn't have: the proof fails, and the host is as before.
    await expect(install(config, { ...options(), from: '192.0.2.1' })).rejects.toMatchObject({
      code: 'ssh-key-refused',
    });
    expect(await checkInstallation(config, options())).toEqual([]);
  });

  it('is not uninstalled while a job runs, and then is as before', async () => {
    const job = `d=/var/lib/proxmox-mcp/jobs/a-job; mkdir -p $d/claim; echo verb >$d/command; setsid sleep 300 >/dev/null 2>&1 & p=$!
      echo "$p $(cut -d ' ' -f 22 /proc/$p/stat) 0 $(cat /proc/sys/kernel/random/boot_id) 1 read" >$d/meta; echo $p`;
    const pid = (await host.must(['sh', '-c', job])).trim();
    const how = { ...options(), removeBackups: false, keepLogs: false };
    await host.writeFile('/opt/proxmox-mcp-backups/kept.tar.gz', 'a backup');
    await expect(uninstall(config, how)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('a-job'),
    });
    expect(await checkInstallation(config, options())).toEqual([]);
    await host.must(['kill', pid]);
    expect(await uninstall(config, how)).toBe('uninstalled');
    expect(await host.readFile('/opt/proxmox-mcp-backups/kept.tar.gz')).toBe('a backup');
    await host.must(['rm', '/opt/proxmox-mcp-backups/kept.tar.gz']);
    const accounts = / etc\/(passwd|group|shadow|gshadow|subuid|subgid)-( |$)/;
    expect(difference(before, await listing(host)).filter((line) => !accounts.test(line))).toEqual([]);
  });

  it('refuses a service key that is none, without quoting it', async () => {
    const { ssh } = configOf(host);
    const path = `${host.folder}/no-key`;
    writeFileSync(path, 'not-a-key-but-private\n', { mode: 0o600 });
    const error = await install({ ...config, ssh: { ...host.ssh, ...ssh, keyPath: path } }, options()).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: 'configuration' });
    expect(String(error.stack)).not.toContain('not-a-key-but-private');
    expect(readFileSync(path, 'utf8')).toBe('not-a-key-but-private\n');
  });
});
