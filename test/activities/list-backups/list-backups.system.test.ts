import { join } from 'node:path';
import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { createListBackupsActivities } from '../../../src/activities/list-backups/list-backups.ts';
import type { Config } from '../../../src/config.ts';
import { takenAt } from '../../../src/operations/backup-id.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { hostOf, recordingLog } from '../../proxmox/support.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { backUp, id } from '../back-up/steps.ts';

let host: TestHost;
let simulator: ProxmoxSimulator;
let proxmox: ProxmoxApis;
beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
  proxmox = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, recordingLog().log, { retries: 0 });
});
afterAll(async () => {
  await proxmox.close();
  await simulator.close();
});
beforeEach(() => {
  host = makeHost();
});
afterEach(() => host.close());

const activities = () =>
  createListBackupsActivities({
    ...{ hosts: host.hosts, proxmox, client: host.client },
    config: { copies: { folder: join(host.folder, 'copies') } as Config['copies'] },
  });
const archives = (limit = 30) => host.run(() => activities().listHostArchives({ host: 'pve1', limit }));

it('lists the archives of the host, newest first, by what the host itself knows of each', async () => {
  expect(await archives()).toEqual({
    ...{ backups: [], total: 0, folder: host.layout.backups, gone: [], goneCount: 0, notUnderstood: 0 },
  });
  await backUp(host);
  host.sh(`cd "$backups"; echo x >daily-backup-20200101-020000.tar.gz; touch -d 2020-01-01 daily-backup-20200101-020000.tar.gz
    mkdir -p "$state/backups/daily-backup-20260101-020000"; echo "${'a'.repeat(64)} 1 1 1767225600 $backups" >"$state/backups/daily-backup-20260101-020000/proof"`);
  const listed = await archives();
  expect(listed).toMatchObject({
    total: 2,
    lastGood: { kind: 'host', name: id, state: 'verified', where: host.layout.backups, bytes: expect.any(Number) },
    gone: ['daily-backup-20260101-020000'],
    goneCount: 1,
  });
  expect(listed.backups.map(({ name, state }) => [name, state])).toEqual([
    [id, 'verified'],
    ['daily-backup-20200101-020000', 'unproven'],
  ]);
  expect(listed.lastGood?.ageSeconds).toBeLessThan(300);
  expect((await archives(1)).backups).toHaveLength(1);

  // How long it took, and its copies off the host.
  host.sh(`read -r sum bytes written published folder <"$state/backups/${id}/proof"
    echo "$sum $bytes $written ${Math.floor(takenAt(id) / 1000) + 90} $folder" >"$state/backups/${id}/proof"
    mkdir -p "${host.folder}/copies/pve1"; printf 12345 >"${host.folder}/copies/pve1/${id}.age"
    cat >"${host.folder}/copies/pve1/${id}.json" <<END
    { "version": 1, "host": "pve1", "backup": "${id}", "madeAt": "2026-11-22T05:00:00.000Z", "bytes": 5, "sha256": "${'a'.repeat(64)}",
      "recipients": ["age1x"], "encryptedBy": "host", "archive": { "bytes": 1, "sha256": "${'b'.repeat(64)}" },
      "checked": { "at": "2026-11-23T05:00:00.000Z", "proves": "ciphertext" }, "places": { "nas": { "at": "2026-11-22T06:00:00.000Z" } } }
END`);
  expect((await archives()).lastGood).toMatchObject({
    tookSeconds: 90,
    checkedAt: expect.any(String),
    copies: [
      {
        where: 'service',
        at: '2026-11-22T05:00:00.000Z',
        state: 'whole',
        checkedAt: '2026-11-23T05:00:00.000Z',
        proves: 'ciphertext',
      },
      { where: 'nas', at: '2026-11-22T06:00:00.000Z', state: 'whole' },
    ],
  });

  // One that was changed is not the last good one.
  host.sh(`echo more >>"$backups/${id}.tar.gz"`);
  const changed = await archives();
  expect(changed.lastGood).toBeUndefined();
  expect(changed.backups[0]).toMatchObject({ name: id, state: 'changed' });
});

