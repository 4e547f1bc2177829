import { Context } from '@temporalio/activity';
import { isServiceError, ServiceError } from '../../errors.ts';
import { guestLabel } from '../../operations/target.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { locateGuest } from '../../proxmox/locate.ts';
import type { ProxmoxGuestStatus } from '../../proxmox/schemas.ts';
import { leftToNext } from '../guests/follow-task.ts';
import { type GuestInput, statusOf } from '../guests/guests.ts';

export type GuestState = 'running' | 'stopped';

/** The state that a guest is to reach and to keep. */
export interface Wanted {
  readonly want: GuestState;
  /** Of a reboot: the process that it ran in before; in that one it hasn't rebooted. */
  readonly not?: { readonly pid?: number | undefined; readonly uptimeSeconds: number };
  /** How long it may take to get there: the HA stack acts only some time after it was asked. */
  readonly withinSeconds: number;
  /** How long it must stay so. */
  readonly settleSeconds: number;
}

export interface Verified {
  readonly state: GuestState;
  /** Where it is; the HA stack may have started it elsewhere. */
  readonly node: string;
  readonly pid?: number;
}

const lookEveryMs = 500;

/**
 * Looks at the guest until it is in the wanted state, and once more some seconds later: that its task ended well says
 * neither. Changes nothing.
 *
 * @throws ServiceError `verification-failed`
 */
export async function verifyState(proxmox: ProxmoxApis, input: GuestInput, wanted: Wanted): Promise<Verified> {
  const { want, withinSeconds, settleSeconds } = wanted;
  const watch = createWatch(proxmox, input);
  const label = guestLabel(input.place);
  const seen = await watch((status) => isReached(status, wanted), withinSeconds);
  if (seen === undefined) throw failed(label, `is not ${describe(wanted)} after ${withinSeconds} s`, want);
  const change = await watch((status) => status.status !== want || status.pid !== seen.status.pid, settleSeconds);
  if (change?.status.status === want) throw failed(label, 'was restarted once more at once', want);
  if (change) throw failed(label, `was ${describe(wanted)}, but not for ${settleSeconds} s`, want);
  const { pid } = seen.status;
  return { state: want, node: seen.node, ...(pid === undefined ? {} : { pid }) };
}

function isReached(status: ProxmoxGuestStatus, { want, not }: Wanted): boolean {
  if (status.status !== want) return false;
  // A clock isn't needed: what runs in another process, or for a shorter time, was started in between.
  return not === undefined || status.pid !== not.pid || status.uptime < not.uptimeSeconds;
}

function describe({ want, not }: Wanted): string {
  return not ? 'running again' : want;
}

interface Look {
  readonly status: ProxmoxGuestStatus;
  readonly node: string;
}

/** Looks for what is expected, for so long, wherever the guest is by now; `undefined` when it didn't come. */
function createWatch(proxmox: ProxmoxApis, input: GuestInput) {
  const context = Context.current();
  const options = { signal: context.cancellationSignal };
  let place = input.place;

  async function statusNow(): Promise<Look | undefined> {
    try {
      return { status: await statusOf(proxmox, { ...input, place }, options), node: place.node };
    } catch (error) {
      if (isServiceError(error, 'guest-moved')) {
        const { host } = input;
        place = { ...place, node: (await locateGuest(proxmox, { host, vmid: place.vmid }, options)).node };
        return undefined;
      }
      // A node that doesn't answer for a moment isn't a guest in another state.
      if (error instanceof ServiceError && error.retryable) return undefined;
      throw error;
    }
  }

  return async (expected: (status: ProxmoxGuestStatus) => boolean, seconds: number): Promise<Look | undefined> => {
    const until = performance.now() + seconds * 1000;
    for (;;) {
      const seen = await statusNow().catch((error: unknown) => {
        if (isServiceError(error, 'cancelled')) throw interrupted(context);
        throw error;
      });
      if (seen && expected(seen.status)) return seen;
      if (performance.now() >= until) return undefined;
      await context.sleep(Math.min(lookEveryMs, seconds * 1000)).catch(() => undefined);
      if (context.cancellationSignal.aborted) throw interrupted(context);
    }
  };
}

function interrupted(context: Context): ServiceError {
  if (!context.cancellationDetails?.cancelRequested) return leftToNext('The guest is to be looked at');
  return new ServiceError({
    code: 'cancelled',
    message: 'The run was cancelled while it looked at the guest',
    remedy: 'Start it again when it is wanted.',
  });
}

function failed(label: string, what: string, want: GuestState): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `Proxmox's task ended well, but the ${label} ${what}`,
    remedy:
      want === 'running'
        ? "Look at the guest's console and at the log of its node (journalctl) for why it went off."
        : 'Look for who keeps it on or starts it again: the HA stack, a schedule, or a person.',
  });
}
