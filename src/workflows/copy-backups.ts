import { ApplicationFailure, isCancellation } from '@temporalio/workflow';
import type {
  CopiedBackup,
  CopiesLook,
  CopyBackupsActivities,
  KnownCopy,
} from '../activities/copy-backups/copy-backups.ts';
import { copyBackups as definition } from '../operations/copy-backups.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import type { Section } from '../operations/report.ts';
import { readableBytes, readableTime } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { ofProof } from './lib/copies.ts';
import { failureOf } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import { requireNotCancelled } from './lib/undo.ts';

/**
 * A second copy of what the host has verified, each encrypted anew and written under a name of its own until all of it has come:
 * a stream that was cut begins again. What fails of one archive stops none of the others.
 */
export const copyBackups = operationWorkflow(definition, {
  async plan(run) {
    const { host, backup } = run.input;
    const found = await run.step(
      'Look',
      (summary) => on('look', host, summary).lookAtCopies({ host, backup }),
      ({ missing }) => `${missing.length} without a copy`,
    );
    const { remove } = await on('look', host, 'Plan').retainCopies({ host, dryRun: true });
    return {
      known: found,
      would: {
        plan: planOf(host, found, remove),
        output: { copied: [], missing: namesOf(found), copies: found.copies.length, removed: [...remove] },
        sections: [...ofLook(found), ofCopies(found.copies)],
      },
    };
  },

  async act(run, found) {
    const { host, backup } = run.input;
    const job = (summary: string) => on('job', host, summary);
    const copied: CopiedBackup[] = [];
    const failed: Finding[] = [];
    const judge = async (check: string, work: () => Promise<void>) => {
      try {
        await work();
      } catch (error) {
        if (isCancellation(error)) throw error;
        // Cancelled while there was no worker, it ends as what its worker was lost for.
        requireNotCancelled();
        const { message, remedy } = failureOf(error);
        failed.push({ check, verdict: 'failed', summary: message, remedy });
      }
    };

    // What was copied stays, whatever becomes of the next; only what has no name yet goes.
    run.onUndo('Copy', () => on('undo', host, 'Remove what was begun').dropParts({ host }));
    if (found.by === undefined) run.skip('Copy', 'No copy can be made');
    else if (found.missing.length === 0) run.skip('Copy', 'Every archive has one');
    else
      await run.step('Copy', async (summary) => {
        for (const archive of found.missing) {
          run.note('Copy', `${archive.backup}, ${readableBytes(archive.bytes)}`);
          await judge(archive.backup, async () => {
            copied.push(await job(summary).copyBackup({ host, archive }));
          });
        }
      });
    const notCopied = [...failed];
    requireNotCancelled();
    run.commit();
    const lacking = found.places.flatMap((place) =>
      [...copied, ...found.copies.filter((one) => one.state === 'whole' && !one.places.includes(place))]
        .map(({ backup: id }) => id)
        .filter((id, at, all) => all.indexOf(id) === at)
        .map((id) => ({ id, place })),
    );
    if (lacking.length === 0)
      run.skip('Further places', found.places.length === 0 ? 'None is configured' : 'All is there');
    else
      await run.step('Further places', async (summary) => {
        for (const { id, place } of lacking)
          await judge(`${id} in ${place}`, () => job(summary).bringCopy({ host, backup: id, place }));
      });

    const compared: Finding[] = [];
    const due = dueForComparison(found.copies, copied);
    if (due.length === 0) run.skip('Compare', 'There is no copy');
    else
      await run.step('Compare', async (summary) => {
        for (const id of due)
          await judge(id, async () => {
            const proof = await job(summary).verifyCopy({ host, backup: id });
            compared.push(ofProof(id, proof));
          });
      });
    const gone: string[] = [];
    await run.step('Retention', (summary) =>
      judge('Retention', async () => {
        const plan = await on('look', host, summary).retainCopies({ host, dryRun: false });
        gone.push(...plan.remove);
        if (plan.refused !== undefined) compared.push(refusedRetention(plan.refused));
      }),
    );

    const after = await on('look', host, 'Look again').lookAtCopies({ host, backup });
    if (copied.length === 0 && notCopied.length > 0) throw nothingCopied(notCopied);
    const missing = namesOf(after);
    return {
      output: { copied, missing, copies: after.copies.length, removed: gone },
      summary: summaryOf(host, found, copied, missing),
      sections: [
        ...ofLook(after, failed),
        ...(compared.length === 0 ? [] : [{ title: 'Compared', findings: compared }]),
        ofCopies(after.copies),
      ],
    };
  },
});

function on(policy: Policy, host: string, summary: string) {
  return onHost<CopyBackupsActivities>(host, policy, summary);
}

/** So many older copies are read again in one run. */
const readAgain = 2;

