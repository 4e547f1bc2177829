import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { BackUpServiceActivities, ServiceLook } from '../activities/back-up-service/back-up-service.ts';
import { backUpService as definition } from '../operations/back-up-service.ts';
import type { PlanDraft } from '../operations/plan.ts';
import { ledgerQueue } from './lib/messages.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import { policies } from './lib/policies.ts';
import { requireNotCancelled } from './lib/undo.ts';

/** One archive of the service itself. Nothing of it counts before it was read back. */
export const backUpService = operationWorkflow(definition, {
  async plan(run) {
    const look = await run.step(
      'Look',
      (summary) => on(summary).lookAtService(),
      ({ folder }) => `into ${folder}`,
    );
    return {
      known: look,
      would: {
        plan: planOf(look),
        output: { id: '', bytes: 0, files: 0, removed: [] },
        sections: [{ title: 'Archive', findings: [{ check: 'Folder', verdict: 'ok', summary: look.folder }] }],
      },
    };
  },

  async act(run) {
    const at = run.begunAt;
    run.onUndo('Pack', () => on('Remove what was not finished').removeServiceDrafts());
    const packed = await run.step(
      'Pack',
      (summary) => long(summary).packService({ at }),
      ({ files, bytes }) => `${files} files, ${bytes} bytes`,
    );
    const verified = await run.step(
      'Verify',
      (summary) => long(summary).verifyServiceArchive({ at }),
      ({ files }) => `${files} files are as they were packed, and every database opens`,
    );
    if (verified.files !== packed.files) {
      throw ApplicationFailure.nonRetryable(
        `The archive holds ${verified.files} files, and ${packed.files} were packed.`,
        'verification-failed',
      );
    }
    requireNotCancelled();
    const id = await run.step('Publish', (summary) => long(summary).publishServiceArchive({ at }));
    run.commit();
    const removed = await run.step(
      'Remove old',
      (summary) => on(summary).removeOldServiceArchives({ at }),
      (gone) => (gone.length === 0 ? 'none' : gone.join(', ')),
    );
    return {
      output: { id, bytes: verified.bytes, files: verified.files, removed: [...removed] },
      summary: `The service is backed up: ${id}.`,
      sections: [
        {
          title: 'Archive',
          findings: [
            { check: 'Archive', verdict: 'ok', summary: `${id}: ${verified.files} files, ${verified.bytes} bytes` },
            { check: 'Read back', verdict: 'ok', summary: 'Every file is as it was packed, and every database opens.' },
          ],
        },
      ],
    };
  },
});

function on(summary: string) {
  return proxyActivities<BackUpServiceActivities>({ ...policies.ledger, taskQueue: ledgerQueue, summary });
}

function long(summary: string) {
  return proxyActivities<BackUpServiceActivities>({
    ...policies.ledger,
    taskQueue: ledgerQueue,
    startToCloseTimeout: '2h',
    scheduleToCloseTimeout: '6h',
    heartbeatTimeout: '30s',
    // What it leaves is removed once it has ended: a copy goes on to its end.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    summary,
  });
}

function planOf({ folder, archives, temporal }: ServiceLook): PlanDraft {
  return {
    summary: 'make one archive of the service itself',
    steps: [
      { title: 'Look', does: [] },
      {
        title: 'Pack',
        does: [
          `Copies ${temporal ? "Temporal's database, the ledger" : 'the ledger'}, data folder and configuration, each as at one moment, and packs them in ${folder}`,
        ],
      },
      { title: 'Verify', does: ['Unpacks it beside, compares every file, and opens every database'] },
      { title: 'Publish', does: ['Gives the archive its name'] },
      { title: 'Remove old', does: ['Removes archives of the service beyond the newest 14'] },
    ],
    state: [{ name: 'Archives', value: String(archives.length) }],
    affected: ['Nobody: the service goes on meanwhile'],
    risks: ['The archive lets people in (it holds keys and tokens): it is readable by the service alone'],
    undo: ['Remove the archive'],
  };
}
