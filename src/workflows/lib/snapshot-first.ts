import { ApplicationFailure, CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { ChangeLook } from '../../activities/api-change/api-change.ts';
import { withoutDigest } from '../../operations/api-change.ts';
import { digestOf } from '../../operations/digest.ts';
import type { Finding } from '../../operations/finding.ts';
import type { PlanDraft } from '../../operations/plan.ts';
import { findingsOf } from '../../operations/report.ts';
import type { Place } from '../../operations/target.ts';
import { createApiSteps } from './api-steps.ts';
import { failureOf } from './failure.ts';
import type { Change, Done, Run } from './run.ts';

const titles = { take: 'Snapshot first', remove: 'Remove the snapshot' } as const;

/** What was planned, and the snapshot that is taken before, where the policy wants one. */
interface WithSnapshot<Known> {
  readonly known: Known;
  readonly first?: {
    readonly why: string;
    readonly look: ChangeLook;
    /** The calls of the change itself. */
    readonly does: string;
  };
}

type GuestInput = Readonly<Record<string, unknown>>;

/**
 * Takes a snapshot of the guest before a change, where the policy says so, and removes it when all went well. It is removed as
 * well when the change was undone; where something could not be undone, or has failed in the guest, it stays as a way back.
 */
export function snapshotFirst<Input extends GuestInput, Output, Known>(
  change: Change<Input, Output, Known>,
): Change<Input, Output, WithSnapshot<Known>> {
  return {
    async plan(run) {
      const { known, would } = await change.plan(run);
      const why = would === undefined ? undefined : await run.snapshotFirst();
      const changesSomething = would?.plan.steps.some(({ does }) => does.length > 0);
      if (would === undefined || why === undefined || !changesSomething) {
        return { known: { known }, ...(would && { would }) };
      }
      const first = await snapshot(run, why).look(titles.take);
      const { plan } = would;
      return {
        known: { known, first: { why, look: first, does: doesOf(plan.steps) } },
        would: {
          ...would,
          plan: {
            ...plan,
            steps: [
              { title: titles.take, does: first.plan.steps.flatMap(({ does }) => does) },
              ...plan.steps,
              { title: titles.remove, does: [`Deletes ${nameOf()}`] },
            ],
            state: [...plan.state, ...first.plan.state.filter(({ name }) => name === 'Snapshots')],
            undo: [
              ...plan.undo,
              `${why}: ${nameOf()} stays where something can't be undone, and roll-back-guest goes back to it`,
            ],
          },
        },
      };
    },

    async act(run, { known, first }) {
      if (first === undefined) return await change.act(run, known);
      const stuck = new Set<string>();
      await take(run, first, stuck);
      // The snapshot has changed the guest's configuration, and with it the digest that was read.
      const now = await change.plan(run);
      if (doesOf(now.would?.plan.steps ?? []) !== first.does) throw otherwise();
      const done = await change.act(watching(run, stuck), now.known);
      run.commit();
      const finding = wentWell(done) ? await remove(run) : kept();
      return { ...done, sections: [...done.sections, { title: 'Snapshot', findings: [finding] }] };
    },
  };
}

function doesOf(steps: PlanDraft['steps']): string {
  return steps.flatMap(({ does }) => does.map(withoutDigest)).join('\n');
}

function otherwise(): ApplicationFailure {
  const remedy = 'Start it again, which looks at the guest as it is now.';
  return ApplicationFailure.create({
    message: `Somebody changed the guest while its snapshot was taken, so that another call would be made. ${remedy}`,
    type: 'conflict',
    nonRetryable: true,
    details: [{ code: 'conflict', remedy }],
  });
}

/** The same in every attempt, and another one in every run. */
function nameOf(): string {
  return `pmx-${digestOf(workflowInfo().workflowId).slice(0, 8)}`;
}

function snapshot({ input, place }: { readonly input: GuestInput; readonly place: Place }, why: string) {
  const { host, vmid } = input;
  return createApiSteps({
    operation: 'snapshot-guest',
    input: { host, vmid, snapshot: nameOf(), description: why, withRam: false, dryRun: false },
    host: String(host),
    place: () => place,
  });
}

async function take(
  run: Run<GuestInput>,
  { why, look: first }: NonNullable<WithSnapshot<unknown>['first']>,
  stuck: ReadonlySet<string>,
): Promise<void> {
  const steps = snapshot(run, why);
  const [step] = first.steps;
  if (step === undefined) return;
  run.onUndo(titles.take, async () => {
    // The way back of what is left.
    if (stuck.size === 0) await steps.undo(first, step);
  });
  await run.step(titles.take, async (summary) => {
    const upid = await steps.start(first, step, summary);
    if (upid !== undefined) await steps.follow(first, step, upid);
    await steps.verify(first, step);
  });
}

/** Keeps in mind what could not be undone. */
function watching<Input>(run: Run<Input>, stuck: Set<string>): Run<Input> {
  return Object.create(run, {
    onUndo: {
      value: (title: string, undo: () => Promise<void>, look?: () => Promise<string>) => {
        const kept = async () => {
          stuck.add(title);
          await undo();
          stuck.delete(title);
        };
        run.onUndo(title, kept, look);
      },
    },
  }) as Run<Input>;
}

/** Such as a command in the guest that was carried out and ended with an error. */
function wentWell({ sections }: Done<unknown>): boolean {
  return findingsOf(sections).every(({ verdict }) => verdict !== 'failed' && verdict !== 'unknown');
}

function kept(): Finding {
  return {
    check: titles.take,
    verdict: 'warning',
    summary: `${nameOf()} was taken before and has been kept, as not all went well`,
    remedy: `Go back to it (roll-back-guest, ${nameOf()}), or delete it (delete-snapshot) when it isn't needed any more.`,
  };
}

/** What is done is done: a snapshot that can't be removed is only said. */
async function remove(run: Run<GuestInput>): Promise<Finding> {
  const { host, vmid } = run.input;
  const steps = createApiSteps({
    operation: 'delete-snapshot',
    input: { host, vmid, snapshot: nameOf(), dryRun: false },
    host: String(host),
    place: () => run.place,
  });
  try {
    await CancellationScope.nonCancellable(() =>
      run.step(titles.remove, async (summary) => {
        const known = await steps.look(summary);
        for (const step of known.steps) {
          const upid = await steps.start(known, step, summary);
          if (upid !== undefined) await steps.follow(known, step, upid);
          await steps.verify(known, step);
        }
      }),
    );
    return { check: titles.remove, verdict: 'ok', summary: `${nameOf()} was taken before and has been removed` };
  } catch (error) {
    return {
      check: titles.remove,
      verdict: 'warning',
      summary: `${nameOf()} was taken before and is still there: ${failureOf(error).message}`,
      remedy: `Delete it (delete-snapshot, ${nameOf()}), else the storage fills as the guest changes.`,
    };
  }
}