/** Those that were written now, and of the others those that were compared longest ago. */
function dueForComparison(copies: readonly KnownCopy[], copied: readonly CopiedBackup[]): readonly string[] {
  const isNew = ({ backup }: KnownCopy) => copied.some((one) => one.backup === backup);
  const older = copies
    .filter((copy) => copy.state === 'whole' && !isNew(copy))
    .toSorted((a, b) => (a.checkedAt ?? a.madeAt).localeCompare(b.checkedAt ?? b.madeAt))
    .slice(0, readAgain);
  return [...copied, ...older].map(({ backup }) => backup);
}

function namesOf({ missing, unsealed }: CopiesLook): string[] {
  return [...missing.map(({ backup }) => backup), ...unsealed];
}

function planOf(host: string, found: CopiesLook, remove: readonly string[]): PlanDraft {
  const bytes = found.missing.reduce((sum, one) => sum + one.bytes, 0);
  return {
    summary: `copy ${found.missing.length} archives of ${host} to ${found.folder}, encrypted by the ${found.by ?? 'host'}`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Copy', does: [...found.calls] },
      { title: 'Further places', does: found.places.map((place) => `Brings each copy to ${place}, and reads it back`) },
      { title: 'Compare', does: [] },
      { title: 'Retention', does: remove.map((id) => `Removes the copy of ${id} from ${found.folder}`) },
    ],
    state: [
      { name: 'Without a copy', value: found.missing.map(({ backup }) => backup).join(', ') || 'none' },
      { name: 'Recipients', value: found.recipients.join(', ') || 'none' },
    ],
    affected: [
      `${readableBytes(bytes)} are needed in ${found.folder}`,
      ...remove.map((id) => `The copy of ${id} goes, as retention wants`),
    ],
    risks: [],
    undo: [
      'What was copied is kept until retention removes it',
      ...(remove.length === 0 ? [] : ['What retention removes can not be brought back']),
    ],
  };
}

function summaryOf(
  host: string,
  found: CopiesLook,
  copied: readonly CopiedBackup[],
  missing: readonly string[],
): string {
  if (found.by === undefined) return `No copy of the backups of ${host} can be made.`;
  const bytes = copied.reduce((sum, one) => sum + one.bytes, 0);
  const what = copied.length === 0 ? 'Nothing had to be copied' : `${copied.length} copied (${readableBytes(bytes)})`;
  const left = missing.length === 0 ? 'every archive that counts has a copy' : `${missing.length} have none`;
  return `${what} of ${host}: ${left}.`;
}

function ofLook(found: CopiesLook, failed: readonly Finding[] = []): readonly Section[] {
  const { findings, missing, unsealed, by, copies, folder } = found;
  const left: Finding[] = [
    ...(by === undefined || missing.length === 0
      ? []
      : [
          {
            check: 'Without a copy',
            verdict: 'warning',
            summary: missing.map(({ backup }) => backup).join(', '),
            remedy: 'The next run tries it again.',
          } as const,
        ]),
    ...(unsealed.length === 0
      ? []
      : [
          {
            check: 'Without a manifest',
            verdict: 'skipped',
            summary: `Made before there were sealed manifests, so they are not copied: ${unsealed.join(', ')}`,
          } as const,
        ]),
  ];
  const well: Finding[] =
    findings.length + left.length + failed.length > 0
      ? []
      : [
          {
            check: 'Copies',
            verdict: 'ok',
            summary: `${copies.length} in ${folder}; every archive that counts has one`,
          },
        ];
  return [{ title: 'Copies off the host', findings: [...findings, ...failed, ...left, ...well] }];
}

function ofCopies(copies: readonly KnownCopy[]): Section {
  return {
    title: 'Copies',
    columns: ['Archive', 'Size', 'Copied', 'State', 'Compared', 'Also in'],
    rows: copies.map(({ backup, bytes, madeAt, state, checkedAt, proves, places }) => [
      backup,
      readableBytes(bytes),
      readableTime(madeAt),
      state,
      checkedAt === undefined
        ? 'not yet'
        : `${readableTime(checkedAt)}: ${proves === 'content' ? 'its content' : 'its encrypted bytes'}`,
      places.join(', '),
    ]),
  };
}

function refusedRetention(why: string): Finding {
  return {
    check: 'Retention',
    verdict: 'warning',
    summary: `No copy is removed although some are old enough: ${why}`,
    remedy: 'Look at that first; what is old goes with the next runs.',
  };
}

function nothingCopied(failed: readonly Finding[]): ApplicationFailure {
  const [first] = failed;
  return ApplicationFailure.nonRetryable(
    `No archive could be copied: ${first?.summary ?? ''} ${first?.remedy ?? ''}`.trim(),
    'command-failed',
  );
}
