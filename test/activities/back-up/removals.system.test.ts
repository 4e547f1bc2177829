import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import type { HostConfig } from '../../../src/config.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { type BackupKind, freeBackupId, takenAt } from '../../../src/operations/backup-id.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { standIns } from '../../support/stand-ins.ts';

// What the host itself refuses to remove, whoever asks: who has the service's key may call `remove-backup` as they like.

let host: TestHost;
beforeEach(() => {
  host = makeHost();
});
afterEach(async () => {
  await host.close();
});

const dayMs = 86_400_000;

/** An archive as the host would have published it so many days ago. */
function published(daysAgo: number, kind: BackupKind = 'daily'): string {
  const id = freeBackupId(kind, Date.now() - daysAgo * dayMs, readdirSync(host.folder));
  const seconds = Math.floor(takenAt(id) / 1000);
  host.sh(`mkdir -p "$backups" "$state/backups/${id}"; cd "$backups"; echo ${id} >${id}.tar.gz; touch -d @${seconds} ${id}.tar.gz
    sum=$(sha256sum <${id}.tar.gz | cut -c1-64); echo "$sum $(stat -c %s ${id}.tar.gz) ${seconds} ${seconds} $(realpath "$backups")" >"$state/backups/${id}/proof"`);
  return id;
}

let jobs = 0;
function job(verb: string, ...args: readonly string[]): { readonly code: string; readonly said: string } {
  jobs += 1;
  const one = `job-${jobs}`;
  host.sh(
    `"$helper" job-start ${one} - ${verb} 1 ${args.join(' ')}; until [ -e "$state/jobs/${one}/exit" ]; do sleep 0.05; done`,
  );
  const said = host.sh(`cat "$state/jobs/${one}/stdout" "$state/jobs/${one}/stderr"`);
  return { code: host.sh(`cut -d' ' -f1 "$state/jobs/${one}/exit"`).trim(), said };
}

const remove = (id: string) => job('remove-backup', id);
const archives = () => readdirSync(host.layout.backups).filter((name) => name.endsWith('.tar.gz'));

it('keeps the newest three days of each kind', () => {
  const full = [60, 50, 40, 30].map((old) => published(old, 'full'));
  for (const old of [3, 2, 1, 0]) published(old);
  // Newer ones of another kind are no reason.
  expect(remove(full[1] ?? '')).toMatchObject({ code: '9', said: expect.stringContaining('three days are kept') });
  expect(remove(full[0] ?? '')).toMatchObject({ code: '0' });
  for (const id of full.slice(1)) expect(remove(id).code, id).toBe('9');
});

it('keeps them however many were made today', () => {
  const old = [40, 30, 20].map((days) => published(days));
  for (let made = 0; made < 6; made += 1) published(made / 1000);
  expect(remove(old[1] ?? '')).toMatchObject({ code: '9', said: expect.stringContaining('of 2 days') });
  expect(remove(old[2] ?? '').code).toBe('9');
});

it('removes four within a day, and counts one that is removed again once', () => {
  const old = [40, 39, 38, 37, 36, 35].map((days) => published(days));
  for (const days of [3, 2, 1]) published(days);
  for (const id of old.slice(0, 4)) expect(remove(id)).toMatchObject({ code: '0' });
  expect(remove(old[3] ?? '').code).toBe('0');
  expect(remove(old[4] ?? '')).toMatchObject({ code: '9', said: expect.stringContaining('more go tomorrow') });
  // A record that was cut off by a crash counts for what it says.
  host.sh(`sed -i 's/^[0-9]*/1/' "$state/removals"`);
  expect(remove(old[4] ?? '')).toMatchObject({ code: '0' });
  expect(host.sh(`grep -c . "$state/removals"`).trim()).toBe('1');
  expect(archives()).toHaveLength(4);
});

it('counts one at a time', () => {
  const old = [40, 39, 38, 37, 36, 35, 34, 33].map((days) => published(days));
  for (const days of [3, 2, 1]) published(days);
  host.sh(
    old.map((id, index) => `"$helper" job-start both-${index} - remove-backup 1 ${id} >/dev/null &`).join('\n') +
      `\nwait; for job in ${old.map((_, index) => `both-${index}`).join(' ')}; do until [ -e "$state/jobs/$job/exit" ]; do sleep 0.05; done; done`,
  );
  expect(archives()).toHaveLength(old.length - 4 + 3);
});

it('never removes what an administrator protects, or what was proven last by a restore', async () => {
  const [first = '', second = '', third = ''] = [40, 39, 38].map((days) => published(days));
  for (const days of [3, 2, 1]) published(days);
  host.sh(`echo 1 >"$state/backups/${first}/protected"; echo 1700000000 >"$state/backups/${second}/proven"
    echo 1600000000 >"$state/backups/${third}/proven"`);
  expect(remove(first)).toMatchObject({ code: '9', said: expect.stringContaining('is protected') });
  expect(remove(second)).toMatchObject({ code: '9', said: expect.stringContaining('to prove it') });
  const { protected: kept, proven } = await host.hosts.get('pve1').run(listBackups, {});
  expect(kept).toEqual([first]);
  expect(proven.map(({ id }) => id).sort()).toEqual([second, third].sort());
  // The service doesn't even ask.
  const activities = createBackupActivities(host);
  const plan = await host.run(() => activities.planBackupRetention({ host: 'pve1' }));
  expect(plan.remove).toEqual([]);
  expect(remove(third).code).toBe('0');
});

it('looks once more at what is protected, after it has read the newest one', () => {
  const [first = ''] = [40, 39].map((days) => published(days));
  for (const days of [3, 2, 1]) published(days);
  const programs = standIns(host);
  for (const program of ['openssl', 'sha256sum'])
    programs.put(program, `echo 1 >'${host.layout.state}/backups/${first}/protected'; exec /usr/bin/${program} "$@"`);
  expect(remove(first)).toMatchObject({ code: '9', said: expect.stringContaining('is protected') });
  programs.remove();
  expect(archives()).toContain(`${first}.tar.gz`);
});

it('is asked for what is configured', async () => {
  for (const days of [12, 11, 10, 9, 2, 1, 0]) published(days);
  const activities = createBackupActivities(host);
  const plan = async (keep: HostConfig['keep']) => {
    Object.assign(host.hosts.get('pve1').config, { keep });
    return await host.run(() => activities.planBackupRetention({ host: 'pve1' }));
  };
  expect((await plan({})).remove).toEqual([]);
  expect((await plan({ daily: 'keep-last=3' })).remove).toHaveLength(2);
  expect((await plan({ daily: 'keep-last=6' })).remove).toHaveLength(1);
  expect((await plan({ full: 'keep-last=3' })).remove).toEqual([]);
});
