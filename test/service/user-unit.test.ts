import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config.ts';
import { identify } from '../../src/service/process-identity.ts';
import { stopService } from '../../src/service/stop.ts';
import { installUnit, uninstallUnit, unitPath, unitText } from '../../src/service/user-unit.ts';
import { configurationFolder } from '../config/folder.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

/** A machine with this `systemctl`; `asked` has what it was asked. What it starts, it says it has started. */
function machine(systemctl: string) {
  const folder = temporaryFolder();
  const log = join(folder, 'asked');
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(log, '');
  writeFileSync(join(bin, 'systemctl'), `#!/bin/sh\necho "$*" >>'${log}'\n${systemctl}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${bin}${delimiter}${process.env.PATH}`);
  vi.stubEnv('XDG_CONFIG_HOME', join(folder, 'config'));
  afterwards(() => void vi.unstubAllEnvs());
  const { config } = loadConfig({ cwd: configurationFolder({ '.env': 'SSH_HOST=192.0.2.1\n' }), env: {} });
  const said: string[] = [];
  const asked = () => readFileSync(log, 'utf8').trim().split('\n');
  return { config: { ...config, dataDir: join(folder, 'data') }, said, asked, say: (line: string) => said.push(line) };
}

/** A start that runs, as its lock and its record say; ended by the first signal. */
function running({ dataDir }: Config, by: string) {
  const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore' });
  afterwards(() => void child.kill('SIGKILL'));
  const identity = identify(child.pid ?? 0);
  mkdirSync(join(dataDir, 'run'), { recursive: true });
  const record = { ...identity, by, phase: 'running', startedAt: new Date().toISOString(), version: '1' };
  writeFileSync(join(dataDir, 'run', 'start.lock'), JSON.stringify(identity));
  writeFileSync(join(dataDir, 'run', 'service.json'), JSON.stringify(record));
  return child;
}

it('a unit is written, enabled and started, and removed again', async () => {
  const { config, asked, say, said } = machine(
    'case $* in *Version) echo Version=252 ;; *ActiveState*) echo ActiveState=active ;; esac',
  );
  running(config, 'unit');
  await installUnit(config, '/srv/my config', say);
  expect(asked()).toEqual(
    [
      'show --property=Version',
      'daemon-reload',
      'enable proxmox-mcp.service',
      'stop proxmox-mcp.service',
      'reset-failed proxmox-mcp.service',
      'start proxmox-mcp.service',
    ].map((words) => `--user ${words}`),
  );
  expect(readFileSync(unitPath(), 'utf8')).toBe(unitText('/srv/my config'));
  expect(said.join('\n')).toContain('journalctl --user -u proxmox-mcp.service');
  expect(await uninstallUnit()).toBe(true);
  expect(asked()).toContain('--user disable --now proxmox-mcp.service');
  expect(existsSync(unitPath())).toBe(false);
  expect(await uninstallUnit()).toBe(false);
});

it('its words mean the same to systemd, whatever the folder is called', () => {
  expect(unitText('/srv/a "b" 100%')).toContain('Environment="PROXMOX_MCP_CONFIG_DIR=/srv/a \\"b\\" 100%%"\n');
  expect(unitText('/srv/a')).toMatch(/^ExecStart=\S+node\S* --enable-source-maps \S+\/cli\.js start --by unit$/m);
});

it('where users have no systemd nothing is written, and another way is named', async () => {
  const { config, say } = machine('echo "Failed to connect to bus: No medium found" >&2; exit 1');
  await expect(installUnit(config, '/srv', say)).rejects.toMatchObject({
    code: 'unavailable',
    remedy: expect.stringContaining('npm start -- --keep'),
  });
  expect(existsSync(unitPath())).toBe(false);
});

it('a unit that fails says where it is said why; what runs already is not started a second time', async () => {
  const failing = machine('case $* in *ActiveState*) echo ActiveState=activating; echo NRestarts=1 ;; esac');
  await expect(installUnit(failing.config, '/srv', failing.say)).rejects.toMatchObject({
    remedy: expect.stringContaining('journalctl --user -u proxmox-mcp.service'),
  });
  running(failing.config, 'terminal');
  await expect(installUnit(failing.config, '/srv', failing.say)).rejects.toMatchObject({ code: 'conflict' });
});

it('what systemd keeps running is stopped through it, and anything else by a signal', async () => {
  const { config, asked, say, said } = machine('');
  const kept = running(config, 'unit');
  writeFileSync(join(config.dataDir, 'pid'), String(kept.pid));
  const by = machine(`kill "$(cat '${config.dataDir}/pid')"`);
  await stopService(config, say);
  expect(by.asked()).toEqual(['--user stop proxmox-mcp.service']);
  expect(said.at(-1)).toContain('systemctl --user start proxmox-mcp.service');
  expect(asked()).toEqual(['']);

  const terminal = running(config, 'terminal');
  await stopService(config, say);
  expect(terminal.signalCode ?? 'SIGTERM').toBe('SIGTERM');
  expect(by.asked()).toHaveLength(1);
});
