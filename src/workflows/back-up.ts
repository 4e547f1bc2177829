import { ApplicationFailure, isCancellation, patched } from '@temporalio/workflow';
import type { z } from 'zod';
import type {
  ArchivedVolume,
  BackupActivities,
  BackupLook,
  CollectedHost,
  ComparedBackup,
} from '../activities/back-up/back-up.ts';
import type { RetentionPlan } from '../backups/plan-retention.ts';
import { backUp as definition } from '../operations/back-up.ts';
import { copyBackups } from '../operations/copy-backups.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import type { Section } from '../operations/report.ts';
import { readableBytes } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { contents, describeHost, describeLook, nothingThere } from './lib/backup-contents.ts';
import { archiveFindings, type Listed, listings, olderArchives, retention, secondCopy } from './lib/backup-findings.ts';
import { failureOf, isAboutTheWay } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { Done, Planned, PlanningRun, Run } from './lib/run.ts';

/**
 * The guide's backups. Everything is made under hidden names and read back before the archive gets its own; until
 * then a failure takes all of it back. An archive that holds less than the last good one is kept and the run fails: it
 * counts for nothing until an administrator accepts it. Removing old archives comes last and can't fail the backup.
 */
export const backUp = operationWorkflow(definition, {
  plan: (run) => withLastGood(run.input.host, () => planBackup(run)),
  act: (run, found) => withLastGood(run.input.host, () => makeBackup(run, found)),
});

async function planBackup(run: PlanningRun<BackupInput>): Promise<Planned<BackupLook, BackupOutput>> {
  const { host, kind, anyTarget } = run.input;
  const on = reach(host);
  const found = await run.step(
    'Look',
    (summary) => on('survey')(summary).lookForBackup({ host, kind, anyTarget }),
    describeLook,
  );
  if (!patched('plan')) return { known: found };
  const volumes = found.volumes.map(({ name }) => name);
  const { steps, retention: plan } = await on('look')('Plan').planBackup({ host, id: found.id, volumes });
  return {
    known: found,
    would: {
      plan: planOf(host, found, steps, plan),
      output: { removed: [...plan.remove], kept: plan.keep.length },
      sections: [...contents(found), retention(plan, 'Would remove'), ...listings({ found, plan })],
    },
  };
}

function planOf(host: string, found: BackupLook, steps: PlanDraft['steps'], { remove }: RetentionPlan): PlanDraft {
  return {
    summary: `back up ${host} to a new archive in ${found.folder}`,
    steps,
    state: [
      { name: 'Installation', value: found.isInstalled ? found.installation : 'none' },
      { name: 'Volumes', value: found.volumes.map(({ name }) => name).join(', ') || 'none' },
      { name: 'Backup folder', value: found.folder },
      { name: 'Retention removes', value: remove.join(', ') || 'nothing' },
    ],
    affected: [
      ...remove.map((id) => `The archive ${id} goes, as retention wants`),
      `${readableBytes(found.neededBytes)} of ${readableBytes(found.freeBytes)} free in ${found.folder} are needed while it is made`,
    ],
    risks: [],
    undo: [
      'Until the archive has its name everything is taken back',
      ...(remove.length === 0 ? [] : ['What retention removes can not be brought back']),
    ],
  };
}

