import type { OperationDefinition } from '../../operations/definition.ts';
import type { JudgedGuest, JudgedRequest } from '../../operations/judgement.ts';
import {
  type GuestPlace,
  type GuestSelection,
  kindFor,
  type Place,
  selectionIn,
  targetIn,
} from '../../operations/target.ts';
import { onHost } from './activities.ts';

/** What the policy judges of a request beside its input: the guests that it is for. */
export function judgedOf(
  definition: OperationDefinition,
  input: Readonly<Record<string, unknown>>,
  place: Place,
): Pick<JudgedRequest, 'guest' | 'each'> {
  if (place.kind === 'guest') return { guest: judgedGuest(place) };
  if (place.kind !== 'guests' || definition.each === undefined) return {};
  const each = definition.each(input);
  return {
    each: { operation: each.operation, input: { ...each.input }, guests: place.guests.map(judgedGuest) },
  };
}

function judgedGuest({ vmid, tags = [], pool }: GuestPlace): JudgedGuest {
  return { vmid, tags: [...tags], ...(pool === undefined ? {} : { pool }) };
}

/** Finds guests by their host's API; see `src/activities/guests`. */
interface GuestLocator {
  locateGuest(input: { readonly host: string; readonly vmid: number }): Promise<GuestPlace>;
  selectGuests(input: { readonly host: string; readonly of: GuestSelection }): Promise<GuestPlace[]>;
}

/** Where a run's target is now. */
export async function locate(
  definition: OperationDefinition,
  input: Readonly<Record<string, unknown>>,
): Promise<Place> {
  const target = targetIn(input);
  const kind = kindFor(definition, input);
  switch (kind) {
    case 'host':
      return { kind, host: target.host ?? '' };
    case 'guest': {
      const [host, vmid] = [target.host ?? '', target.vmid ?? 0];
      return onHost<GuestLocator>(host, 'look', `Find guest ${vmid}`).locateGuest({ host, vmid });
    }
    case 'guests': {
      const { host = '' } = target;
      const of = selectionIn(input);
      return { kind, guests: await onHost<GuestLocator>(host, 'look', 'Find the guests').selectGuests({ host, of }) };
    }
    default:
      return { kind };
  }
}
