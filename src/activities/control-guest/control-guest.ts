import { Context } from '@temporalio/activity';
import { isServiceError, ServiceError } from '../../errors.ts';
import { type GuestPlace, guestLabel } from '../../operations/target.ts';
import { type GuestAction, guestActionLine, type ProxmoxClient } from '../../proxmox/client.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { locateGuest } from '../../proxmox/locate.ts';
import type { ProxmoxGuestStatus } from '../../proxmox/schemas.ts';
import { endTask, ownTasks, startTask } from '../../proxmox/tasks.ts';
import { parseUpid } from '../../proxmox/upid.ts';
import { followToSuccess } from '../guests/follow-task.ts';
import { apiOf, type GuestInput, statusOf } from '../guests/guests.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { type GuestState, type Verified, verifyState, type Wanted } from './verify.ts';

export const queue = 'host';

/** A guest as it was before anything was done to it. */
export interface GuestLook {
  readonly state: GuestState;
  /** Of a VM: it counts as running and does nothing. */
  readonly paused: boolean;
  /** The lock of its configuration: `backup`, `migrate` … */
  readonly lock?: string;
  /** What the HA stack wants of it, where that manages it: `started`, `stopped` … */
  readonly ha?: string;
  readonly template: boolean;
  readonly pid?: number;
  readonly uptimeSeconds: number;
  /** The tasks that our API token had started on it by then: what comes later is the run's own. */
  readonly tasks: readonly string[];
}

export interface GuestActionInput extends GuestInput {
  readonly action: GuestAction;
  /** How long a shutdown or reboot waits for the guest. */
  readonly timeoutSeconds: number;
  /** {@link GuestLook.tasks} */
  readonly known: readonly string[];
}

export interface RestoreInput extends GuestInput {
  readonly want: GuestState;
  /** {@link GuestLook.tasks} */
  readonly known: readonly string[];
  /** How long the guest may still go off after a shutdown that was given up: it has heard it. */
  readonly watchSeconds: number;
  readonly settleSeconds: number;
}

export type ControlGuestActivities = ReturnType<typeof createControlGuestActivities>;

/** How long the HA stack, or what restarts a VM, may take to act. */
const restoreWithinSeconds = 120;

/**
 * What {@link GuestAction}s need. Each is safe to do again. The API knows no fence: what keeps two runs from acting on one
 * guest is its lock, and what keeps one run from acting twice is that it looks for its own task first. A worker that
 * still acts for a run that lost its lock can at most start one task more, which the guest's state then refuses or which
 * changes nothing.
 */
export function createControlGuestActivities({ proxmox }: { readonly proxmox: ProxmoxApis }) {
  return {
    async lookAtGuest(input: GuestInput): Promise<GuestLook> {
      const options = { signal: Context.current().cancellationSignal };
      const client = apiOf(proxmox, input);
      // The state after the tasks: of a task that ends in between, the list may know too little, the state doesn't.
      const tasks = await ownTasks(client, searchFor(input.place), options);
      const { status, qmpstatus, lock, ha, template, pid, uptime } = await statusOf(proxmox, input, options);
      return {
        state: status,
        paused: qmpstatus === 'paused',
        template: template ?? false,
        uptimeSeconds: uptime,
        tasks: tasks.map(({ upid }) => upid),
        ...(lock === undefined ? {} : { lock }),
        ...(ha?.managed ? { ha: ha.state ?? 'managed' } : {}),
        ...(pid === undefined ? {} : { pid }),
      };
    },

    /** The calls that {@link startGuestAction} would make now, each on one line; none where there is nothing to do. */
    async planGuestAction(input: Omit<GuestActionInput, 'known'>): Promise<readonly string[]> {
      const { place, action } = input;
      const status = await statusOf(proxmox, input, { signal: Context.current().cancellationSignal });
      if (isDone(action, status)) return [];
      return [guestActionLine(place, action, await parametersOf(apiOf(proxmox, input), input, status))];
    },

    /**
     * Starts the action's task, or finds the one that this run has started already. Without a UPID: the guest is in the
     * wanted state, and nothing was started.
     *
     * @throws ServiceError before anything is started: `guest-moved`, `not-found`, `proxmox-locked`, `conflict` (the
     *   guest's state doesn't allow it), `proxmox-permission` with the privilege
     */
    async startGuestAction(input: GuestActionInput): Promise<{ readonly upid?: string }> {
      const { place, action, known } = input;
      const client = apiOf(proxmox, input);
      const search = searchFor(place, action);
      const start = async () => {
        const status = await statusOf(proxmox, input);
        if (isDone(action, status)) return undefined;
        refuse(action, status, place);
        return client.changeGuest(place, action, await parametersOf(client, input, status));
      };
      try {
        const upid = await withHeartbeat(() => startTask(client, { search, known, start }));
        return upid === undefined ? {} : { upid };
      } catch (error) {
        // Somebody was quicker, after the look above: the next attempt finds what is to be said of it.
        if (isServiceError(error, 'conflict') && error.details.status !== undefined) throw tryAgain(error);
        throw error;
      }
    },

    /** Follows the action's task to its end. A cancelled run's task is ended. */
    async followGuestTask(
      input: GuestInput & { readonly upid: string },
    ): Promise<{ readonly warnings: number; readonly log: readonly string[] }> {
      const { warnings, log } = await followToSuccess(apiOf(proxmox, input), input.upid);
      return { warnings, log };
    },

    /** See {@link verifyState}. */
    verifyGuestState(input: GuestInput & Wanted): Promise<Verified> {
      return withHeartbeat(() => verifyState(proxmox, input, input));
    },

    /**
     * Puts the state back that the guest had before the run: ends what the run still has going on, watches for a guest
     * that is on its way down, and starts or stops it where it must. Does nothing to one that is in that state.
     */
    restoreGuestState(input: RestoreInput): Promise<void> {
      return withHeartbeat(() => restore(input));
    },
  };

  async function restore(input: RestoreInput): Promise<void> {
    const { host, want, watchSeconds, settleSeconds } = input;
    const place = await locateGuest(proxmox, { host, vmid: input.place.vmid });
    const at = { host, place };
    const client = apiOf(proxmox, at);
    const action = want === 'running' ? 'start' : 'stop';
    const mine = (await ownTasks(client, searchFor(place))).filter(({ upid }) => !input.known.includes(upid));
    // One that goes on from an earlier attempt of this is followed below.
    const contrary = mine.filter(({ upid, running }) => running && !typesOf(place, action).includes(typeOf(upid)));
    for (const { upid } of contrary) await endTask(client, upid);
    if (watchSeconds > 0 && want === 'running') await waitForPowerOff(at, watchSeconds);
    const known = (await ownTasks(client, searchFor(place))).filter(({ running }) => !running).map(({ upid }) => upid);
    const start = async () =>
      isDone(action, await statusOf(proxmox, at)) ? undefined : client.changeGuest(place, action);
    const upid = await startTask(client, { search: searchFor(place, action), known, start });
    if (upid === undefined) return;
    await followToSuccess(client, upid);
    await verifyState(proxmox, at, { want, withinSeconds: restoreWithinSeconds, settleSeconds });
  }

  /** A guest that goes off meanwhile is what is waited for; one that stays on is as it should be. */
  async function waitForPowerOff(at: GuestInput, seconds: number): Promise<void> {
    try {
      await verifyState(proxmox, at, { want: 'stopped', withinSeconds: seconds, settleSeconds: 0 });
    } catch (error) {
      if (!isServiceError(error, 'verification-failed')) throw error;
    }
  }
}

