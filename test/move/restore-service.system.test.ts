import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { readRestoredMark } from '../../src/restored-mark.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { goOnAfterRestore } from '../../src/runs/go-on.ts';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import { createChangeSwitch } from '../../src/runs/switch.ts';
import { bareEnvironment, useDist } from '../support/built.ts';
import { freePorts } from '../support/free-ports.ts';
import { quietTimeZone } from '../support/quiet-time-zone.ts';

/*
 * The whole way with a real `npm start` on loopback: backed up while a run waits for an approval, gone on with,
 * and put back.
 */
const built = useDist();
const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-restore-'));
const data = join(folder, 'data');
const exec = promisify(execFile);
const cli = (...args: readonly string[]) =>
  exec(process.execPath, [built.path('src/cli.js'), ...args], {
    env: { ...bareEnvironment(), PROXMOX_MCP_CONFIG_DIR: folder },
    maxBuffer: 10_000_000,
  });
const refused = (...args: readonly string[]) =>
  cli(...args).then(
    ({ stdout }) => `it was done: ${stdout}`,
    (error: { stderr: string; stdout: string }) => `${error.stdout}${error.stderr}`,
  );
const config = () => loadConfig({ cwd: folder, env: {} }).config;
const by = { kind: 'cli', name: 'test' } as const;

async function withService<Result>(
  work: (of: { client: Client; runs: ReturnType<typeof createRuns> }) => Promise<Result>,
): Promise<Result> {
  const connection = await Connection.connect({ address: `127.0.0.1:${config().temporal.port}` });
  try {
    const client = new Client({ connection });
    return await work({ client, runs: createRuns({ client, config: config() }) });
  } finally {
    await connection.close();
  }
}
const archives = () => readdirSync(join(data, 'backups')).filter((name) => name.endsWith('.tar.gz'));

beforeAll(async () => {
  const [port, uiPort, mcpPort, metricsPort] = await freePorts(4);
  const env = {
    DATA_DIR: './data',
    TEMPORAL_PORT: port,
    TEMPORAL_UI_PORT: uiPort,
    MCP_PORT: mcpPort,
    WORKER_METRICS_PORT: metricsPort,
    TIME_ZONE: quietTimeZone(),
  };
  writeFileSync(
    join(folder, '.env'),
    Object.entries(env)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  );
  const hosts = { here: { ENABLE_LOCAL_EXECUTION: 'true' } };
  writeFileSync(join(folder, 'hosts.yaml'), JSON.stringify({ hosts }), { mode: 0o600 });
}, 60_000);

afterAll(async () => {
  await cli('stop').catch(() => undefined);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}, 120_000);

it('a service is backed up while it works, put back as it was, and does nothing of its own', async () => {
  await cli('start', '--keep');
  const people = createPeople(peopleFile(data), { cost: { memoryCost: 64, timeCost: 1, parallelism: 1 } });
  await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  writeFileSync(join(folder, 'policy.yaml'), 'protected: { guests: 101 }\n', { mode: 0o600 });
  const asking = await withService(async ({ runs }) => {
    const { id } = await runs.start('change-policy', {}, by);
    await expect.poll(() => runs.get(id).then(({ progress }) => progress?.question), { timeout: 60_000 }).toBeDefined();
    return id;
  });
  const before = await withService(async ({ client, runs }) => ({
    runs: (await runs.list({ limit: 100, dryRuns: true })).runs.map(({ id, state }) => `${id} ${state}`),
    head: await createLedgerClient(client).head(),
  }));

  const { stdout } = await cli('back-up-service');
  expect(stdout).toMatch(/service-backup-\d{8}-\d{6}/);
  const [archive = ''] = archives();
  const file = join(folder, archive);
  copyFileSync(join(data, 'backups', archive), file);
  expect(statSync(join(data, 'backups', archive)).mode & 0o777).toBe(0o600);
  const { stdout: list } = await exec('tar', ['-tzf', file]);
  for (const name of [
    'data/temporal.sqlite',
    'data/ledger/ledger.key',
    'data/people.json',
    'config/.env',
    'config/policy.yaml',
  ]) {
    expect(list.split('\n')).toContain(name);
  }
  // The ledger's newest segment comes with its log, copied in one go by the process that writes it.
  expect(list).not.toMatch(/data\/(run|logs|backups)|temporal[.]sqlite-wal$/m);

  // What comes after it is lost: an approval is given and used.
  await withService(async ({ runs }) => {
    const question = (await runs.get(asking)).progress?.question;
    const answer = { choice: 'approve', question: question?.id ?? '', digest: question?.approval?.digest ?? '' };
    await runs.decide(asking, answer, { kind: 'person', name: 'anna' });
    expect(await runs.wait(asking, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });
  });
  expect(await refused('restore-service', file)).toMatch(/The service runs on this data folder/);
  await cli('stop');

  // One that isn't whole changes nothing.
  const broken = join(folder, 'broken.tar.gz');
  writeFileSync(broken, readFileSync(file).subarray(0, 60_000));
  expect(await refused('restore-service', broken)).toMatch(/tar could not do it/);
  expect(existsSync(join(data, 'RESTORED'))).toBe(false);

  writeFileSync(join(folder, 'policy.yaml'), 'protected: { guests: 102 }\n', { mode: 0o600 });
  const { stdout: said } = await cli('restore-service', file);
  expect(said).toMatch(/What was here before is in .*data\.before-/);
  expect(said).toMatch(/Kept as it is here: .*policy\.yaml/);
  expect(readFileSync(join(folder, 'policy.yaml'), 'utf8')).toContain('102');
  expect(readRestoredMark(data)).toMatchObject({
    backup: archive.replace('.tar.gz', ''),
    by: expect.stringMatching(/^cli:/),
  });
  expect(archives()).toEqual([archive]);

  await cli('start', '--keep');
  expect(await refused('status')).toMatch(/An older state of this service was restored from service-backup-/);
  expect((await cli('restored')).stdout).toContain(`${asking}: change-policy on service`);
  await withService(async ({ client, runs }) => {
    // The database as it was, a moment later: nobody has worked on it.
    const now = (await runs.list({ limit: 100, dryRuns: true })).runs.map(({ id, state }) => `${id} ${state}`);
    expect(now.filter((one) => !one.startsWith('back-up-service/'))).toEqual(before.runs);
    await goOnAfterRestore({ client, config: config(), by: 'person:anna', say: () => {} });
    await expect
      .poll(
        () =>
          createLedgerClient(client)
            .head()
            .catch(() => undefined),
        { timeout: 60_000 },
      )
      .toBeDefined();
    expect(await runs.get(asking)).toMatchObject({ state: 'terminated' });
    const verified = await createLedgerClient(client).verify(before.head ? [before.head] : []);
    expect(verified).toMatchObject({
      verdict: 'intact',
      anchors: { given: 1, matched: 1 },
      lost: [{ from: expect.any(Number) }],
    });
    expect(await createChangeSwitch(client).get()).toMatchObject({ on: true });
  });
}, 600_000);
