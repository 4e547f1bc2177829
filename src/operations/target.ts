/**
 * What an operation acts on: a managed `host`, a `guest` (a cluster and a VMID, located at every call), many `guests` of a
 * cluster, a `fleet` (several hosts, or all), or the `service` itself.
 */
export type TargetKind = 'host' | 'guest' | 'guests' | 'fleet' | 'service';

/** Which guests of a cluster: those for which all that is given holds. */
export interface GuestSelection {
  readonly vmids?: readonly number[] | undefined;
  readonly tag?: string | undefined;
  readonly pool?: string | undefined;
  /** Of the name; `*` stands for anything. */
  readonly name?: string | undefined;
  readonly node?: string | undefined;
  readonly kind?: 'vm' | 'container' | undefined;
  readonly state?: 'running' | 'stopped' | undefined;
}

/** The fields by which an operation's input names its target. */
export interface TargetFields {
  readonly host: { readonly host: string };
  /** `host`: any configured host of the guest's cluster; which one the guest is on is looked up. */
  readonly guest: { readonly host: string; readonly vmid: number };
  /** `host`: any configured host of the guests' cluster. */
  readonly guests: { readonly host: string } & GuestSelection;
  /** Absent: all configured hosts. */
  readonly fleet: { readonly hosts?: readonly string[] | undefined };
  readonly service: object;
}

/** A target in an operation's input, whatever its kind. */
export interface TargetInput {
  readonly host?: string | undefined;
  readonly vmid?: number | undefined;
  readonly hosts?: readonly string[] | undefined;
}

/** Where a guest is now. */
export interface GuestPlace {
  readonly kind: 'guest';
  /** The cluster's own name; of a node that is in none, the configured name of its host. */
  readonly cluster: string;
  readonly vmid: number;
  readonly node: string;
  readonly type: 'qemu' | 'lxc';
  /** Its name, for people. */
  readonly name: string;
  readonly tags?: readonly string[];
  readonly pool?: string;
  /** The configured host that is its node; absent where that node isn't configured. */
  readonly host?: string | undefined;
}

/** Where a target is now. Of a guest it can change at any time: ask again after its lock was granted. */
export type Place =
  | { readonly kind: 'host'; readonly host: string }
  | GuestPlace
  | {
      readonly kind: 'guests';
      /** Those that were selected, by VMID; each as it was found. */
      readonly guests: readonly GuestPlace[];
    }
  | { readonly kind: 'fleet' }
  | { readonly kind: 'service' };

/** Who may change something now. Several runs may hold it `shared`, or one `exclusive`. */
export interface Lock {
  /** `host/pve1`, `guest/homelab/100`, `service`. */
  readonly name: string;
  readonly mode: 'exclusive' | 'shared';
}

export function hostLock(host: string, mode: Lock['mode'] = 'exclusive'): Lock {
  return { name: `host/${host}`, mode };
}

export function guestLock({ cluster, vmid }: GuestPlace): Lock {
  return { name: `guest/${cluster}/${vmid}`, mode: 'exclusive' };
}

/**
 * The locks of a run that changes something, in the order in which every run takes them, so that no two wait for each
 * other. A guest is held alone and its host is shared, so that guests of one host are worked on side by side, and a
 * change of the host itself waits for them.
 */
export function locksOf(place: Place, { sharesHost }: { readonly sharesHost?: true } = {}): readonly Lock[] {
  switch (place.kind) {
    case 'host':
      return [hostLock(place.host, sharesHost ? 'shared' : 'exclusive')];
    case 'guest': {
      return inOrder([guestLock(place), ...(place.host === undefined ? [] : [hostLock(place.host, 'shared')])]);
    }
    case 'guests': {
      // Each guest is held alone while it is worked on, and not before.
      const hosts = place.guests.flatMap(({ host }) => (host === undefined ? [] : [host]));
      return inOrder(hosts.map((host) => hostLock(host, 'shared')));
    }
    case 'fleet':
      // A composite operation holds nothing itself: each child takes its own.
      return [];
    case 'service':
      return [{ name: 'service', mode: 'exclusive' }];
  }
}

/** By name, each once; asked for both ways it is exclusive. */
export function inOrder(locks: readonly Lock[]): readonly Lock[] {
  const modes = new Map<string, Lock['mode']>();
  for (const { name, mode } of locks) if (modes.get(name) !== 'exclusive') modes.set(name, mode);
  return [...modes].map(([name, mode]) => ({ name, mode })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The target's fields of any operation's input. */
export function targetIn(input: Readonly<Record<string, unknown>>): TargetInput {
  const { host, vmid, hosts } = input;
  return {
    ...(typeof host === 'string' && { host }),
    ...(typeof vmid === 'number' && { vmid }),
    ...(Array.isArray(hosts) && { hosts: hosts.filter((name) => typeof name === 'string') }),
  };
}

/** The selection in the input of an operation on many guests, which its schema has checked. */
export function selectionIn(input: Readonly<Record<string, unknown>>): GuestSelection {
  const { vmids, tag, pool, name, node, kind, state } = input as GuestSelection;
  return { vmids, tag, pool, name, node, kind, state };
}

/**
 * What a request of an operation is about: its own kind of target, but a guest where an operation on hosts may name one
 * and this request does.
 */
export function kindFor(
  { target, mayNameGuest }: { readonly target: TargetKind; readonly mayNameGuest?: true },
  input: Readonly<Record<string, unknown>>,
): TargetKind {
  return mayNameGuest === true && targetIn(input).vmid !== undefined ? 'guest' : target;
}

/** {@link targetLabel} of a request. */
export function labelFor(
  operation: { readonly target: TargetKind; readonly mayNameGuest?: true },
  input: Readonly<Record<string, unknown>>,
): string {
  return targetLabel(kindFor(operation, input), targetIn(input));
}

/** A guest as people are told of it: `VM 100 (files)`, `container 101 (dns)`. */
export function guestLabel({ type, vmid, name }: GuestPlace): string {
  return `${type === 'qemu' ? 'VM' : 'container'} ${vmid}${name === String(vmid) ? '' : ` (${name})`}`;
}

/** A target in a word: `pve1`, `pve1/100`, `pve1/guests`, `fleet`, `pve1,pve2`, `service`. */
export function targetLabel(kind: TargetKind, input: TargetInput): string {
  switch (kind) {
    case 'host':
      return input.host ?? '';
    case 'guest':
      return `${input.host}/${input.vmid}`;
    case 'guests':
      return `${input.host}/guests`;
    case 'fleet':
      return input.hosts === undefined ? 'fleet' : [...input.hosts].sort().join(',');
    case 'service':
      return 'service';
  }
}