it('lists the backups of guests that the storages hold, with the last good one of each and who has none', async () => {
  const ways = { commands: false, api: true };
  const list = (more: { vmid?: number; limit?: number } = {}) =>
    host.run(() => activities().listGuestBackups({ host: 'pve1', ways, limit: 30, ...more }));
  const { state } = simulator;
  const before = state.archives.length;
  const [known] = state.archives;
  if (known === undefined) throw new Error('it needs an archive');
  const all = await list();
  expect(all.backups.map(({ vmid }) => vmid)).toEqual([120, 102, 100]);
  expect(all).toMatchObject({ total: 3, isComplete: true, unseen: [] });
  expect(all.lastGood.map(({ vmid }) => vmid).sort()).toEqual([100, 102, 120]);
  expect(all.without.every(({ vmid }) => ![100, 102, 120].includes(vmid))).toBe(true);
  expect(all.labels.find(({ vmid }) => vmid === 100)?.label).toMatch(/^(VM|container) 100/);
  expect(await list({ vmid: 100 })).toMatchObject({ total: 1, backups: [{ vmid: 100 }], without: [] });
  expect((await list({ limit: 1 })).backups).toHaveLength(1);
  expect(before).toBeGreaterThan(0);
  // What is cut off, or dated in the future, is there, and no backup to rely on.
  const ahead = Math.floor(Date.now() / 1000) + 86_400;
  state.archives.push(
    { ...known, vmid: 100, size: 0, takenAt: ahead - 90_000 },
    { ...known, vmid: 100, takenAt: ahead },
  );
  const more = await list({ vmid: 100 });
  state.archives.splice(before);
  expect(more.backups.map(({ state: how }) => how)).toEqual(['not-verified', 'unfinished', 'not-verified']);
  expect(more.lastGood).toEqual([
    expect.objectContaining({ takenAt: all.lastGood.find(({ vmid }) => vmid === 100)?.takenAt }),
  ]);

  // The next job for each.
  state.configuration.backupJobs.set('nightly', {
    id: 'nightly',
    enabled: 1,
    schedule: '02:00',
    all: 1,
    exclude: '102',
  });
  state.configuration.backupJobs.set('off', { id: 'off', enabled: 0, schedule: '02:00', vmid: '102' });
  const planned = await list();
  expect(planned.next?.find(({ vmid }) => vmid === 100)).toMatchObject({ by: 'nightly', at: expect.any(String) });
  expect(planned.next?.some(({ vmid }) => vmid === 102)).toBe(false);
  // A job for a pool is for those who are in it.
  state.configuration.backupJobs.clear();
  state.configuration.backupJobs.set('pooled', { id: 'pooled', enabled: 1, schedule: '02:00', pool: 'web' });
  state.pools.set('web', { vms: new Set([102]), storages: new Set() });
  expect((await list()).next).toMatchObject([{ vmid: 102, by: 'pooled' }]);
  state.pools.delete('web');
  state.configuration.backupJobs.clear();
});

it('says when a schedule that somebody made for a guest backs it up next', async () => {
  const made = (change?: string) => ({
    info: { nextActionTimes: [new Date('2026-11-23T01:00:00Z')] },
    state: { paused: false },
    action: { memo: { own: { leadMs: 3_600_000, input: { host: 'pve1', ...(change !== undefined && { change }) } } } },
  });
  const own = { managedBy: 'proxmox-mcp', own: true };
  const schedules: Readonly<Record<string, ReturnType<typeof made>>> = {
    'back-up-guest/own-a/pve1/100': made(),
    'change-guests/own-b/pve1': made('back-up'),
    'change-guests/own-c/pve1': made('reboot'),
    'change-guests/own-d/pve2': made('back-up'),
  };
  const client = {
    schedule: {
      async *list() {
        for (const scheduleId of Object.keys(schedules)) yield { scheduleId, memo: own };
        yield { scheduleId: 'back-up/daily/pve1', memo: { managedBy: 'proxmox-mcp' } };
      },
      getHandle: (id: string) => ({
        describe: async () => schedules[id] ?? Promise.reject(new ScheduleNotFoundError('none', id)),
      }),
    },
  } as unknown as Pick<Client, 'schedule'>;
  const found = await host.run(() =>
    createListBackupsActivities({
      ...{ hosts: host.hosts, proxmox, client },
      config: { copies: { folder: join(host.folder, 'copies') } as Config['copies'] },
    }).nextBackups({ host: 'pve1' }),
  );
  expect(found).toEqual([
    { schedule: 'back-up-guest/own-a/pve1/100', paused: false, at: '2026-11-23T02:00:00.000Z' },
    { schedule: 'change-guests/own-b/pve1', paused: false, at: '2026-11-23T02:00:00.000Z' },
  ]);
});
