import {
  ApplicationFailure,
  CancelledFailure,
  executeChild,
  ParentClosePolicy,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { BulkGroup, BulkPlan, ChangeGuestsActivities } from '../activities/change-guests/change-guests.ts';
import { bulkChanges, changeGuests as definition, eachOf, isOnePerNode, ranges } from '../operations/change-guests.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import type { GuestPlace, Place } from '../operations/target.ts';
import type { BatchRequest, BatchResult, GuestResult, guestBatch } from './guest-batch.ts';
import { onHost } from './lib/activities.ts';
import { batchProgressSignal } from './lib/messages.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { PlanningRun } from './lib/run.ts';
import { traceMemo } from './lib/trace.ts';

/** The same for many guests: one plan, and one batch that does it, of which each guest is done by itself. */
export const changeGuests = operationWorkflow(definition, {
  async plan(run) {
    const { host } = run.input;
    const guests = guestsOf(run.place);
    const each = eachOf(run.input);
    if (run.input.change === 'configure') await refuseWithoutSnapshot(run);
    const known = await run.step(
      'Look',
      (summary) =>
        onHost<ChangeGuestsActivities>(host, 'survey', summary).planGuests({
          host,
          each,
          guests,
          run: workflowInfo().workflowId,
        }),
      () => `${guests.length} guests`,
    );
    const { change } = run.input;
    const of = (isOf: (group: BulkGroup) => boolean) => known.groups.filter(isOf).flatMap(({ vmids }) => vmids);
    return {
      known,
      would: {
        plan: planOf(change, guests, known),
        output: {
          change,
          guests: guests.length,
          done: of(({ calls }) => calls.length > 0),
          already: of(({ calls, refused }) => calls.length === 0 && refused === undefined),
          failed: known.groups.flatMap(({ refused, vmids }) =>
            refused === undefined ? [] : vmids.map((vmid) => ({ vmid, name: nameOf(guests, vmid), why: refused })),
          ),
          left: [],
          notBegun: [],
        },
      },
    };
  },

  async act(run, { each, groups }) {
    const { host, change, atOnce } = run.input;
    // Where one can't be backed up, the others need it all the same.
    const mostFailures = run.input.mostFailures ?? (change === 'back-up' ? Number.MAX_SAFE_INTEGER : 5);
    const guests = guestsOf(run.place);
    const byVmid = new Map(groups.flatMap(({ vmids }, group) => vmids.map((vmid) => [vmid, group] as const)));
    const wanted = guests.filter(({ vmid }) => groups[byVmid.get(vmid) ?? -1]?.calls.length);
    const refused: GuestResult[] = groups.flatMap((group) => {
      const why = group.refused;
      return why === undefined ? [] : group.vmids.map((vmid) => ({ vmid, name: nameOf(guests, vmid), why }));
    });
    const already = groups.flatMap(({ calls, refused: no, vmids }) =>
      calls.length === 0 && no === undefined ? vmids : [],
    );
    const request: BatchRequest = {
      title: `${change} guests`,
      host,
      each,
      groups: groups.map(({ calls }) => ({ calls })),
      guests: wanted.map((place) => ({ place, group: byVmid.get(place.vmid) ?? 0 })),
      atOnce,
      mostFailures,
      ...(isOnePerNode(change) && { onePerNode: true }),
    };
    const result = await run.step(
      'Carry out',
      (summary) => {
        setHandler(batchProgressSignal, (message) => run.note('Carry out', message));
        return executeChild<typeof guestBatch>('guestBatch', {
          workflowId: `${workflowInfo().workflowId}/batch`,
          args: [request],
          staticSummary: summary,
          ...traceMemo(),
          // A batch that goes on when its run is gone ends what is under way and undoes it, as when it is cancelled.
          parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        });
      },
      ({ done }) => `${done.length} of ${wanted.length} done`,
    );
    // What is done stays: each guest was undone by itself where it failed.
    run.commit();
    if (result.stopped === 'cancelled')
      throw new CancelledFailure(`${result.done.length} of ${guests.length} are done.`);
    const output = {
      change,
      guests: guests.length,
      done: [...result.done],
      already: [...already, ...result.already],
      failed: [...refused, ...result.failed],
      left: [...result.left],
      notBegun: [...result.notBegun],
      ...(result.noted !== undefined && { noted: [...result.noted] }),
    };
    if (output.left.length > 0) {
      const [first] = output.left;
      await run.ask({
        question: `${output.left.length} guests could not be put back, first ${first?.name}: ${first?.why} The others: ${ranges(output.left.map(({ vmid }) => vmid))}. Look at them and put them right.`,
        choices: { leave: 'they have been looked at: end the run' },
      });
    }
    if (output.done.length + output.already.length === 0) throw allFailed(output.failed, output.left);
    return {
      output,
      summary: summaryOf(output, run.input.with),
      sections: [{ title: 'Guests', findings: findingsOf(output, result) }],
    };
  },
});

/** A batch takes none, and a policy is not passed by asking for many at once. */
async function refuseWithoutSnapshot(run: PlanningRun<unknown>): Promise<void> {
  const why = await run.snapshotFirst();
  if (why === undefined) return;
  const remedy =
    'Configure each of them by itself (configure-guest), which takes the snapshot; or leave out those that it is about.';
  throw ApplicationFailure.create({
    message: `${why}, and change-guests takes none before it configures; nothing was done. ${remedy}`,
    type: 'forbidden',
    nonRetryable: true,
    details: [{ code: 'forbidden', remedy }],
  });
}

type Output = Omit<BatchResult, 'warnings' | 'stopped'> & { readonly change: string; readonly guests: number };

function guestsOf(place: Place): readonly GuestPlace[] {
  if (place.kind === 'guests') return place.guests;
  throw ApplicationFailure.nonRetryable('An operation on many guests was given something else.', 'internal');
}

function nameOf(guests: readonly GuestPlace[], vmid: number): string {
  return guests.find((guest) => guest.vmid === vmid)?.name ?? String(vmid);
}

function planOf(
  change: keyof typeof bulkChanges,
  guests: readonly GuestPlace[],
  { groups, risks = [] }: BulkPlan,
): PlanDraft {
  const acting = groups.filter(({ calls }) => calls.length > 0);
  const count = acting.reduce((sum, { vmids }) => sum + vmids.length, 0);
  const nodes = new Map<string, number[]>();
  for (const { node, vmid } of guests) nodes.set(node, [...(nodes.get(node) ?? []), vmid]);
  return {
    summary: `${change} ${count} of ${guests.length} guests`,
    steps: [
      { title: 'Look', does: [] },
      {
        title: 'Carry out',
        does: acting.map(({ calls, vmids }) => `${calls.join('; then ')} (${vmids.length}: ${ranges(vmids)})`),
      },
    ],
    state: [
      ...[...nodes].map(([node, vmids]) => ({ name: `Guests on ${node}`, value: ranges(vmids) })),
      ...groups.flatMap(({ refused, calls, vmids }) =>
        refused !== undefined
          ? [{ name: 'Refused', value: `${ranges(vmids)}: ${refused}` }]
          : calls.length === 0
            ? [{ name: 'So already', value: ranges(vmids) }]
            : [],
      ),
    ],
    affected: acting.map(({ vmids }) => `${vmids.length} guests: ${ranges(vmids)}`),
    risks: [
      ...(bulkChanges[change].risk === 'dangerous' ? ['What these guests have not written is lost'] : []),
      ...risks.map(({ risk, vmids }) => `${ranges(vmids)}: ${risk}`),
      'The guests are changed one after another, so that for a while some are changed and others are not',
    ],
    undo: ['What fails of one guest is undone there; the others stay as they were changed'],
  };
}

function allFailed(failed: readonly GuestResult[], left: readonly GuestResult[]): ApplicationFailure {
  const [first] = [...left, ...failed];
  const code = left.length > 0 ? 'command-failed' : 'conflict';
  const why = first === undefined ? 'None was begun.' : `${first.name}: ${first.why}`;
  const message = `None of the guests was changed. ${why}`;
  return ApplicationFailure.create({
    message,
    type: code,
    nonRetryable: true,
    details: [{ code, remedy: 'Look at each of them in the plan (dryRun), then start it again.' }],
  });
}

function summaryOf(
  { change, guests, done, already, failed, left, notBegun }: Output,
  { snapshot }: Readonly<Record<string, unknown>>,
): string {
  const which = ranges(done);
  const named = done.length > 0 && which.length <= longestNames ? ` (${which})` : '';
  const parts = [
    `${done.length} of ${guests} done${named}`,
    ...(already.length > 0 ? [`${already.length} were so already`] : []),
    ...(failed.length > 0 ? [`${failed.length} failed`] : []),
    ...(left.length > 0 ? [`${left.length} failed and could not be undone`] : []),
    ...(notBegun.length > 0 ? [`${notBegun.length} not begun`] : []),
  ];
  return `${change}${typeof snapshot === 'string' ? ` ${snapshot}` : ''}: ${parts.join(', ')}.`;
}

/** How many characters of numbers a summary takes; the report has all. */
const longestNames = 100;

function findingsOf(
  { change, done, already, failed, left, notBegun, noted = [] }: Output,
  { stopped, warnings }: BatchResult,
): Finding[] {
  return [
    { check: 'Done', verdict: 'ok', summary: done.length === 0 ? 'None' : ranges(done) },
    ...(warnings > 0
      ? [
          {
            check: 'Warnings',
            verdict: 'warning' as const,
            summary: `${warnings} tasks ended well, with warnings`,
            remedy: 'Read them in the logs of the tasks.',
          },
        ]
      : []),
    ...(already.length > 0 ? [{ check: 'So already', verdict: 'ok' as const, summary: ranges(already) }] : []),
    ...noted.map(({ name, why }) => ({
      check: name,
      verdict: 'warning' as const,
      summary: why,
      remedy: "It was done; see what it says in the guest's own settings, or in the log of its task.",
    })),
    ...failed.map(({ name, why }) => ({
      check: name,
      verdict: 'warning' as const,
      summary: why,
      remedy: 'Put right what it says, then do it again for this guest.',
    })),
    ...left.map(({ name, why }) => ({
      check: name,
      verdict: 'failed' as const,
      summary: why,
      remedy: 'Look at the guest and put it right by hand: this service could not.',
    })),
    ...(notBegun.length > 0
      ? [
          {
            check: 'Not begun',
            verdict: change === 'back-up' ? ('failed' as const) : ('warning' as const),
            summary: `${ranges(notBegun)}: ${stopped === 'failures' ? 'too many had failed' : (stopped ?? 'stopped')}`,
            remedy: 'Do it again for these when the cause is gone.',
          },
        ]
      : []),
  ];
}
