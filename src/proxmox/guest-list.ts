import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { Inventory, ListedGuest, SeenCluster } from './inventory.ts';
import { age, badCursor, type Listing, listing, type Page, percent, usedOf } from './listing.ts';

/** By what guests can be sorted: their numbers, or what they use, the most first. */
export const guestOrders = ['vmid', 'name', 'cpu', 'memory', 'disk', 'uptime'] as const;
export type GuestOrder = (typeof guestOrders)[number];

/** Which guests; all filters hold together. */
export interface GuestFilter {
  /** The name of a cluster; a configured host's is asked for where the inventory is read. */
  readonly cluster?: string | undefined;
  readonly node?: string | undefined;
  /** `running`, `stopped`, `paused`, `template` … */
  readonly state?: string | undefined;
  readonly kind?: 'vm' | 'container' | undefined;
  readonly tag?: string | undefined;
  readonly pool?: string | undefined;
  /** Part of the name, or all of it with `*` for anything and `?` for one character. */
  readonly name?: string | undefined;
}

/** One page of the guests that a filter leaves. */
export interface GuestPage extends Listing {
  /** `124 guests: 80 running, 40 stopped, 4 template`; `3 of 124 guests: 3 running` where a filter leaves some out. */
  readonly summary: string;
  readonly total: number;
  readonly cursor?: string;
}

/** Filters, sorts and shows an inventory. Throws `invalid-input` for a cursor that no answer gave. */
export function listGuests(
  { guests, clusters }: Inventory,
  filter: GuestFilter,
  { limit, cursor, sort = 'vmid' }: Page & { readonly sort?: GuestOrder | undefined },
): GuestPage {
  const wanted = filterOf(filter);
  const kept = guests.filter(wanted);
  const keys = new Map(kept.map((guest) => [guest, keyOf(guest, sort)]));
  const of = (guest: ListedGuest) => keys.get(guest) ?? keyOf(guest, sort);
  const sorted = kept.toSorted((a, b) => compare(of(a), of(b)));
  const from = cursor === undefined ? undefined : readCursor(cursor, sort);
  const rest = from === undefined ? sorted : sorted.filter((guest) => compare(of(guest), from) > 0);
  const shown = fitting(rest.slice(0, limit));
  const last = shown.at(-1);
  const isSeveral = clusters.length > 1;
  return {
    summary: summaryOf(kept, guests.length, clusters),
    total: kept.length,
    ...listing(shown, {
      vmid: ({ vmid }) => vmid,
      name: ({ name }) => name,
      kind: ({ type }) => (type === 'qemu' ? 'vm' : 'container'),
      state: ({ state }) => state,
      node: ({ node }) => node,
      cluster: ({ cluster }) => (isSeveral ? cluster : undefined),
      cpu: ({ cpu, cpus, state }) => (state === 'running' ? `${percent(cpu) ?? '?'} of ${cpus ?? '?'}` : cpus),
      memory: ({ memory, maxMemory, state }) => usedOf(state === 'running' ? memory : undefined, maxMemory),
      disk: ({ disk, maxDisk }) => usedOf(disk, maxDisk),
      uptime: ({ uptimeSeconds }) => age(uptimeSeconds),
      tags: ({ tags }) => tags.join(' '),
      pool: ({ pool }) => pool,
      lock: ({ lock }) => lock,
      ha: ({ ha }) => ha,
    }),
    ...(last !== undefined && shown.length < rest.length && { cursor: writeCursor(of(last), sort) }),
  };
}

/** Texts of all guests of a page together, in characters: two thousand honest ones have far fewer. */
const mostText = 200_000;

/** As many as fit, and one at least. */
function fitting(guests: readonly ListedGuest[]): readonly ListedGuest[] {
  let left = mostText;
  return guests.filter(({ name, node, state, tags, pool = '', lock = '' }, at) => {
    left -= name.length + node.length + state.length + tags.join(' ').length + pool.length + lock.length;
    return at === 0 || left >= 0;
  });
}

/** What the clusters say beside their guests: which of them didn't answer, and what an API token doesn't see. */
export function notesOf(clusters: readonly SeenCluster[]): readonly string[] {
  return clusters.flatMap(({ name, hosts, problem, hidden }) => [
    ...(problem === undefined
      ? []
      : [
          `${name} (${hosts.join(', ')}) was not asked, and its guests are missing here: ${cleanLine(problem.message, 300)} ${cleanLine(problem.remedy, 300)}`,
        ]),
    ...(hidden === undefined ? [] : [hidden]),
  ]);
}

