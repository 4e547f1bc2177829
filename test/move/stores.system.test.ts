import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Config } from '../../src/config.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { ledgerPaths } from '../../src/ledger/paths.ts';
import { cancelExport, type ExportOptions, exportService, restOf } from '../../src/move/export.ts';
import { importService } from '../../src/move/import.ts';
import { moveStores } from '../../src/move/stores.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import { ownOptions, understand } from '../../src/runs/own-schedules.ts';
import { reconcileSchedules } from '../../src/runs/reconcile-schedules.ts';
import { acquireLock } from '../../src/service/lock-file.ts';
import { checkTemporalServer } from '../../src/service/temporal-namespace.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { loadedConfig } from '../support/config.ts';
import { useTemporal } from '../support/temporal.ts';

// Two namespaces of one server, of which nothing passes from one to the other by itself; no worker.
const temporal = useTemporal({ withLedger: false });
const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-stores-'));
const moved = join(folder, 'moved');
const by = { kind: 'cli', name: 'test' } as const;
const log = pino({ level: 'silent' });
const hourMs = 3_600_000;

interface Side {
  readonly client: Client;
  readonly config: Config;
  readonly configFolder: string;
}

function side(name: string): Side {
  const at = join(folder, name);
  const given = loadedConfig();
  const config = {
    ...given,
    dataDir: join(at, 'data'),
    accessDir: join(at, 'data'),
    temporal: { ...given.temporal, namespace: name },
  };
  mkdirSync(config.dataDir, { recursive: true });
  return { client: new Client({ connection: temporal.client.connection, namespace: name }), config, configFolder: at };
}
const endpoint = (namespace: string) => ({
  address: temporal.server.address,
  namespace,
  isOthers: true,
  isCloud: false,
});

let old: Side;
let next: Side;
let run: string;
/** How many schedules there are. */
let total: number;

const exporting = (more: Partial<ExportOptions> = {}) =>
  exportService({
    folder: moved,
    config: old.config,
    configFolder: old.configFolder,
    dryRun: false,
    say: () => {},
    connect: async () => old.client,
    paused: async () => {},
    stop: async () => {},
    ...more,
  });
const importing = (to = next) =>
  importService({
    folder: moved,
    config: to.config,
    configFolder: to.configFolder,
    dryRun: false,
    say: () => {},
    connect: async () => to.client,
  });
const pausedOn = async ({ client, config }: Side) =>
  (await createSchedules({ client, config }).list()).filter(({ paused }) => paused).map(({ id }) => id);

beforeAll(async () => {
  for (const name of ['default', 'next']) {
    // The server itself learns of a new namespace some seconds later.
    await vi.waitFor(() => checkTemporalServer(endpoint(name)), { timeout: 60_000, interval: 500 });
  }
  old = side('default');
  next = side('next');
  const { client, config } = old;
  await reconcileSchedules({ client, config, log });
  const schedules = createSchedules({ client, config });
  await schedules.change('back-up/daily/pve1', { cron: '17 4 * * *' }, 'test');
  await schedules.pause('check-health/daily/pve1', 'a holiday', 'test');
  const check = { operation: 'check-health', input: { host: 'pve1' } };
  await client.schedule.create(ownOptions(understand({ ...check, every: '30 5 * * 1', name: 'mondays' }, by, config)));
  const later = new Date(Date.now() + 5 * hourMs).toISOString();
  await client.schedule.create(ownOptions(understand({ ...check, at: later, name: 'later' }, by, config)));

  total = (await schedules.list()).length;

  const runs = createRuns({ client, config });
  run = (await runs.start('check-health', { host: 'pve1' }, by, { idempotencyKey: 'one' })).id;
  await client.workflow.getHandle(run).terminate('for the test');
  await vi.waitFor(async () => expect((await runs.list({ limit: 5, state: 'terminated' })).runs).toHaveLength(1), {
    timeout: 20_000,
  });

  await createTokenStore(join(config.dataDir, 'tokens.json')).create({ name: 'claude', scope: 'read' });
  writeFileSync(join(old.configFolder, 'policy.yaml'), 'version: 1\n', { mode: 0o600 });
  const ledger = openLedger({
    folder: join(config.dataDir, 'ledger'),
    claim: () => acquireLock(ledgerPaths(join(config.dataDir, 'ledger')).claim),
    redact: (text) => text,
  });
  await ledger.append([{ key: 'one', kind: 'token', text: 'A token was made' }]);
  await ledger.close();
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a move that fails leaves the schedules as they were', async () => {
  const fails = exporting({
    async paused() {
      expect(await pausedOn(old)).toHaveLength(total);
      throw new Error('cut off');
    },
  });
  await expect(fails).rejects.toThrow('cut off');
  expect(await pausedOn(old)).toEqual(['check-health/daily/pve1']);
  await expect(importing()).rejects.toThrow(/was not finished/);
});

