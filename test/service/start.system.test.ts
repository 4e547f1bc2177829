import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { isAlive, type ProcessIdentity } from '../../src/service/process-identity.ts';
import { freePort } from '../support/free-ports.ts';
import { quietTimeZone } from '../support/quiet-time-zone.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

const root = packageRoot();
const parts = ['temporal', 'worker', 'mcp-server'] as const;

beforeAll(() => {
  const built = spawnSync(process.execPath, ['scripts/run.mjs', 'build'], { cwd: root, encoding: 'utf8' });
  expect(built).toMatchObject({ status: 0 });
}, 300_000);

async function environment() {
  const folder = temporaryFolder();
  const mcpPort = await freePort();
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PROXMOX_MCP_CONFIG_DIR: folder,
    DATA_DIR: join(folder, 'data'),
    TEMPORAL_PORT: String(await freePort()),
    TEMPORAL_UI_PORT: String(await freePort()),
    WORKER_METRICS_PORT: String(await freePort()),
    MCP_PORT: String(mcpPort),
    TIME_ZONE: quietTimeZone(),
  };
  const record = (part: string): ProcessIdentity =>
    JSON.parse(readFileSync(join(folder, 'data', 'run', `${part}.json`), 'utf8')) as ProcessIdentity;
  // Whatever a failed test leaves running is ended by its record.
  afterwards(() => {
    for (const name of readdirSync(join(folder, 'data', 'run'))) {
      const identity = name.endsWith('.json') ? record(name.replace('.json', '')) : undefined;
      if (identity && isAlive(identity)) process.kill(identity.pid, 'SIGKILL');
    }
  });
  return { env, record, dataDir: join(folder, 'data'), mcp: `http://127.0.0.1:${mcpPort}` };
}

/** `proxmox-mcp start`; `said` resolves when a line that holds the text has been printed. */
function start(env: NodeJS.ProcessEnv) {
  const child: ChildProcess = spawn(process.execPath, ['dist/src/cli.js', 'start'], { cwd: root, env });
  afterwards(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  const said = (text: string) =>
    expect
      .poll(() => output + (child.exitCode === null ? '' : `\nexit ${child.exitCode}`), { timeout: 120_000 })
      .toContain(text);
  return { child, said, output: () => output };
}

it('runs the demo, restarts what dies, goes on after its own death, and leaves nothing running', async () => {
  const { env, record, dataDir, mcp } = await environment();
  const first = start(env);
  await first.said('all that it made: rm -rf ');
  expect(first.output()).toMatch(/Check health demo: (OK|WARNING|ok)/);
  expect(first.output()).toContain('Back up demo: ok');
  expect(first.output()).toMatch(/Last good backup: daily-backup-\d{8}-\d{6} was published/);
  expect(
    readdirSync(join(dataDir, 'demo/opt/proxmox-mcp-backups')).filter((name) => name.endsWith('.tar.gz')),
  ).toHaveLength(1);
  expect(first.output()).toContain(`rm -rf ${dataDir} `);
  const [, token] = /--header "Authorization: Bearer (\S+)"/.exec(first.output()) ?? [];
  await expect.poll(async () => (await fetch(`${mcp}/readyz`)).status, { timeout: 60_000 }).toBe(200);
  const list = () =>
    spawnSync(process.execPath, ['dist/src/cli.js', 'runs', 'list', '--json'], { cwd: root, env, encoding: 'utf8' })
      .stdout;
  expect(list()).toContain('back-up/demo/');

  const second = spawnSync(process.execPath, ['dist/src/cli.js', 'start'], { cwd: root, env, encoding: 'utf8' });
  expect(second.status).not.toBe(0);
  expect(second.stderr).toContain(`Process ${first.child.pid} already runs the service on ${dataDir}`);

  const worker = record('worker');
  process.kill(worker.pid, 'SIGKILL');
  await first.said('The worker is back.');
  expect(record('worker').pid).not.toBe(worker.pid);

  // Its own death: the parts end in order, and the next start goes on with what they kept.
  const orphans = parts.map(record);
  expect(orphans.map(isAlive)).toEqual([true, true, true]);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  await expect.poll(() => orphans.map(isAlive), { timeout: 30_000 }).toEqual([false, false, false]);
  const again = start(env);
  await again.said('all that it made: rm -rf ');
  expect(again.output()).toContain(`Bearer ${token}`);
  expect(JSON.parse(list())).toSatisfy(
    (page: { runs: unknown[] } | unknown[]) => ('runs' in page ? page.runs : page).length === 4,
  );

  const running = parts.map(record);
  again.child.kill('SIGINT');
  await once(again.child, 'exit');
  expect(again.child.exitCode).toBe(0);
  expect(running.map(isAlive)).toEqual([false, false, false]);
  expect(readdirSync(join(dataDir, 'run'))).toEqual([]);
}, 400_000);

it.each([
  ['it starts', 'Temporal CLI'],
  ['the demo shows its runs', 'Back up demo: '],
])(
  'can be stopped while %s',
  async (_, line) => {
    const { env, record, dataDir } = await environment();
    const { child, said } = start(env);
    await said(line);
    const running = parts.filter((part) => existsSync(join(dataDir, 'run', `${part}.json`))).map(record);
    child.kill('SIGINT');
    await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    expect(running.filter(isAlive)).toEqual([]);
    expect(readdirSync(join(dataDir, 'run'))).toEqual([]);
  },
  240_000,
);