async function makeBackup(run: BackupRun, found: BackupLook): Promise<Done<BackupOutput>> {
  const { host, kind, anyTarget } = run.input;
  const on = reach(host);
  const [act, job, undo] = [on('act'), on('job'), on('undo')];
  // Runs that looked before the host's own configuration was backed up go on without it.
  const takesHost = patched('host-configuration');
  if (!takesHost && !found.isInstalled) {
    for (const title of definition.steps.slice(1)) run.skip(title, 'There is nothing to back up');
    return {
      output: { removed: [], kept: 0 },
      summary: `There is no installation on ${host}, so there was nothing to back up.`,
      sections: [{ title: 'Contents', findings: [nothingThere(found.installation)] }],
    };
  }
  const { id } = found;
  // Read anew for every call: the fence is another one after a person was asked.
  const backup = () => ({ host, id, fence: run.fence });

  run.onUndo(
    'Collect',
    () => undo('Remove what was begun').abandonBackup(backup()),
    async () => {
      const left = await on('survey')('Look at what is left').lookForBackup({ host, kind, anyTarget });
      return (left.leftovers ?? []).join(' ');
    },
  );
  const collected = await run.step(
    'Collect',
    (summary) => job(summary).collectBackup(backup()),
    ({ entries }) =>
      found.isInstalled ? `${entries} files and folders of the installation` : 'There is no installation',
  );
  let own: CollectedHost | undefined;
  if (takesHost) own = await run.step('Host', (summary) => job(summary).collectHost(backup()), describeHost);
  else run.skip('Host', 'The run was begun by an earlier version');
  const { volumes } = collected;
  let archived: readonly ArchivedVolume[] = [];
  if (volumes.length === 0) run.skip('Volumes', 'There are none');
  else
    archived = await run.step(
      'Volumes',
      (summary) => job(summary).archiveVolumes({ ...backup(), volumes }),
      () => volumes.join(', '),
    );
  const packed = await run.step(
    'Pack',
    (summary) => job(summary).packBackup(backup()),
    ({ bytes }) => readableBytes(bytes),
  );
  const verified = await run.step(
    'Verify',
    (summary) => job(summary).verifyBackup(backup()),
    ({ files }) => `${files} checksums agree`,
  );
  const published = await run.step(
    'Publish',
    (summary) => job(summary).publishBackup({ ...backup(), sha256: verified.sha256 }),
    ({ path }) => path,
  );
  run.commit();

  const checked = await readAgain();
  const kept = await removeOld();
  const reasons = packed.doubts.filter(({ verdict }) => verdict === 'failed');
  const copy = async () =>
    found.isCopied && patched('copies') ? await run.afterwards(copyBackups, { host }) : undefined;
  if (reasons.length > 0) {
    // Older good ones without a copy are there still, and those that are there are compared.
    // What becomes of that is another run's to say.
    if (patched('copies-beside-doubts')) await copy().catch(() => undefined);
    throw lessThanBefore(host, id, packed, reasons);
  }
  const copied = await copy();
  return {
    output: {
      archive: { ...published, entries: verified.entries, volumes: [...volumes] },
      removed: [...kept.removed],
      kept: kept.kept,
    },
    summary: `Backed up ${host} to ${published.path} (${readableBytes(published.bytes)}).`,
    sections: [
      {
        title: 'Archive',
        findings: archiveFindings({ host, found, collected, own, archived, packed, verified, published }),
      },
      ...contents(found, own),
      ...(checked === undefined ? [] : [{ title: 'Older archives', findings: [...checked] }]),
      ...(found.isCopied === undefined ? [] : [{ title: 'Second copy', findings: [secondCopy(host, copied)] }]),
      kept.section,
      ...listings({ found, collected, plan: kept.plan }),
    ],
  };

  async function readAgain(): Promise<readonly Finding[] | undefined> {
    try {
      const checked = await run.step(
        'Read again',
        (summary) => job(summary).checkArchives(backup()),
        ({ whole, broken, unsealed = [] }) => [...whole, ...broken, ...unsealed].join(', ') || 'None is due',
      );
      return olderArchives(checked);
    } catch (error) {
      if (isCancellation(error)) return undefined;
      return [{ check: 'Read again', verdict: 'warning', summary: failureOf(error).message }];
    }
  }

  async function removeOld(): Promise<{ removed: string[]; kept: number; section: Section; plan?: Listed }> {
    const removed: string[] = [];
    try {
      return await run.step('Retention', async (summary) => {
        const plan = await act(summary).planBackupRetention({ host });
        for (const old of plan.remove) {
          await job(`Remove ${old}`).removeBackup({ host, id: old, fence: run.fence });
          removed.push(old);
        }
        return { removed, kept: plan.keep.length, section: retention(plan, 'Removed'), plan };
      });
    } catch (error) {
      // The archive is published and stays, so the backup is done, whoever asked the run to stop meanwhile.
      const summary = isCancellation(error)
        ? 'The run was asked to stop while old archives were removed; the others are kept until the next backup.'
        : failureOf(error).message;
      const problem: Finding = { check: 'Retention', verdict: 'warning', summary };
      return { removed, kept: 0, section: { title: 'Retention', findings: [problem] } };
    }
  }
}

function reach(host: string) {
  return (policy: Policy) => (summary: string) => onHost<BackupActivities>(host, policy, summary);
}

type BackupInput = z.output<typeof definition.input>;
type BackupRun = Run<BackupInput>;
type BackupOutput = z.output<typeof definition.output>;

/** A failure says how old the last good backup is. Not where the host is away: it would only be waited for again. */
async function withLastGood<T>(host: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw await lastGoodTold(host, error);
  }
}

async function lastGoodTold(host: string, error: unknown): Promise<unknown> {
  const { code, message, remedy } = failureOf(error);
  // A run without an approval of its own begins anew.
  if (isCancellation(error) || isAboutTheWay(code) || code === 'approval-spent') return error;
  try {
    const last = await onHost<BackupActivities>(host, 'look', 'Look for the last good backup').tellLastGood({ host });
    return ApplicationFailure.create({
      message: `${message} ${last}`,
      type: code,
      nonRetryable: true,
      details: [{ code, remedy }],
    });
  } catch {
    return error;
  }
}

function lessThanBefore(
  host: string,
  id: string,
  { last }: ComparedBackup,
  doubts: ComparedBackup['doubts'],
): ApplicationFailure {
  const than = last === undefined ? '' : ` Compared with ${last}:`;
  const remedy = `Put it right and back up again. If it is meant to be so, an administrator lets it count: npx proxmox-mcp host accept-backup ${host} ${id}`;
  return ApplicationFailure.create({
    message: `The archive ${id} was made and read back, but it does not count as a good backup.${than} ${doubts.map(({ summary }) => summary).join('; ')}. ${remedy}`,
    type: 'verification-failed',
    nonRetryable: true,
    details: [{ code: 'verification-failed', remedy }],
  });
}
