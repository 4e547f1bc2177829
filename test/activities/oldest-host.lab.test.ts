import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stillHad, whyNoLab } from '../../lab/hosts/available.ts';
import { startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { createBackupActivities } from '../../src/activities/back-up/back-up.ts';
import { createHealthActivities } from '../../src/activities/check-health/check-health.ts';
import { defaultLayout as layout } from '../../src/hosts/helper/default-layout.ts';
import { findingsOf, type Section } from '../../src/operations/report.ts';
import { looksOf } from '../support/health.ts';
import { type ActivityLab, activityOf, attemptIn, startActivityLab } from '../support/lab-activities.ts';
import { nobodysClient } from '../support/local-host.ts';

// The oldest programs that a supported host has: coreutils 8.32, findutils 4.8, tar 1.34, systemd 247, curl 7.74.
const oldest = [{ name: 'Debian 11', debian: 'bullseye' }] as const;

describe.skipIf(whyNoLab()).each(await stillHad(oldest))('the programs of $name', ({ debian }) => {
  let machine: ActivityLab;
  const run = randomUUID();
  const attempt = <T>(work: () => Promise<T>) => attemptIn(activityOf(run), work);
  beforeAll(async () => {
    machine = await startActivityLab({ debian });
  }, startTimeoutMs);
  afterAll(() => machine?.stop());

  it('make, read back, list, read again and compare a backup', async () => {
    const activities = createBackupActivities(machine);
    const back = async () => {
      const look = await attempt(() => activities.lookForBackup({ host: 'pve1', kind: 'daily', anyTarget: false }));
      if (!look.isInstalled) throw new Error('no installation');
      const input = { host: 'pve1', id: look.id, fence: Date.now() };
      const { volumes } = await attempt(() => activities.collectBackup(input));
      await attempt(() => activities.collectHost(input));
      await attempt(() => activities.archiveVolumes({ ...input, volumes }));
      const { doubts } = await attempt(() => activities.packBackup(input));
      const { sha256 } = await attempt(() => activities.verifyBackup(input));
      const { counts, path } = await attempt(() => activities.publishBackup({ ...input, sha256 }));
      return { input, doubts, counts, path };
    };
    const first = await back();
    expect(first).toMatchObject({ doubts: [], counts: true });
    await machine.onHost(`tar -tzf ${first.path} >/dev/null; truncate -s 0 ${layout.installation}/.env`);
    const second = await back();
    expect(second).toMatchObject({ doubts: [{ summary: expect.stringContaining('empty: .env') }], counts: false });
    await machine.onHost(`rm ${layout.state}/backups/${first.input.id}/checked; touch ${first.path}`);
    expect(await attempt(() => activities.checkArchives(second.input))).toEqual({
      whole: [first.input.id],
      broken: [],
      unsealed: [],
    });
    const plan = await attempt(() => activities.planBackupRetention({ host: 'pve1' }));
    expect(plan).toMatchObject({ remove: [], notUnderstood: 0 });
  }, 120_000);

  it('answer every look of the health check', async () => {
    const health = createHealthActivities({ ...machine, client: nobodysClient });
    const sections = await Promise.all(
      looksOf(health).map((inspect) => attempt<Section>(() => inspect({ host: 'pve1' }))),
    );
    const unknown = findingsOf(sections).filter(({ verdict }) => verdict === 'unknown');
    // Which nobody's Temporal server knows.
    expect(unknown.map(({ check }) => check)).toEqual(['Paused runs']);
  }, 120_000);
});
