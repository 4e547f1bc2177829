import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config.ts';
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
  expect((await atOnce(configOf('pve1', 'pve2', 'pve3'))).created).toHaveLength(6);
  await expect.poll(listed, { timeout: 30_000 }).toHaveLength(6);
  const { removed } = await atOnce(configOf('pve1'));
  expect(new Set(removed).size).toBe(4);
  await expect.poll(listed, { timeout: 30_000 }).toEqual(['back-up/daily/pve1', 'check-health/daily/pve1']);
}, 120_000);
