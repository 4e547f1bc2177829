import {
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import type { ApprovalActivities } from '../activities/approvals/approvals.ts';
import type { BulkGroup } from '../activities/change-guests/change-guests.ts';
import { callPattern, changeGuests } from '../operations/change-guests.ts';
import type { EachGuest } from '../operations/definition.ts';
import type { Finding } from '../operations/finding.ts';
import { type GuestPlace, guestLabel, guestLock } from '../operations/target.ts';
import { cleanLine } from '../reports/clean.ts';
import { wasRefused } from './lib/api-steps.ts';
import { failureOf } from './lib/failure.ts';
import { type GuestStep, guestSteps } from './lib/guest-steps.ts';
import { createLocks } from './lib/locks.ts';
import { batchProgressSignal, ledgerQueue } from './lib/messages.ts';
import { policies } from './lib/policies.ts';

export interface BatchRequest {
  readonly title: string;
  readonly host: string;
  readonly each: EachGuest;
  readonly groups: readonly Pick<BulkGroup, 'calls'>[];
  /** Those that are still to be done, each with the group whose calls were planned for it. */
  readonly guests: readonly { readonly place: GuestPlace; readonly group: number }[];
  readonly atOnce: number;
  readonly mostFailures: number;
  /** One at a time on each node, and none is locked before it is its turn: a node backs up one guest at a time. */
  readonly onePerNode?: true;
  /** What its earlier parts have done. */
  readonly soFar?: BatchResult;
}

export interface GuestResult {
  readonly vmid: number;
  readonly name: string;
  readonly why: string;
}

export interface BatchResult {
  readonly done: readonly number[];
  readonly already: readonly number[];
  readonly failed: readonly GuestResult[];
  readonly left: readonly GuestResult[];
  readonly notBegun: readonly number[];
  /** Why not all were begun. */
  readonly stopped?: 'failures' | 'cancelled' | string;
  readonly warnings: number;
  /** What was done and is not as it should be all the same. */
  readonly noted?: readonly GuestResult[];
}

/** A history of this many events is long enough: what is under way is finished, and the rest goes on in a new one. */
const mostEvents = 9_000;
/** How often it is asked whether changes may go on, and the run that started it is told how far it is. */
const askEveryMs = 3_000;
/** What is told of the guests that are done. */
const mostNoted = 400;
const tellEveryMs = 5_000;

/**
 * Does to many guests what was planned for each, several at a time: locks one, looks at it, acts if that is what was planned,
 * sees the effect, gives its lock back. The next ones are locked and looked at while the others' tasks run. It continues as
 * new between guests, with what it has done, so that each is begun once. It holds no lock of a host: the run that starts it
 * does.
 */
export async function guestBatch(request: BatchRequest): Promise<BatchResult> {
  const { title, host, each, groups, atOnce, mostFailures, onePerNode = false, soFar } = request;
  const rest = [...request.guests];
  const done = [...(soFar?.done ?? [])];
  const already = [...(soFar?.already ?? [])];
  const failed = [...(soFar?.failed ?? [])];
  const left = [...(soFar?.left ?? [])];
  const noted = [...(soFar?.noted ?? [])];
  const notBegun: number[] = [];
  const busy = new Set<string>();
  let warnings = soFar?.warnings ?? 0;
  const all = rest.length + done.length + already.length + failed.length + left.length;
  const locks = createLocks({ operation: changeGuests.name, title, onWait: () => undefined });
  const scope = CancellationScope.current();
  let acting = 0;
  let stopped: string | undefined;
  let askedAt = 0;
  let asking: Promise<void> | undefined;
  let toldAt = 0;

  const isEnough = () => workflowInfo().historyLength > mostEvents || workflowInfo().continueAsNewSuggested;
  const goesOn = () => stopped === undefined && !scope.consideredCancelled;

  await Promise.all(Array.from({ length: onePerNode ? atOnce : 2 * atOnce }, workOn));
  if (rest.length > 0 && goesOn()) {
    await continueAsNew<typeof guestBatch>({ ...request, guests: rest, soFar: result() });
  }
  notBegun.push(...rest.map(({ place }) => place.vmid));
  if (scope.consideredCancelled) stopped = 'cancelled';
  return result();

  function result(): BatchResult {
    const more = noted.length === 0 ? {} : { noted };
    return { done, already, failed, left, notBegun, warnings, ...more, ...(stopped === undefined ? {} : { stopped }) };
  }

  async function workOn(): Promise<void> {
    while (goesOn() && !isEnough()) {
      const next = await nextOne();
      if (next === undefined) return;
      try {
        await changeOne(next);
      } finally {
        busy.delete(next.place.node);
      }
      await tell();
    }
  }

  /** The first whose node is free, where each does one at a time. */
  async function nextOne(): Promise<BatchRequest['guests'][number] | undefined> {
    if (!onePerNode) return rest.shift();
    const at = () => rest.findIndex(({ place }) => !busy.has(place.node));
    if (rest.length > 0 && at() === -1) {
      await condition(() => at() !== -1 || rest.length === 0 || !goesOn()).catch((error: unknown) => {
        if (!isCancellation(error)) throw error;
      });
    }
    if (!goesOn() || isEnough()) return undefined;
    const index = at();
    if (index === -1) return undefined;
    const [next] = rest.splice(index, 1);
    if (next !== undefined) busy.add(next.place.node);
    return next;
  }

  function note(place: GuestPlace, of: unknown): void {
    const { findings = [] } = (of ?? {}) as { readonly findings?: readonly Finding[] };
    for (const { check, verdict, summary } of findings) {
      if (verdict === 'ok' || verdict === 'skipped' || noted.length >= mostNoted) continue;
      noted.push(resultOf(place, `${check}: ${summary}`));
    }
  }

  async function changeOne({ place, group }: BatchRequest['guests'][number]): Promise<void> {
    const { vmid } = place;
    const lock = guestLock(place);
    const begun: GuestStep[] = [];
    let isWorking = false;
    try {
      await locks.take([lock]);
      const { calls, steps, findings } = await guestSteps(each, host, place);
      if (calls.length === 0 && steps.length === 0) {
        already.push(vmid);
        return;
      }
      if (calls.map((call) => callPattern(call, place)).join('\n') !== groups[group]?.calls.join('\n')) {
        failed.push(
          resultOf(
            place,
            'Somebody changed it since this was planned, so that another call would be made; nothing was done to it.',
          ),
        );
        return;
      }
      await mayGoOn();
      await turn();
      isWorking = true;
      if (!goesOn()) {
        notBegun.push(vmid);
        return;
      }
      for (const [index, step] of steps.entries()) {
        begun.push(step);
        const upid = await step.start().catch((error: unknown) => {
          if (wasRefused(error)) begun.pop();
          throw error;
        });
        if (upid !== undefined) {
          const end = (await step.follow(upid)) as { readonly warnings?: number } | undefined;
          note(place, end);
          warnings += end?.warnings === undefined || end.warnings === 0 ? 0 : 1;
        }
        // What only looks needs no turn.
        if (index === steps.length - 1) finishTurn();
        note(place, await step.verify());
      }
      note(place, { findings });
      done.push(vmid);
    } catch (error) {
      finishTurn();
      await takeBack(place, begun, error);
    } finally {
      finishTurn();
      await locks.release([lock.name]);
    }

    function finishTurn(): void {
      if (isWorking) acting -= 1;
      isWorking = false;
    }
  }

  async function turn(): Promise<void> {
    while (acting >= atOnce) await condition(() => acting < atOnce);
    acting += 1;
  }

  /** The kill switch is a safe point to stop at before each guest; it need not be asked for each of them. */
  async function mayGoOn(): Promise<void> {
    if (Date.now() - askedAt < askEveryMs) return;
    asking ??= (async () => {
      try {
        const { goOn } = proxyActivities<ApprovalActivities>({
          ...policies.ledger,
          taskQueue: ledgerQueue,
          summary: 'Ask whether changes may go on',
        });
        await goOn();
        askedAt = Date.now();
      } catch (error) {
        if (isCancellation(error)) throw error;
        stopped ??= failureOf(error).message;
      } finally {
        asking = undefined;
      }
    })();
    await asking;
  }

  async function takeBack(place: GuestPlace, begun: readonly GuestStep[], error: unknown): Promise<void> {
    const isCancelled = isCancellation(error);
    if (isCancelled && begun.length === 0) {
      notBegun.push(place.vmid);
      return;
    }
    const why = isCancelled ? 'It was cancelled.' : failureOf(error).message;
    try {
      await CancellationScope.nonCancellable(async () => {
        for (const { undo } of begun.toReversed()) await undo?.();
      });
      const undone = begun.some(({ undo }) => undo !== undefined) ? ' What was done to it was undone.' : '';
      failed.push(resultOf(place, `${why}${undone}`));
    } catch (stuck) {
      left.push(resultOf(place, `${why} It could not be undone: ${failureOf(stuck).message}`));
    }
    if (!isCancelled && failed.length + left.length >= mostFailures) stopped ??= 'failures';
  }

  async function tell(): Promise<void> {
    const count = done.length + already.length;
    const wrong = failed.length + left.length;
    const message = `${count} of ${all} done${wrong === 0 ? '' : `, ${wrong} failed`}`;
    setCurrentDetails(`${title}: ${message}`);
    const { parent } = workflowInfo();
    if (parent === undefined || Date.now() - toldAt < tellEveryMs) return;
    toldAt = Date.now();
    // Nothing rests on it.
    await getExternalWorkflowHandle(parent.workflowId)
      .signal(batchProgressSignal, message)
      .catch(() => undefined);
  }
}

function resultOf(place: GuestPlace, why: string): GuestResult {
  return { vmid: place.vmid, name: guestLabel(place), why: cleanLine(why, 400) };
}