it('a change that goes on is not left behind', async () => {
  const { id } = await createRuns(old).start('back-up', { host: 'pve1' }, by);
  await expect.poll(() => exporting({ dryRun: true }).catch((error: Error) => error.message)).toContain(id);
  await expect(exporting()).rejects.toThrow(id);
  expect(await pausedOn(old)).toEqual(['check-health/daily/pve1']);
  await old.client.workflow.getHandle(id).terminate('for the test');
  await expect.poll(async () => (await createRuns(old).list({ limit: 5, state: 'terminated' })).runs.length).toBe(2);
});

it('what was exported is all that there is, with the server gone for its second half', async () => {
  const done = await exporting();
  expect(done.map(({ store }) => store).sort()).toEqual(moveStores.map(({ name }) => name).sort());
  const said = new Map(done.map(({ store, text }) => [store, text]));
  expect(said.get('schedules')).toBe(`${total} schedules (1 with another time, 1 paused, 2 made by somebody)`);
  expect(said.get('runs')).toBe('2 runs');
  expect(said.get('ledger')).toBe('1 records, up to 1');
  expect(await pausedOn(old)).toHaveLength(total);
  await expect(exporting({ connect: async () => undefined })).resolves.toHaveLength(5);
  // Again with everything: what people paused is not mixed up with what this has paused.
  await expect(exporting()).resolves.toContainEqual({ store: 'schedules', text: said.get('schedules') });
});

it('where the ledger lies in another place than the rest, each is moved for itself', async () => {
  const compose = { ownCa: true, publishAddress: '127.0.0.1', httpPort: 80, httpsPort: 443, networkPrefix: '172.20' };
  const inContainer = (ledger: Config['worker']['ledger']): Config => ({
    ...old.config,
    compose,
    worker: { ...old.config.worker, ledger },
  });
  const [cli, ledgers] = [inContainer('auto'), inContainer('only')];
  const apart = join(folder, 'apart');
  const connect = async () => expect.unreachable('of the server nothing is to be read');
  const refused = /in a data folder of its own. Nothing was changed/;
  for (const config of [cli, ledgers]) {
    await expect(exporting({ folder: apart, config, connect })).rejects.toThrow(refused);
    await expect(importing({ ...next, config })).rejects.toThrow(refused);
  }
  await expect(exporting({ folder: apart, config: cli, connect, only: ['ledger'] })).rejects.toMatchObject({
    remedy: expect.stringContaining(`cli move export ${apart} --only ledger`),
  });
  expect(existsSync(apart)).toBe(false);
  await exporting({ folder: apart, config: ledgers, connect, only: ['ledger'] });
  expect(restOf(apart)).not.toContain('ledger');
  await exporting({ folder: apart, config: cli, skip: ['ledger'] });
  expect(restOf(apart)).toEqual([]);
});

