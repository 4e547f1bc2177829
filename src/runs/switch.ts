import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Client,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { z } from 'zod';
import { type ErrorCode, ServiceError } from '../errors.ts';
import { principalText, type Requester } from '../operations/run.ts';
import { type AllowChanges, type StopChanges, type SwitchState, switchState } from '../operations/switch.ts';
import { cleanLine } from '../reports/clean.ts';
import {
  allowChangesUpdate,
  serviceQueue,
  stopChangesSignal,
  switchId,
  tellHostsSignal,
} from '../workflows/lib/messages.ts';
import type { LedgerClient } from './ledger.ts';

/** How long a worker may take to do what it was told. */
const patienceMs = 10_000;

/** The kill switch, as everybody asks for it. */
export interface ChangeSwitch {
  /**
   * As its memo has it: asked of the Temporal server alone, no worker has to answer. One that somebody has ended counts as
   * it was last. Throws what the server says, or `unreadable`: who can't know must change nothing.
   */
  get(): Promise<SwitchState>;
  /**
   * Stops everything that changes something. Anybody may. Durable when it returns; `isSeen: false` where no worker has
   * said so yet, which then changes nothing either. Where it is on already, hosts that don't have it are told at once.
   */
  stop(request: StopChanges): Promise<SwitchState & { readonly isSeen: boolean }>;
  /** The state once every host has it or could not be told, or when the time is over. */
  whenTold(waitMs: number): Promise<SwitchState>;
  /** Where it is on: has the hosts looked up anew, as a worker does that starts. Where there is none, there is nothing to tell. */
  tellHosts(): Promise<void>;
  /**
   * Allows changes again. The caller has verified that `by` is this person and has this role. Throws `forbidden` where it
   * isn't a person who is an administrator, `conflict` where that isn't the one that is on, `unavailable` without a worker.
   */
  allow(request: Omit<AllowChanges, 'until'>): Promise<SwitchState>;
}

/** How its workflow is started, whoever does. */
export const switchOptions = {
  workflowId: switchId,
  taskQueue: serviceQueue,
  staticSummary: 'Kill switch',
  staticDetails: 'Whether anything may change. Not a run; it never ends by itself.',
} as const;

/** @param options.patienceMs how long a worker may take; default 10 s */
export function createChangeSwitch(client: Client, { patienceMs: patience = patienceMs } = {}): ChangeSwitch {
  return { get, stop, whenTold, tellHosts, allow };

  async function get(): Promise<SwitchState> {
    try {
      const { memo } = await client.workflow.getHandle(switchId).describe();
      return stateIn(memo);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return never;
      throw error;
    }
  }

  async function stop(request: StopChanges): Promise<SwitchState & { isSeen: boolean }> {
    const before = await get();
    await client.workflow.signalWithStart('changeSwitch', {
      ...switchOptions,
      args: [before],
      memo: { switch: before },
      signal: stopChangesSignal,
      signalArgs: [request],
    });
    if (before.on) await tellHosts();
    const deadline = Date.now() + patience;
    for (;;) {
      const state = await get();
      if (state.on) return { ...state, isSeen: true };
      if (Date.now() > deadline) break;
      await sleep(100);
    }
    return { on: true, number: before.number + 1, ...request, isSeen: false };
  }

  async function whenTold(waitMs: number): Promise<SwitchState> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const state = await get();
      const isTold = state.hosts?.every(({ at, why }) => at !== undefined || why !== undefined) ?? false;
      if (!state.on || isTold || Date.now() > deadline) return state;
      await sleep(200);
    }
  }

  async function tellHosts(): Promise<void> {
    try {
      await client.workflow.getHandle(switchId).signal(tellHostsSignal);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }

  async function allow(request: Omit<AllowChanges, 'until'>): Promise<SwitchState> {
    const before = await get();
    const start = new WithStartWorkflowOperation('changeSwitch', {
      ...switchOptions,
      args: [before],
      memo: { switch: before },
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    const deadline = Date.now() + patience;
    const until = new Date(deadline).toISOString();
    try {
      return await client.withDeadline(deadline, () =>
        client.workflow.executeUpdateWithStart(allowChangesUpdate, {
          args: [{ ...request, until }],
          startWorkflowOperation: start,
        }),
      );
    } catch (error) {
      throw refused(error);
    }
  }
}

/**
 * Has it be on after an older state was restored, from the first moment on and without a worker: what is open of the restored one
 * ends. Done again for the same `why` it is the same.
 *
 * @param of.after the last number that the ledger knows, which may be greater than the restored one's
 */
export async function switchOnAfterRestore(
  client: Client,
  { after, by, why }: { readonly after: number; readonly by: Requester; readonly why: string },
): Promise<SwitchState> {
  const before = await createChangeSwitch(client).get();
  const reason = cleanLine(why, 500);
  if (before.on && before.why === reason) return before;
  const number = Math.max(before.number, after) + 1;
  const state: SwitchState = { on: true, number, since: new Date().toISOString(), by, why: reason };
  await client.workflow.start('changeSwitch', {
    ...switchOptions,
    args: [state],
    memo: { switch: state },
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
  });
  return state;
}

/**
 * Writes down that it was switched, once for each time. `false` where no worker answers, so that nobody could: the switch
 * itself counts all the same.
 */
export async function recordSwitch(
  ledger: Pick<LedgerClient, 'record'>,
  { hosts: _hosts, ...state }: SwitchState,
  by: Requester,
  why: string,
): Promise<boolean> {
  const said = state.on ? 'All changes were stopped' : 'Changes were allowed again';
  try {
    await ledger.record([
      {
        key: `switch/${state.number}/${state.on ? 'on' : 'off'}`,
        kind: 'switch',
        by: principalText(by),
        text: cleanLine(`${said}: ${why}`, 1_000),
        data: { ...state },
      },
    ]);
    return true;
  } catch {
    return false;
  }
}

const never: SwitchState = { on: false, number: 0 };

/** A switch that has not said anything yet was just begun; what can't be read may be on. */
function stateIn(memo: unknown): SwitchState {
  const { success, data } = z.object({ switch: switchState.optional() }).safeParse(memo ?? {});
  if (success) return data.switch ?? never;
  throw new ServiceError({
    code: 'unreadable',
    message: 'The kill switch can’t be read, so that nothing may change',
    remedy: `Look at the workflow ${switchId} in the Temporal UI, or run the version of the service that has written it.`,
  });
}

const codes: readonly ErrorCode[] = ['forbidden', 'conflict', 'invalid-input'];

function refused(error: unknown): unknown {
  if (error instanceof WorkflowUpdateFailedError) {
    const { message, type } = (error.cause ?? error) as Error & { readonly type?: string };
    return new ServiceError({
      code: codes.find((code) => code === type) ?? 'conflict',
      message: `The kill switch was not lifted. ${message}`,
      remedy: 'Look at it: npx proxmox-mcp status',
    });
  }
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) {
    return new ServiceError({
      code: 'unavailable',
      message: 'No worker answers, so that the kill switch stays as it is',
      remedy: 'Start the service with `npm start`, then do it again.',
      retryable: true,
      cause: error,
    });
  }
  return error;
}
