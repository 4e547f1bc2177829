import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docker } from '../../../lab/engine.ts';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { useDist } from '../../support/built.ts';
import { difference, listing, makeBare } from './sample.ts';

const root = join(import.meta.dirname, '../../..');
const sources = [
  'src',
  'test',
  'lab',
  'bench',
  'scripts',
  'docs',
  'sudoers',
  'temporal-server',
  'dist',
  'node_modules',
];
const files = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'LICENSE',
  'README.md',
  'install.sh',
];

describe.skipIf(whyNoLab())('install.sh on a machine', () => {
  useDist();
  let host: LabHost;
  let before: string[];

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    await host.must(['mkdir', '-p', '/srv/sources', '/usr/lib/node_modules']);
    const copy = (from: string, to: string) => docker(['cp', from, `${host.name}:${to}`], { timeoutMs: 300_000 });
    await copy(realpathSync(process.execPath), '/usr/bin/node');
    await copy(join(dirname(realpathSync(process.execPath)), '../lib/node_modules/npm'), '/usr/lib/node_modules/npm');
    await host.must(['ln', '-s', '../lib/node_modules/npm/bin/npm-cli.js', '/usr/bin/npm']);
    for (const part of [...sources, ...files]) await copy(join(root, part), `/srv/sources/${part}`);
    before = await all();
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const script = async (...options: string[]) => {
    const said = await host.exec(['/srv/sources/install.sh', ...options], { timeoutMs: 300_000 });
    expect(said.exitCode, said.stdout + said.stderr).toBe(0);
    return said.stdout;
  };
  // Without npm's own cache in root's home.
  const all = async () => (await listing(host)).filter((line) => !/(^| )root\/\.npm/.test(line));

  it('says what it would do and does nothing', { timeout: 120_000 }, async () => {
    expect(await script('--dry-run')).toContain('put it in /opt/proxmox-mcp/app');
    expect(difference(before, await all())).toEqual([]);
    expect((await host.exec(['/srv/sources/install.sh', '--nonsense'])).exitCode).toBe(2);
  });

  it('installs the service, hardened, with this machine as its host', { timeout: 300_000 }, async () => {
    expect(await script('--no-start')).toContain('Installed on this, and verified over new connections.');
    const check = await host.must(['proxmox-mcp', 'host', 'check', 'this', '--local']);
    expect(check).toBe('this is as it should be.\n');
    expect(await host.must(['stat', '-c', '%a %U', '/opt/proxmox-mcp/keys/claude_proxmox_key'])).toBe(
      '600 claude-user\n',
    );
    await host.must(['systemd-analyze', 'verify', '/etc/systemd/system/proxmox-mcp.service']);
    const installed = await all();
    expect(await script('--no-start')).toContain('nothing to do');
    expect(difference(installed, await all())).toEqual([]);
  });

  it('gives the user of the service no way to root when it is run again', { timeout: 300_000 }, async () => {
    const asUser = (line: string) => host.must(['sh', '-euc', line], { user: 'claude-user' });
    expect(await host.must(['stat', '-c', '%a %U:%G', '/opt/proxmox-mcp/.env'])).toBe('640 root:claude-user\n');
    await host.must(['sh', '-c', 'echo precious >/etc/precious; chmod 600 /etc/precious']);
    await asUser('cd /opt/proxmox-mcp/keys; echo more >>known_hosts; ln -s /etc/precious known_hosts.new');
    await script('--no-start');
    expect(await host.must(['sh', '-c', 'cat /etc/precious; stat -c "%a %U" /etc/precious'])).toBe(
      'precious\n600 root\n',
    );
    expect(await host.must(['stat', '-c', '%F %U', '/opt/proxmox-mcp/keys/known_hosts'])).toBe(
      'regular file claude-user\n',
    );
    await host.must(['rm', '/etc/precious']);
  });

  it('leaves nothing', { timeout: 120_000 }, async () => {
    await script('--uninstall');
    const accounts = / etc\/(passwd|group|shadow|gshadow|subuid|subgid)-( |$)/;
    expect(difference(before, await all()).filter((line) => !accounts.test(line))).toEqual([]);
  });
});
