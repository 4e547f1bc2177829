import { Context } from '@temporalio/activity';
import { isServiceError, ServiceError } from '../../errors.ts';
import { type GuestPlace, type GuestSelection, guestLabel } from '../../operations/target.ts';
import type { ProxmoxClient } from '../../proxmox/client.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { locateGuest, selectGuests } from '../../proxmox/locate.ts';
import type { ProxmoxGuestStatus } from '../../proxmox/schemas.ts';
import type { CallOptions } from '../../proxmox/transport.ts';

export const queue = 'host';

/** How an activity names a guest: as the run's input does, and where the run found it. */
export interface GuestInput {
  /** A configured host of the guest's cluster. */
  readonly host: string;
  readonly place: GuestPlace;
}

/** What every operation on guests needs. */
export function createGuestActivities({ proxmox }: { readonly proxmox: ProxmoxApis }) {
  return {
    /** Where a guest is now: see {@link locateGuest} of `src/proxmox/locate.ts`. */
    locateGuest(input: { readonly host: string; readonly vmid: number }): Promise<GuestPlace> {
      return locateGuest(proxmox, input, { signal: Context.current().cancellationSignal });
    },

    /** See {@link selectGuests} of `src/proxmox/locate.ts`. */
    selectGuests(input: { readonly host: string; readonly of: GuestSelection }): Promise<readonly GuestPlace[]> {
      return selectGuests(proxmox, input, { signal: Context.current().cancellationSignal });
    },
  };
}

export type GuestActivities = ReturnType<typeof createGuestActivities>;

/**
 * The API that is asked about a guest: its own node's where that is configured, else that of the host that was named.
 * It is the same one for all activities of a run, so that each finds the tasks that another one started.
 */
export function apiOf(proxmox: ProxmoxApis, { host, place }: GuestInput): ProxmoxClient {
  return proxmox.get(place.host !== undefined && proxmox.has(place.host) ? place.host : host);
}

/**
 * The guest's state at its place.
 *
 * @throws ServiceError `guest-moved` when it is on another node now, `not-found` when it is nowhere any more
 */
export async function statusOf(
  proxmox: ProxmoxApis,
  input: GuestInput,
  options: CallOptions = {},
): Promise<ProxmoxGuestStatus> {
  try {
    return await apiOf(proxmox, input).guestStatus(input.place, options);
  } catch (error) {
    throw await movedOr(error, proxmox, input, options);
  }
}

/** What is to be thrown where the guest's node answered so: that it has moved, where it has and the node knows no such guest. */
export async function movedOr(
  error: unknown,
  proxmox: ProxmoxApis,
  { host, place }: GuestInput,
  options: CallOptions = {},
): Promise<unknown> {
  if (!isServiceError(error, 'proxmox-not-found')) return error;
  const now = await locateGuest(proxmox, { host, vmid: place.vmid }, options);
  if (now.node === place.node && now.type === place.type) return error;
  return new ServiceError({
    code: 'guest-moved',
    message: `The ${guestLabel(place)} is no longer on ${place.node}: it is on ${now.node} now, and nothing was done to it there`,
    remedy: 'Start it again: it looks for the guest anew.',
    details: { vmid: place.vmid, node: now.node },
    cause: error,
  });
}
