import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { changedKeys, configurationInUse } from '../../src/config/in-use.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configProblem, describeConfigFinding } from '../../src/config/problems.ts';
import { type ConfigurationFile, readAgain } from '../../src/config/read-again.ts';
import { configurationFolder } from './folder.ts';

const first = 'SSH_HOST=192.0.2.1\nHOST_NAME=pve1\nMCP_PORT=8081\n';

function running(env = first) {
  const folder = configurationFolder({ '.env': env });
  const options = { cwd: folder, env: {} };
  const before = loadConfig(options);
  const write = (text: string) => writeFileSync(join(folder, '.env'), text, { mode: 0o600 });
  return {
    folder,
    before,
    write,
    again: (files: readonly ConfigurationFile[] = []) => readAgain(before, options, files),
  };
}

it('takes over what may change, and keeps what counts at a start, in everything that is made of it', () => {
  const { before, write, again } = running();
  write('SSH_HOST=192.0.2.9\nHOST_NAME=pve1\nMCP_PORT=9000\nMCP_ALLOWED_HOSTS=mcp.example.org\nDATA_DIR=/srv/other\n');
  const found = again();
  if ('problems' in found) throw new Error(found.problems.map(describeConfigFinding).join());
  const { config } = found.loaded;
  expect(config.hosts[0]?.ssh?.host).toBe('192.0.2.9');
  expect(config.mcp).toMatchObject({
    port: 8081,
    allowedHosts: ['mcp.example.org'],
    publicUrl: 'http://127.0.0.1:8081',
  });
  expect(config.dataDir).toBe(before.config.dataDir);
  expect(found).toMatchObject({
    changed: ['MCP_ALLOWED_HOSTS', 'SSH_HOST'],
    needRestart: ['DATA_DIR', 'MCP_PORT'],
  });
});

it('says afterwards which keys still wait for a restart', () => {
  const { before, write, again } = running();
  const inUse = configurationInUse(before, 'worker');
  write('SSH_HOST=192.0.2.9\nHOST_NAME=pve1\nMCP_PORT=9000\n');
  const found = again();
  if ('problems' in found) throw new Error('it is right');
  expect(changedKeys(configurationInUse(found.loaded, 'worker', inUse))).toEqual(['MCP_PORT']);
  write('SSH_HOST=192.0.2.9\nHOST_NAME=pve1\nMCP_PORT=8081\n');
  expect(changedKeys(configurationInUse(found.loaded, 'worker', inUse))).toEqual([]);
});

it('takes nothing of what has a problem, and names all of them', () => {
  const { write, again, folder } = running();
  write('SSH_HOST=192.0.2.9\nHOST_NAME=pve1\nMCP_PORT=ninety\nSSH_PRT=22\n');
  const found = again([{ name: 'policy.yaml', problems: () => [] }]);
  expect('problems' in found && found.problems.map(({ key }) => key)).toEqual(['MCP_PORT', 'SSH_PRT']);
  write(first);
  const broken = configProblem({ key: 'rules', source: 'policy.yaml:3', expected: 'a list', remedy: 'Write one.' });
  expect(again([{ name: 'policy.yaml', problems: () => [broken] }])).toEqual({ problems: [broken] });
  rmSync(folder, { recursive: true });
  expect(again()).toMatchObject({ problems: [{ key: folder }] });
});

it('refuses what does not fit a key that stays: a port that now is to be something else’s', () => {
  const { write, again } = running();
  write(
    'SSH_HOST=192.0.2.1\nHOST_NAME=pve1\nMCP_PORT=9000\nSMTP_HOST=127.0.0.1\nSMTP_PORT=8081\nMAIL_TO=a@example.org\n',
  );
  expect(again()).toMatchObject({ problems: [{ key: 'SMTP_PORT' }] });
});

it('is no way from the demo to hosts or back', () => {
  const { write, again } = running('DEMO=true\n');
  write(first);
  expect(again()).toMatchObject({ problems: [{ key: 'DEMO' }] });
});
