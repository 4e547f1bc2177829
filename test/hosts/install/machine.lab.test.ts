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
  'deploy',
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

describe.skipIf(whyNoLab())('install.sh --without-docker on a machine', () => {
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
    const said = await host.exec(['/srv/sources/install.sh', '--without-docker', '--yes', ...options], {
      timeoutMs: 300_000,
    });
    expect(said.exitCode, said.stdout + said.stderr).toBe(0);
    return said.stdout;
  };
  // Without npm's own cache in root's home.
  const all = async () => (await listing(host)).filter((line) => !/(^| )root\/\.npm/.test(line));

  it('says what it would do and does nothing', { timeout: 120_000 }, async () => {
    expect(await script('--dry-run')).toContain('put it in /opt/proxmox-mcp/app');
    expect(difference(before, await all())).toEqual([]);
    expect((await host.exec(['/srv/sources/install.sh', '--nonsense'])).exitCode).toBe(2);
    const unasked = await host.exec(['/srv/sources/install.sh', '--without-docker']);
    expect([unasked.exitCode, unasked.stderr]).toEqual([2, expect.stringContaining('nobody can be asked')]);
  });

  it('installs the service, hardened, with this machine as its host', { timeout: 300_000 }, async () => {
    expect(await script('--no-start')).toContain('Installed on this, and verified over new connections.');
    const check = await host.must(['proxmox-mcp', 'host', 'check', 'this', '--local']);
    expect(check).toBe('this is as it should be.\n');
    expect(await host.must(['stat', '-c', '%a %U', '/opt/proxmox-mcp/keys/claude_proxmox_key'])).toBe(
      '600 claude-user\n',
    );
    const units = ['proxmox-mcp.service', 'proxmox-mcp-watch.service', 'proxmox-mcp-watch.timer'];
    await host.must(['systemd-analyze', 'verify', ...units.map((unit) => `/etc/systemd/system/${unit}`)]);
    const report = await host.must(['sh', '-c', 'cat /opt/proxmox-mcp/installation-report-*.md']);
    for (const part of [
      '| kind | systemd |',
      '`/etc/sudoers.d/claude-user` | 440 | root:root',
      'SHA256:',
      'claude mcp add',
    ])
      expect(report).toContain(part);
    expect(report).not.toMatch(/keys\/.*\| [0-9a-f]{16} \|/);
    const installed = await all();
    const again = await script('--no-start');
    expect(again).toContain('nothing to do');
    expect(again).toContain('nothing has changed');
    expect(difference(installed, await all())).toEqual([]);
  });

  it('takes over what the script before this one has installed, and goes on where it was cut off', {
    timeout: 300_000,
  }, async () => {
    await host.must(['sh', '-ec', earlier]);
    const said = await host.must(['/srv/sources/install.sh', '--yes', '--no-start']);
    expect(said).toContain('an earlier run was not finished (begun before): going on');
    expect(said).toContain('write /etc/systemd/system/proxmox-mcp-watch.timer');
    expect(await host.must(['cat', '/usr/local/lib/proxmox-mcp/deployment'])).toBe('systemd\n');
    expect(await host.must(['proxmox-mcp', 'host', 'check', 'this', '--local'])).toBe('this is as it should be.\n');
    expect((await host.exec(['test', '-e', '/var/lib/proxmox-mcp-recovery/unfinished'])).exitCode).toBe(1);
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

/** An installation as the script made it that knew neither kinds nor the timer, and one that was cut off. */
const earlier = `cd /etc/systemd/system; rm -r /usr/local/lib/proxmox-mcp proxmox-mcp-watch.*
  printf '#!/bin/sh\\n# Made by install.sh of Proxmox MCP.\\nexec false\\n' >/usr/local/bin/proxmox-mcp
  sed -i 's/--by system//; /ExecReload/d' proxmox-mcp.service
  echo 'begun before' >/var/lib/proxmox-mcp-recovery/unfinished`;