it('everything is brought once, and what was due meanwhile is told', async () => {
  const path = join(moved, 'schedules/schedules.json');
  const text = readFileSync(path, 'utf8');
  const since = new Date(Date.now() - 25 * hourMs).toISOString();
  writeFileSync(path, text.replace(/"pausedAt":"[^"]+"/, `"pausedAt":"${since}"`), { mode: 0o600 });
  // A server that was just set up.
  const answer = { code: 3, details: 'no mapping for a search attribute', metadata: {} };
  const refusal = Object.assign(new Error('refused'), answer);
  const create = vi.spyOn(next.client.schedule, 'create');
  create.mockRejectedValueOnce(new Error('Failed to create schedule', { cause: refusal }));
  const done = await importing();
  expect(create).toHaveBeenCalledTimes(total + 1);
  expect(done.map(({ store }) => store)).toEqual(moveStores.map(({ name }) => name));
  const remarks = done.find(({ store }) => store === 'schedules')?.remarks ?? [];
  expect(remarks.join()).toMatch(/back-up\/daily\/pve1 was due while the service moved/);
  expect(remarks.join()).not.toContain('check-health/daily/pve1');

  // Temporal lists a new one a moment later.
  await expect.poll(async () => (await createSchedules(next).list()).length, { timeout: 20_000 }).toBe(total);
  const all = new Map((await createSchedules(next).list()).map((one) => [one.id, one]));
  expect(all.get('back-up/daily/pve1')).toMatchObject({ cron: '17 4 * * *', paused: false });
  expect(all.get('check-health/daily/pve1')).toMatchObject({ paused: true, note: 'a holiday (test)' });
  expect(all.get('check-health/own-later/pve1')).toMatchObject({ paused: false, own: { madeBy: 'cli:test' } });
  // The worker's own look at them changes nothing of it.
  const settled = await reconcileSchedules({ client: next.client, config: next.config, log });
  expect(settled).toMatchObject({ created: [], changed: [], removed: [] });

  // What people do from now on stays, though it is brought once more.
  await createSchedules(next).resume('check-health/daily/pve1', 'back', 'test');
  await importing();
  expect(await pausedOn(next)).toEqual([]);
  expect(createTokenStore(join(next.config.dataDir, 'tokens.json')).list()).toMatchObject([{ name: 'claude' }]);
  expect(readFileSync(join(next.configFolder, 'policy.yaml'), 'utf8')).toBe('version: 1\n');
});

it('runs that ended before are listed, read and found again, behind those of the new server', async () => {
  const runs = createRuns(next);
  const { id } = await runs.start('check-health', { host: 'pve1' }, by);
  await expect.poll(async () => (await runs.list({ limit: 5 })).runs[0]?.id).toBe(id);
  const listed = await runs.list({ limit: 2 });
  expect(listed.runs).toHaveLength(2);
  const rest = await runs.list({ limit: 2, cursor: listed.cursor as string });
  expect([...listed.runs, ...rest.runs].map((one) => one.state)).toEqual(['running', 'terminated', 'terminated']);
  expect(rest.cursor).toBeUndefined();
  const only = async (filter: object) => (await runs.list({ limit: 9, ...filter })).runs.map((one) => one.id);
  expect(await only({ state: 'terminated', operation: 'check-health' })).toEqual([run]);
  expect(await only({ state: 'terminated', requestedBy: 'mcp' })).toEqual([]);
  expect(await only({ state: 'terminated', host: 'pve2' })).toEqual([]);
  expect(await only({ state: 'terminated', until: '1h' })).toEqual([]);
  expect(await only({ state: 'done' })).toEqual([]);
  expect(await runs.get(run)).toMatchObject({ id: run, state: 'terminated', failure: { code: expect.any(String) } });
  expect((await runs.log(run)).at(-1)).toMatchObject({ event: 'terminated' });
  expect(await runs.wait(run, { timeoutMs: 1_000 })).toMatchObject({ state: 'terminated' });
  // The same request is not done twice.
  expect(await runs.start('check-health', { host: 'pve1' }, by, { idempotencyKey: 'one' })).toMatchObject({
    id: run,
    existing: true,
  });
  await next.client.workflow.getHandle(id).terminate();
});

it('what root brings is whose the folder is', async (context) => {
  if (process.getuid?.() !== 0) return context.skip();
  const third = side('third');
  chownSync(third.config.dataDir, 12_345, 12_345);
  // As install.sh makes them: the folder is root's, and what is in it for the group of the service.
  writeFileSync(join(third.configFolder, '.env'), '', { mode: 0o640 });
  chownSync(join(third.configFolder, '.env'), 0, 12_345);
  await importing({ ...third, client: next.client });
  const at = (...names: readonly string[]) => statSync(join(third.config.dataDir, ...names));
  const brought = [
    ['ledger'],
    ['ledger', '0001.sqlite'],
    ['moved-runs'],
    ['moved-runs', 'index.json'],
    ['tokens.json'],
  ];
  for (const names of brought) expect(at(...names).uid, names.join('/')).toBe(12_345);
  for (const name of readdirSync(join(third.config.dataDir, 'moved-runs'))) {
    expect(at('moved-runs', name)).toMatchObject({ uid: 12_345, mode: 0o100600 });
  }
  const policy = statSync(join(third.configFolder, 'policy.yaml'));
  expect(policy).toMatchObject({ uid: 0, gid: 12_345, mode: 0o100640 });
});

it('the move is called off where it began', async () => {
  expect(await cancelExport(old.client, moved)).toHaveLength(total - 1);
  expect(await pausedOn(old)).toEqual(['check-health/daily/pve1']);
  await expect(importing(side('fourth'))).rejects.toThrow(/holds nothing that move export has written/);
});
