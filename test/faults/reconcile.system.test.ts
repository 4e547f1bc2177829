import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config.ts';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import { reconcileSchedules } from '../../src/runs/reconcile-schedules.ts';
import { quietTimeZone } from '../support/quiet-time-zone.ts';
import { useTemporal } from '../support/temporal.ts';

const temporal = useTemporal();
const log = pino({ level: 'silent' });

function configOf(...hosts: readonly string[]): Config {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-reconcile-'));
  try {
    const entries = Object.fromEntries(
      hosts.map((name) => [name, { ENABLE_LOCAL_EXECUTION: 'true', STATE_DIR: `/var/lib/${name}` }]),
    );
    writeFileSync(join(folder, 'hosts.yaml'), JSON.stringify({ hosts: entries }), { mode: 0o600 });
    writeFileSync(join(folder, '.env'), `TIME_ZONE=${quietTimeZone()}\n`, { mode: 0o600 });
    return loadConfig({ cwd: folder, env: {} }).config;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The schedules of the catalogue, where these are the hosts. */
const ofHosts = (...names: readonly string[]) =>
  ['back-up/daily', 'back-up/full', 'back-up/monthly', 'check-health/daily', 'verify-backups/weekly'].flatMap((one) =>
    names.map((name) => `${one}/${name}`),
  );
const ofService = 'back-up-service/daily/service';

it('several workers that start at once make and remove the same schedules, and none fails', async () => {
  const { client } = temporal;
  const atOnce = async (config: Config) => {
    const all = await Promise.all([1, 2, 3].map(() => reconcileSchedules({ client, config, log })));
    return { created: all.flatMap(({ created }) => created), removed: all.flatMap(({ removed }) => removed) };
  };
  const listed = async () => {
    const ids: string[] = [];
    for await (const { scheduleId } of client.schedule.list()) ids.push(scheduleId);
    return ids.sort();
  };
  expect((await atOnce(configOf('pve1', 'pve2', 'pve3'))).created).toHaveLength(16);
  await expect.poll(listed, { timeout: 30_000 }).toHaveLength(16);
  const { removed } = await atOnce(configOf('pve1'));
  expect([...new Set(removed)].sort()).toEqual(ofHosts('pve2', 'pve3'));
  await expect.poll(listed, { timeout: 30_000 }).toEqual([ofService, ...ofHosts('pve1')]);
}, 120_000);

it('a schedule that is refused holds up no other, is named in log and list, and is forgotten when it is mended', async () => {
  const { client } = temporal;
  const dataDir = mkdtempSync(join(tmpdir(), 'proxmox-mcp-reconcile-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const lines: string[] = [];
  const loud = pino({ level: 'error' }, { write: (line) => void lines.push(line) });
  const good = configOf('pve1', 'pve2', 'pve3');
  const zoneOf = (name: string, timeZone: string): Config => ({
    ...good,
    dataDir,
    hosts: good.hosts.map((host) => (host.name === name ? { ...host, timeZone } : host)),
  });
  const [bad, mended] = [zoneOf('pve2', 'Nowhere/Land'), zoneOf('pve2', 'Europe/Berlin')];
  const list = (config: Config) => createSchedules({ client, config }).list();

  const first = await reconcileSchedules({ client, config: bad, log: loud });
  expect(Object.keys(first.refused).sort()).toEqual(ofHosts('pve2'));
  expect(lines.join('')).toContain('back-up/daily/pve2');
  const problems = async (config: Config) =>
    (await list(config)).map(({ id, problem }) => [id, problem?.includes('Nowhere/Land') ?? false]);
  await expect
    .poll(() => problems(bad), { timeout: 30_000 })
    .toEqual([ofService, ...ofHosts('pve1', 'pve2', 'pve3')].map((id) => [id, id.endsWith('/pve2')]));

  expect((await reconcileSchedules({ client, config: mended, log: loud })).refused).toEqual({});
  await expect.poll(() => problems(mended), { timeout: 30_000 }).toHaveLength(16);
  expect((await list(mended)).filter(({ problem }) => problem !== undefined)).toEqual([]);

  // What only the server refuses: the same.
  const create = client.schedule.create.bind(client.schedule);
  const picky = Object.create(client, {
    schedule: {
      value: Object.create(client.schedule, {
        create: {
          value: (options: { spec: object }) => create({ ...options, spec: { cronExpressions: ['x'] } } as never),
        },
      }),
    },
  });
  const two = await reconcileSchedules({ client: picky, config: { ...configOf('pve1', 'pve4'), dataDir }, log: loud });
  expect(Object.keys(two.refused).sort()).toEqual(ofHosts('pve4'));
}, 120_000);

it('a server that does not answer is no fault of a schedule', async () => {
  const away = Object.assign(new Error('14 UNAVAILABLE'), { code: 14, details: 'away', metadata: {} });
  const { client } = temporal;
  const cut = Object.create(client, {
    schedule: { value: Object.create(client.schedule, { create: { value: () => Promise.reject(away) } }) },
  });
  await expect(reconcileSchedules({ client: cut, config: configOf('pve9'), log })).rejects.toBe(away);
});
