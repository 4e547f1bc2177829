import type { OperationDefinition } from '../operations/definition.ts';
import type { JudgedRequest } from '../operations/judgement.ts';
import { kindFor, targetIn, targetLabel } from '../operations/target.ts';
import type { Targets } from './schema.ts';

/** What a request touches. */
export interface Touched {
  /** `pve1`, `pve1/100`, `fleet`, `service`. */
  readonly label: string;
  /** Hosts that are named or worked on; of a guest the one that it was asked at and the one that it is on. */
  readonly hosts: readonly string[];
  /** Of a guest: where it is, if that is known. */
  readonly place?: string;
  readonly vmid?: number;
  /** Absent: nobody looked. */
  readonly guest?: JudgedRequest['guest'];
}

/** What a request touches. Of a fleet of no named hosts, and of an unknown operation that names none: all there are. */
export function touchedBy(
  { input, guest }: JudgedRequest,
  definition: Pick<OperationDefinition, 'target' | 'mayNameGuest'> | undefined,
  hosts: readonly string[],
): Touched {
  const { host, vmid, hosts: named } = targetIn(input);
  const kind =
    (definition && kindFor(definition, input)) ??
    (vmid !== undefined ? 'guest' : host !== undefined ? 'host' : 'fleet');
  const label = targetLabel(kind, { host, vmid, hosts: named });
  if (kind === 'service') return { label, hosts: [] };
  if (kind === 'fleet') return { label, hosts: named ?? hosts };
  const touched = { label, hosts: distinct([host, guest?.host]) };
  if (kind === 'host' || kind === 'guests') return touched;
  return {
    ...touched,
    ...(guest?.host !== undefined && { place: guest.host }),
    ...(vmid !== undefined && { vmid }),
    ...(guest !== undefined && { guest }),
  };
}

function distinct(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names.filter((name) => name !== undefined))];
}

/**
 * Whether targets that restrict hold for anything of what is touched. What isn't known of a guest holds: a restriction
 * must not be passed by an API that doesn't answer.
 */
export function touchesAny(on: Targets | undefined, touched: Touched): boolean {
  if (on === undefined) return true;
  if (touched.hosts.some((name) => on.hosts?.includes(name))) return true;
  if (touched.vmid === undefined) return false;
  if (holdsVmid(on, touched.vmid)) return true;
  const unknown = touched.guest === undefined && (on.tags ?? on.pools) !== undefined;
  return unknown || holdsGuest(on, touched);
}

/** Whether targets that permit hold for all of what is touched, beyond doubt. */
export function coversAll(on: Targets | undefined, touched: Touched): boolean {
  if (on === undefined) return true;
  if (touched.vmid === undefined) {
    return touched.hosts.length > 0 && touched.hosts.every((name) => on.hosts?.includes(name));
  }
  const isPlace = touched.place !== undefined && on.hosts?.includes(touched.place) === true;
  return isPlace || holdsVmid(on, touched.vmid) || holdsGuest(on, touched);
}

function holdsVmid({ guests = [] }: Targets, vmid: number): boolean {
  return guests.some(([from, to]) => from <= vmid && vmid <= to);
}

function holdsGuest({ tags = [], pools = [] }: Targets, { guest }: Touched): boolean {
  if (guest === undefined) return false;
  const own = guest.tags.map((tag) => tag.toLowerCase());
  return tags.some((tag) => own.includes(tag)) || pools.some((pool) => pool === guest.pool);
}

/** What is touched, each alone: what has several hosts is judged for each of them. */
export function partsOf(touched: Touched): readonly Touched[] {
  if (touched.vmid !== undefined) {
    const host = touched.place ?? touched.hosts[0];
    return [{ ...touched, hosts: host === undefined ? [] : [host] }];
  }
  return touched.hosts.length < 2 ? [touched] : touched.hosts.map((host) => ({ ...touched, hosts: [host] }));
}
