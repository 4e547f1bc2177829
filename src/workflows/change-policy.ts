import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { ChangePolicyActivities, PolicyLook } from '../activities/change-policy/change-policy.ts';
import { changePolicy as definition } from '../operations/change-policy.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import { ledgerQueue } from './lib/messages.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import { policies } from './lib/policies.ts';
import { requireNotCancelled } from './lib/undo.ts';

/** Makes what stands in `policy.yaml` count, once an administrator has seen what of it is looser. */
export const changePolicy = operationWorkflow(definition, {
  async plan(run) {
    const found = await run.step(
      'Look',
      (summary) => on(summary).lookAtPolicy(),
      ({ looser, tighter }) => `${looser.length} looser, ${tighter.length} tighter`,
    );
    if (found.file === found.approved) {
      throw ApplicationFailure.nonRetryable(
        'All of policy.yaml counts already: there is nothing to approve.',
        'conflict',
      );
    }
    return {
      known: found,
      would: {
        plan: planOf(found),
        output: { looser: [...found.looser], tighter: [...found.tighter] },
        sections: [{ title: 'Differences', findings: differencesOf(found) }],
      },
    };
  },

  async act(run, found) {
    run.onUndo('Write down', () => on('Let the former policy count').takePolicyBack());
    await run.step('Write down', (summary) => on(summary).approvePolicy({ digest: found.file }));
    const after = await run.step('Read back', (summary) => on(summary).lookAtPolicy());
    if (after.approved !== found.file) {
      throw ApplicationFailure.nonRetryable(
        'The ledger has another policy than the approved one.',
        'verification-failed',
      );
    }
    requireNotCancelled();
    run.commit();
    return {
      output: { looser: [...found.looser], tighter: [...found.tighter] },
      summary: 'All of policy.yaml counts now.',
      sections: [{ title: 'Differences', findings: differencesOf(found) }],
    };
  },
});

function on(summary: string) {
  return proxyActivities<ChangePolicyActivities>({ ...policies.ledger, taskQueue: ledgerQueue, summary });
}

function planOf({ file, approved, looser }: PolicyLook): PlanDraft {
  return {
    summary: `have policy.yaml (${file.slice(0, 12)}) count in full`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Write down', does: [`Writes the policy ${file} into the ledger`] },
      { title: 'Read back', does: [] },
    ],
    state: [
      { name: 'policy.yaml', value: file },
      { name: 'Approved', value: approved },
    ],
    affected: ['Everybody who asks for something: people, tokens and schedules'],
    risks: looser.map((text) => `Looser: ${text}`),
    undo: ['Write the former file back: what is stricter in it counts at once, the rest after another approval'],
  };
}

function differencesOf({ looser, tighter }: PolicyLook): Finding[] {
  return [
    ...looser.map((summary): Finding => ({ check: 'Looser', verdict: 'ok', summary })),
    ...tighter.map((summary): Finding => ({ check: 'Tighter, and counts already', verdict: 'ok', summary })),
  ];
}