const actions: readonly GuestAction[] = ['start', 'stop', 'shutdown', 'reboot'];

/** The tasks of a guest's power; of one that the HA stack manages it is `hastart` or `hastop`. */
function searchFor(place: GuestPlace, action?: GuestAction) {
  const { node, vmid } = place;
  return { node, vmid, types: action ? typesOf(place, action) : actions.flatMap((one) => typesOf(place, one)) };
}

function typesOf({ type }: GuestPlace, action: GuestAction): readonly string[] {
  const own = `${type === 'qemu' ? 'qm' : 'vz'}${action}`;
  if (action === 'reboot') return [own];
  return [own, action === 'start' ? 'hastart' : 'hastop'];
}

function typeOf(upid: string): string {
  return parseUpid(upid)?.type ?? '';
}

function isDone(action: GuestAction, { status, qmpstatus }: ProxmoxGuestStatus): boolean {
  if (action === 'start') return status === 'running' && qmpstatus !== 'paused';
  return action !== 'reboot' && status === 'stopped';
}

/** What Proxmox would refuse, or only find out in a task: said before anything is started. */
function refuse(action: GuestAction, status: ProxmoxGuestStatus, place: GuestPlace): void {
  const the = `The ${guestLabel(place)}`;
  if (status.template) {
    throw conflict(`${the} is a template, which never runs`, 'Clone it and start the clone.');
  }
  // What was suspended to disk is started from there.
  if (status.lock !== undefined && !(status.lock === 'suspended' && action === 'start')) {
    throw new ServiceError({
      code: 'proxmox-locked',
      message: `${the} is locked (${status.lock}), so nothing was done to it`,
      remedy:
        'Wait until its backup, migration or snapshot has ended; if none runs any more, an administrator unlocks it on the node (qm unlock, pct unlock).',
      details: { vmid: place.vmid, lock: status.lock },
    });
  }
  if (status.qmpstatus === 'paused' && action !== 'stop') {
    throw conflict(`${the} is paused, so that it can't hear anything`, 'Resume it in Proxmox, or use the action stop.');
  }
  if (action === 'reboot' && status.status === 'stopped') {
    throw conflict(`${the} is off, so there is nothing to reboot`, 'Use the action start.');
  }
}

async function parametersOf(
  client: ProxmoxClient,
  { place, action, timeoutSeconds }: Omit<GuestActionInput, 'known'>,
  status: ProxmoxGuestStatus,
) {
  const waits = action === 'shutdown' || action === 'reboot';
  return waits ? { timeout: timeoutSeconds } : await overruling(client, action, status, place);
}

/** A shutdown that still waits holds the guest, and its stop would only wait for that. */
async function overruling(
  client: ProxmoxClient,
  action: GuestAction,
  { ha }: ProxmoxGuestStatus,
  { node, vmid, type }: GuestPlace,
): Promise<{ readonly 'overrule-shutdown'?: true }> {
  if (action !== 'stop' || ha?.managed) return {};
  const active = await client.tasks(node, { source: 'active', vmid });
  const shutdown = type === 'qemu' ? 'qmshutdown' : 'vzshutdown';
  const waits = active.some((task) => task.type === shutdown && task.status === 'RUNNING');
  return waits ? { 'overrule-shutdown': true } : {};
}

function conflict(message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'conflict', message, remedy });
}

function tryAgain({ code, message, remedy, details }: ServiceError): ServiceError {
  return new ServiceError({ code, message, remedy, retryable: true, details });
}
