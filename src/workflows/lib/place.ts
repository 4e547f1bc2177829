import type { OperationDefinition } from '../../operations/definition.ts';
import type { JudgedRequest } from '../../operations/judgement.ts';
import type { Place, TargetInput } from '../../operations/target.ts';
import { onHost } from './activities.ts';

/** What the policy judges of a place. */
export function judgedGuest(place: Place): JudgedRequest['guest'] {
  if (place.kind !== 'guest') return undefined;
  const { vmid, tags = [], pool } = place;
  return { vmid, tags: [...tags], ...(pool === undefined ? {} : { pool }) };
}

/** Finds guests by their host's API; see `src/activities/guests`. */
interface GuestLocator {
  locateGuest(input: {
    readonly host: string;
    readonly vmid: number;
  }): Promise<Extract<Place, { readonly kind: 'guest' }>>;
}

/** Where a run's target is now. */
export async function locate({ target: kind }: OperationDefinition, target: TargetInput): Promise<Place> {
  switch (kind) {
    case 'host':
      return { kind, host: target.host ?? '' };
    case 'guest': {
      const [host, vmid] = [target.host ?? '', target.vmid ?? 0];
      return onHost<GuestLocator>(host, 'look', `Find guest ${vmid}`).locateGuest({ host, vmid });
    }
    default:
      return { kind };
  }
}
