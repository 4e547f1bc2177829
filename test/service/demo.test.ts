import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { ProxmoxApiConfig } from '../../src/config.ts';
import { ensureDemoToken, prepareDemo, revokeDemoToken } from '../../src/service/demo.ts';
import { makeDemoHost } from '../../src/service/demo-host.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

function nothingConfigured() {
  const cwd = temporaryFolder();
  const load = () => loadConfig({ cwd, env: {} }).config;
  return { dataDir: join(cwd, 'data'), load };
}

async function prepare(config: ReturnType<typeof loadConfig>['config']) {
  const demo = await prepareDemo(config);
  afterwards(demo.close);
  const [host] = demo.config.hosts;
  if (!host?.api) throw new Error('the demo has no host with an API');
  return { demo, host, api: host.api };
}

it('makes an installation inside the data folder, with secrets nobody else can read and a helper that works', async () => {
  const { dataDir, load } = nothingConfigured();
  const config = load();
  expect(config).toMatchObject({ demo: true, hosts: [] });
  const { host } = await prepare(config);
  for (const path of Object.values(host.layout).filter((value) => String(value).startsWith('/'))) {
    expect(String(path)).toContain(dataDir);
    expect(statSync(String(path)).isFile() || statSync(String(path)).isDirectory()).toBe(true);
  }
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
  expect(mode(host.layout.sshKeyFile)).toBe('600');
  expect(mode(join(host.layout.installation, '.env'))).toBe('600');
  expect(mode(join(dataDir, 'demo', 'host.json'))).toBe('600');
  const fingerprint = execFileSync('ssh-keygen', ['-l', '-f', host.layout.sshKeyFile], { encoding: 'utf8' });
  expect(fingerprint).toContain('(ED25519)');

  expect(spawnSync(host.layout.helper, ['job-list'])).toMatchObject({ status: 0 });
  expect(spawnSync(host.layout.helper, ['rm', '/'])).toMatchObject({ status: 64 });
});

it('is known to every process that loads the configuration, and keeps its key, token and certificate', async () => {
  const { load } = nothingConfigured();
  const first = await prepare(load());
  const token = await ensureDemoToken(first.demo.config);
  const key = readFileSync(first.host.layout.sshKeyFile, 'utf8');
  const [known] = load().hosts;
  expect(known?.api?.tokenValue.reveal()).toBe(first.api.tokenValue.reveal());
  expect(known).toEqual(first.host);
  await first.demo.close();

  const second = await prepare(load());
  expect(second.api.tokenValue.reveal()).toBe(first.api.tokenValue.reveal());
  expect(second.api.trust).toEqual(first.api.trust);
  expect(readFileSync(second.host.layout.sshKeyFile, 'utf8')).toBe(key);
  expect(await ensureDemoToken(second.demo.config)).toBe(token);
  expect(createTokenStore(join(second.demo.config.dataDir, 'tokens.json')).verify(token)).toMatchObject({
    name: 'demo',
    scope: 'operate',
  });
});

it('lets nobody reach real hosts with its token', async () => {
  const { load } = nothingConfigured();
  const config = load();
  const store = createTokenStore(join(config.dataDir, 'tokens.json'));
  const own = await store.create({ name: 'mine', scope: 'read' });
  const token = await ensureDemoToken(config);
  expect(store.verify(token)).toMatchObject({ name: 'demo' });
  expect(await revokeDemoToken(config)).toBe(true);
  expect(store.verify(token)).toBe(undefined);
  expect(store.verify(own.token)).toMatchObject({ name: 'mine' });
  expect(existsSync(join(config.dataDir, 'demo/mcp-token'))).toBe(false);
  // Once, and never a token of the same name that somebody made.
  await store.create({ name: 'demo', scope: 'read' });
  expect(await revokeDemoToken(config)).toBe(false);
  expect(store.list().map(({ name }) => name)).toEqual(['mine', 'demo']);
});

it('a folder that no host can be kept in is refused by the name of its key, and nothing is written', () => {
  const { load } = nothingConfigured();
  const dataDir = join(temporaryFolder(), 'a\nb');
  const api = { host: '127.0.0.1', user: 'mcp@pve', tokenName: 'x' } as ProxmoxApiConfig;
  expect(() => makeDemoHost({ ...load(), dataDir }, api, 'http://127.0.0.1:1')).toThrow(/DATA_DIR/);
  expect(existsSync(dataDir)).toBe(false);
});

it('is kept in a folder whose name has blanks and letters of any language', () => {
  const { load } = nothingConfigured();
  const dataDir = join(temporaryFolder(), 'dé ta 数');
  const api = { host: '127.0.0.1', user: 'mcp@pve', tokenName: 'x' } as ProxmoxApiConfig;
  const { layout } = makeDemoHost({ ...load(), dataDir }, api, 'http://127.0.0.1:1');
  expect(spawnSync(layout.helper, ['list-backups'], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  expect(spawnSync(layout.helper, ['rm', '/'])).toMatchObject({ status: 64 });
});
