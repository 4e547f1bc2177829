import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { judgeNone } from '../../../src/activities/check-health/backups.ts';
import { backedUpSince, inspectLastKnown, judgeLastKnown } from '../../../src/activities/check-health/last-known.ts';
import { keys } from '../../../src/workflows/lib/attributes.ts';
import { nobodysClient } from '../../support/local-host.ts';
import { bundle, useTemporal } from '../../support/temporal.ts';

const temporal = useTemporal();
beforeAll(async () => {
  await temporal.work({ workflowBundle: await bundle(join(import.meta.dirname, 'known-runs.ts')), activities: {} });
}, 600_000);

const now = Date.parse('2026-11-22T08:00:00Z');
const hour = 3_600_000;

let runs = 0;
async function ended(host: string, archive: { path: string; counts: boolean } | undefined, hoursAgo: number) {
  runs += 1;
  await temporal.client.workflow.execute('backUp', {
    taskQueue: 'proxmox-mcp',
    workflowId: `back-up/${host}/${runs}`,
    args: [
      {
        report: { finishedAt: new Date(now - hoursAgo * hour).toISOString() },
        output: { ...(archive && { archive }) },
      },
    ],
    typedSearchAttributes: [
      { key: keys.target, value: host },
      { key: keys.outcome, value: 'done' },
    ],
  });
}
const known = (host: string) => inspectLastKnown(temporal.client, host, 'UTC', now);

describe('the last good backup of a host that is away', () => {
  it('is that of the newest run of the service that made one which counts', async () => {
    await ended('pve1', { path: '/backups/daily-backup-20261120-020000.tar.gz', counts: true }, 54);
    await ended('pve1', { path: '/backups/daily-backup-20261121-020000.tar.gz', counts: true }, 30);
    await ended('pve1', { path: '/backups/daily-backup-20261122-020000.tar.gz', counts: false }, 6);
    await ended('pve1', undefined, 5);
    await ended('pve2', { path: '/backups/other.tar.gz', counts: true }, 1);
    await expect
      .poll(() => known('pve1'), { timeout: 20_000 })
      .toMatchObject({
        check: 'Last known good backup',
        verdict: 'warning',
        summary:
          'As this service knows it, /backups/daily-backup-20261121-020000.tar.gz was published 30 h 0 min ago, 2026-11-21 02:00:00 UTC.',
        remedy: 'Once pve1 answers: npx proxmox-mcp back-up --host pve1',
      });
  });

  it('is unknown where the service has made none, or can not be asked', async () => {
    expect(await known('pve9')).toMatchObject({
      verdict: 'unknown',
      summary: 'This service knows of no good backup of pve9.',
    });
    expect(await inspectLastKnown(nobodysClient, 'pve1', 'UTC')).toMatchObject({ verdict: 'unknown' });
  }, 20_000);

  it.each([
    [6, 'ok'],
    [26, 'warning'],
    [50, 'failed'],
  ])('of %i hours ago is %s', (hours, verdict) => {
    const at = new Date(now - hours * hour).toISOString();
    expect(judgeLastKnown('/b', at, { host: 'pve1', timeZone: 'UTC', now }).verdict).toBe(verdict);
  });
});

describe('a host of which there was never a backup', () => {
  it('is nothing wrong in its first days, and has failed when its schedule is older, paused or not', async () => {
    expect(await backedUpSince(temporal.client, 'pve1')).toBeUndefined();
    await temporal.client.schedule.create({
      scheduleId: 'back-up/daily/pve1',
      spec: { calendars: [{ hour: 2 }] },
      action: { type: 'startWorkflow', workflowType: 'backUp', taskQueue: 'proxmox-mcp' },
      state: { paused: true },
    });
    const since = await backedUpSince(temporal.client, 'pve1');
    expect(Math.abs(Date.now() - (since ?? 0))).toBeLessThan(60_000);
    expect(judgeNone('pve1', { since, now: Date.now() }).verdict).toBe('skipped');
    expect(judgeNone('pve1', { since: undefined, now })).toMatchObject({
      verdict: 'skipped',
      remedy: 'Make one: npx proxmox-mcp back-up --host pve1',
    });
    expect(judgeNone('pve1', { since: now - 51 * hour, now })).toMatchObject({ verdict: 'failed' });
    expect(await backedUpSince(nobodysClient, 'pve1')).toBeUndefined();
  }, 30_000);
});