function filterOf(filter: GuestFilter): (guest: ListedGuest) => boolean {
  const { cluster, node, state, kind, pool } = filter;
  const tag = filter.tag?.replace(/^#/, '').toLowerCase();
  const name = filter.name === undefined ? undefined : patternOf(filter.name);
  const type = kind === 'vm' ? 'qemu' : 'lxc';
  return (guest) =>
    (cluster === undefined || guest.cluster === cluster) &&
    (node === undefined || guest.node === node) &&
    (state === undefined || guest.state === state) &&
    (kind === undefined || guest.type === type) &&
    (pool === undefined || guest.pool === pool) &&
    (tag === undefined || guest.tags.some((one) => one.toLowerCase() === tag)) &&
    (name === undefined || name(guest.name));
}

/** Without an expression of its own, which a long pattern could make endless: each part is looked for in its order. */
function patternOf(pattern: string): (name: string) => boolean {
  const wanted = pattern.toLowerCase();
  if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
  return (name) => matches(name.toLowerCase(), wanted);
}

/** Whether a text is as a pattern says; of several stars only the last one is gone back to. */
function matches(text: string, pattern: string): boolean {
  let [at, of, star, resume] = [0, 0, -1, 0];
  while (at < text.length) {
    if (of < pattern.length && (pattern[of] === '?' || pattern[of] === text[at]) && pattern[of] !== '*') {
      at += 1;
      of += 1;
    } else if (pattern[of] === '*') {
      star = of;
      resume = at;
      of += 1;
    } else if (star >= 0) {
      resume += 1;
      at = resume;
      of = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[of] === '*') of += 1;
  return of === pattern.length;
}

/** What a guest is sorted by: no two have the same, so that a page ends at one place. */
type Key = readonly [by: string | number, cluster: string, vmid: number];

function keyOf(
  { cluster, vmid, name, cpu = 0, cpus = 1, memory = 0, disk = 0, uptimeSeconds = 0 }: ListedGuest,
  sort: GuestOrder,
): Key {
  const by = {
    vmid: 0,
    name: name.toLowerCase(),
    cpu: -cpu * cpus,
    memory: -memory,
    disk: -disk,
    uptime: -uptimeSeconds,
  };
  return [by[sort], cluster, vmid];
}

function compare(a: Key, b: Key): number {
  for (const at of [0, 1, 2] as const) {
    if (a[at] < b[at]) return -1;
    if (a[at] > b[at]) return 1;
  }
  return 0;
}

function writeCursor(key: Key, sort: GuestOrder): string {
  return Buffer.from(JSON.stringify([sort, ...key])).toString('base64url');
}

function readCursor(cursor: string, sort: GuestOrder): Key {
  try {
    const [by, ...key] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as [string, ...Key];
    const isKey = key.length === 3 && typeof key[1] === 'string' && typeof key[2] === 'number';
    if (by === sort && isKey && typeof key[0] === (sort === 'name' ? 'string' : 'number')) return key;
  } catch {
    // Said below, as of every other text that is no cursor.
  }
  throw badCursor(cursor);
}

function summaryOf(guests: readonly ListedGuest[], all: number, clusters: readonly SeenCluster[]): string {
  const states = new Map<string, number>();
  for (const { state } of guests) states.set(state, (states.get(state) ?? 0) + 1);
  const counts = [...states].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 8);
  const of = clusters.length > 1 ? ` in ${clusters.length} clusters` : '';
  const noun = all === 1 ? 'guest' : 'guests';
  const part = guests.length === all ? '' : ` of ${all}`;
  return `${guests.length}${part} ${noun}${of}${counts.length === 0 ? '' : `: ${counts.map(([state, count]) => `${count} ${state}`).join(', ')}`}`;
}

/** The cluster of an inventory that a name means, which is no configured host's. Throws `not-found`, naming those there are. */
export function clusterNamed({ clusters }: Inventory, name: string, hosts: readonly string[]): string {
  if (clusters.some((cluster) => cluster.name === name)) return name;
  const names = [...new Set([...clusters.map((cluster) => cluster.name), ...hosts])];
  throw new ServiceError({
    code: 'not-found',
    message: `host: there is no host or cluster "${cleanLine(name, 80)}"`,
    remedy: `There are: ${names.join(', ')}.`,
    details: { field: 'host' },
  });
}
