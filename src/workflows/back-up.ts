import { isCancellation } from '@temporalio/workflow';
import type { ArchivedVolume, BackupActivities, BackupLook, CollectedFiles } from '../activities/back-up/back-up.ts';
import type { BackupContents } from '../activities/back-up/look.ts';
import type { RetentionPlan } from '../activities/back-up/retention.ts';
import { backUp as definition } from '../operations/back-up.ts';
import type { Finding } from '../operations/finding.ts';
import type { Section } from '../operations/report.ts';
import { readableBytes } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { failureOf } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';

/**
 * The guide's daily backup. Everything is made under hidden names and read back before the archive gets its own; until
 * then a failure takes all of it back. Removing old archives comes last and can't fail the backup.
 */
export const backUp = operationWorkflow(definition, async (run) => {
  const { host, kind } = run.input;
  const on = (policy: Policy) => (summary: string) => onHost<BackupActivities>(host, policy, summary);
  const [look, act, job, undo] = [on('look'), on('act'), on('job'), on('undo')];

  const found = await run.step(
    'Look',
    (summary) => on('survey')(summary).lookForBackup({ host, kind, at: run.begunAt }),
    describeLook,
  );
  if (!found.isInstalled) {
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
  if (run.input.dryRun) {
    const plan = await look('Plan retention').planBackupRetention({ host, adding: id });
    return {
      output: { removed: [...plan.remove], kept: plan.keep.length },
      summary: `Would back up ${host} to ${found.folder}/${id}.tar.gz; nothing was changed.`,
      sections: [contents(found), retention(plan, 'Would remove'), ...listings({ found, plan })],
    };
  }

  run.onUndo(
    'Collect',
    () => undo('Remove what was begun').abandonBackup(backup()),
    async () => {
      const left = await on('survey')('Look at what is left').lookForBackup({ host, kind, at: run.begunAt });
      return left.isInstalled ? left.leftovers.join(' ') : '';
    },
  );
  const collected = await run.step(
    'Collect',
    (summary) => job(summary).collectBackup(backup()),
    ({ entries }) => `${entries} files and folders`,
  );
  const volumes = found.volumes.map(({ name }) => name);
  let archived: readonly ArchivedVolume[] = [];
  if (volumes.length === 0) run.skip('Volumes', 'There are none');
  else
    archived = await run.step(
      'Volumes',
      (summary) => job(summary).archiveVolumes({ ...backup(), volumes }),
      () => volumes.join(', '),
    );
  await run.step(
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

  const kept = await removeOld();
  const archive: Finding[] = [
    { check: 'Archive', verdict: 'ok', summary: `${published.path}, ${readableBytes(published.bytes)}` },
    {
      check: 'Read back',
      verdict: 'ok',
      summary: `${verified.files} checksums agree`,
      evidence: `sha256 ${published.sha256}`,
    },
    ...(collected.sudoers ? [] : [noSudoers(found)]),
    ...replaced(found, collected),
    ...archived.filter(({ changed }) => changed).map(changedVolume),
  ];
  return {
    output: {
      archive: { ...published, entries: verified.entries, volumes },
      removed: [...kept.removed],
      kept: kept.kept,
    },
    summary: `Backed up ${host} to ${published.path} (${readableBytes(published.bytes)}).`,
    sections: [
      { title: 'Archive', findings: archive },
      contents(found),
      kept.section,
      ...listings({ found, collected, plan: kept.plan }),
    ],
  };

  async function removeOld(): Promise<{ removed: string[]; kept: number; section: Section; plan?: Listed }> {
    const removed: string[] = [];
    try {
      return await run.step('Retention', async (summary) => {
        const plan = await act(summary).planBackupRetention({ host });
        for (const old of plan.remove) {
          await job(`Remove ${old}`).removeBackup({ host, id: old, fence: run.fence, keeping: id });
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
});

function describeLook(look: BackupLook): string {
  if (!look.isInstalled) return 'There is no installation';
  return `${look.entries} files and folders, ${readableBytes(look.bytes)}; ${readableBytes(look.freeBytes)} free`;
}

function contents(look: BackupContents): Section {
  return {
    title: 'Contents',
    findings: [
      {
        check: 'Installation',
        verdict: 'ok',
        summary: `${look.installation}: ${look.entries} files and folders, ${readableBytes(look.bytes)}`,
      },
      look.sudoers.there ? { check: 'Sudoers', verdict: 'ok', summary: look.sudoers.path } : noSudoers(look),
      ...look.volumes.map(
        ({ name, bytes }): Finding => ({ check: `Volume ${name}`, verdict: 'ok', summary: readableBytes(bytes) }),
      ),
      ...look.skippedVolumes.map(
        ({ name, why, verdict }): Finding => ({ check: `Volume ${name}`, verdict, summary: why }),
      ),
    ],
  };
}

/** What of the installation isn't in the archive. */
function replaced({ installation }: BackupContents, { replaced: names }: CollectedFiles): readonly Finding[] {
  if (names.length === 0) return [];
  return [
    {
      check: 'Left out',
      verdict: 'warning',
      summary: `Of ${installation} this is not in the archive, because the archive has its own of that name: ${names.join(', ')}. A recovery left it there.`,
      remedy: "Remove it there if it isn't needed.",
    },
  ];
}

/** Not a warning: logs change all the time, and nobody can do anything about it. */
function changedVolume({ name }: ArchivedVolume): Finding {
  return {
    check: `Volume ${name}`,
    verdict: 'ok',
    summary: 'It was written to while it was read, as logs are; a database in it may not be consistent in the archive.',
  };
}

function noSudoers(look: BackupContents): Finding {
  return {
    check: 'Sudoers',
    verdict: 'warning',
    summary: `${look.sudoers.path} isn't there, so it isn't in the archive`,
  };
}

function nothingThere(installation: string): Finding {
  return {
    check: 'Installation',
    verdict: 'skipped',
    summary: `There is no installation at ${installation} on this host, and no archive of one.`,
  };
}

/** A list of the host that may hold lines that nobody understands. */
interface Listed {
  readonly notUnderstood: number;
}

/** What else somebody put where the host's lists are read from; such lines are left alone. */
function listings({
  found,
  collected,
  plan,
}: {
  readonly found: Listed;
  readonly collected?: Listed;
  readonly plan?: Listed | undefined;
}): readonly Section[] {
  const counts = {
    'List of backups': Math.max(found.notUnderstood, plan?.notUnderstood ?? 0),
    'List of jobs': collected?.notUnderstood ?? 0,
  };
  const findings = Object.entries(counts).flatMap(([check, lines]): Finding[] => {
    if (lines === 0) return [];
    const summary = `${lines} lines of the listing aren't understood; what they may name was left alone`;
    return [{ check, verdict: 'unknown', summary, remedy: 'Look at the folder on the host.' }];
  });
  return findings.length === 0 ? [] : [{ title: 'Listings', findings }];
}

function retention(plan: RetentionPlan, verb: 'Removed' | 'Would remove'): Section {
  return {
    title: 'Retention',
    findings: [
      {
        check: verb,
        verdict: 'ok',
        summary: plan.remove.length > 0 ? plan.remove.join(', ') : 'Nothing: no archive is old enough',
      },
      {
        check: 'Kept',
        verdict: 'ok',
        summary: plan.keep.map(({ id, why }) => `${id} (${why})`).join('; ') || 'Nothing yet',
      },
    ],
  };
}
