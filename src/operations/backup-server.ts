import { z } from 'zod';
import { type ApiRead, apiRead } from './api-change.ts';
import { said } from './said.ts';

// What a Proxmox Backup Server says of itself: by its published API (proxmox-backup, src/api2), not recorded from a running one.

const time = () => z.number().optional();

/** Its own rule for names of datastores and jobs. */
export function storeName() {
  return z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{1,63}$/, 'expected a name of at least 2 letters, digits, . _ and -');
}

export function namespaceName() {
  return z
    .string()
    .max(256)
    .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*){0,7}$/, 'expected a namespace, e.g. site/pve1');
}

const garbage = () =>
  z.object({
    upid: z.string().nullish(),
    'disk-bytes': z.number().optional(),
    'pending-bytes': z.number().optional(),
    'removed-bytes': z.number().optional(),
    'still-bad': z.number().optional(),
    'removed-bad': z.number().optional(),
  });

const usages = () =>
  z.array(
    z.object({
      store: z.string(),
      total: z.number().optional(),
      used: z.number().optional(),
      avail: z.number().optional(),
      'estimated-full-date': time(),
      error: z.string().optional(),
      'gc-status': garbage().optional(),
    }),
  );
export type StoreUsage = z.output<ReturnType<typeof usages>>[number];

/** The datastores with how full they are; those that the API token may not see are missing. */
export function readUsages() {
  return apiRead({ template: '/status/datastore-usage', values: [], schema: usages() });
}

const listed = () =>
  z.object({
    'backup-type': z.string(),
    'backup-id': z.string(),
    'backup-time': z.number(),
    size: z.number().nullish(),
    owner: z.string().nullish(),
    comment: z.string().nullish(),
    protected: z.boolean().default(false),
    verification: z.object({ state: z.string(), upid: z.string().optional() }).nullish(),
  });
type Listed = z.output<ReturnType<typeof listed>>;

/** What is kept of a snapshot: a server may have very many, and what is read stands in the run's history. */
export interface ServerSnapshot {
  /** `vm/100/2026-11-22T02:00:00Z`; of another namespace than the root with that before it: `site/pve1: vm/100/…`. */
  readonly id: string;
  /** `vm/100` */
  readonly group: string;
  readonly verified?: 'ok' | 'failed';
  /** Tells one verification from another. */
  readonly by?: string;
  /** When that was begun; Unix seconds. */
  readonly verifiedAt?: number;
  /** It is being written, or was cut off. */
  readonly isUnfinished?: true;
}

function kept(one: Listed, ns: string | undefined): ServerSnapshot {
  const state = one.verification?.state;
  const [, task, started] = /^UPID:[^:]*:[^:]*:[^:]*:([^:]+):([0-9A-F]{8,}):/i.exec(one.verification?.upid ?? '') ?? [];
  return {
    id: inNamespace(ns, snapshotId(one)),
    group: groupOf(one),
    ...(state !== undefined && { verified: state === 'ok' ? 'ok' : 'failed' }),
    ...(started !== undefined && { by: `${started}-${task}`, verifiedAt: Number.parseInt(started, 16) }),
    ...((one.size ?? 0) <= 1 && { isUnfinished: true }),
  };
}

export function inNamespace(ns: string | undefined, id: string): string {
  return ns === undefined || ns === '' ? id : `${ns}: ${id}`;
}

function snapshotsOf<T>(
  store: string,
  ns: string | undefined,
  make: (all: readonly Listed[]) => T,
): ApiRead<z.ZodType<T>> {
  return apiRead({
    template: '/admin/datastore/*/snapshots',
    values: [store],
    ...(ns === undefined || ns === '' ? {} : { parameters: { ns } }),
    schema: z.array(listed()).transform(make) as unknown as z.ZodType<T>,
  });
}

/** The snapshots of one namespace of a datastore; without a namespace of its root. */
export function readServerSnapshots(
  store: string,
  ns: string | undefined,
): ApiRead<z.ZodType<readonly ServerSnapshot[]>> {
  return snapshotsOf(store, ns, (all) => all.map((one) => kept(one, ns)));
}

/** The newest of a group, and what of it is verified. */
export interface ServerGroup {
  readonly group: string;
  /** Unix seconds; absent: none is finished. */
  readonly newest?: number;
  readonly isVerified: boolean;
}

/** What is said of a namespace's snapshots, however many there are. */
export interface SnapshotSummary {
  readonly count: number;
  /** Those of the group that was asked for. */
  readonly matching: number;
  readonly groups: readonly ServerGroup[];
  readonly damaged: { readonly count: number; readonly first: readonly string[] };
  readonly unfinished: readonly string[];
  /** The newest of those that match. */
  readonly newest: readonly {
    readonly id: string;
    readonly time: number;
    readonly bytes?: number;
    readonly verified: 'ok' | 'failed' | 'none';
    readonly isProtected: boolean;
    readonly isUnfinished?: true;
    readonly owner?: string;
    readonly comment?: string;
  }[];
}

/** `undefined`: it could not be read. */
export function readSnapshotSummary(
  store: string,
  ns: string,
  { group, limit }: { readonly group?: string | undefined; readonly limit: number },
): ApiRead<z.ZodType<SnapshotSummary | null>> {
  const summary = snapshotsOf<SnapshotSummary | null>(store, ns, (all) => {
    const matching = all.filter((one) => group === undefined || groupOf(one) === group);
    const groups = new Map<string, ServerGroup>();
    for (const one of all) {
      const key = groupOf(one);
      const { isUnfinished, verified } = kept(one, ns);
      const before = groups.get(key) ?? { group: key, isVerified: false };
      const newest = isUnfinished ? before.newest : Math.max(before.newest ?? 0, one['backup-time']);
      const isVerified = before.isVerified || verified === 'ok';
      groups.set(key, { group: key, isVerified, ...(newest !== undefined && { newest }) });
    }
    const damaged = all.filter(({ verification }) => verification && verification.state !== 'ok');
    return {
      count: all.length,
      matching: matching.length,
      groups: [...groups.values()],
      damaged: { count: damaged.length, first: damaged.slice(0, 10).map(snapshotId) },
      unfinished: all
        .filter((one) => kept(one, ns).isUnfinished)
        .slice(0, 10)
        .map(snapshotId),
      newest: matching
        .toSorted((a, b) => b['backup-time'] - a['backup-time'])
        .slice(0, limit)
        .map((one) => {
          const { isUnfinished, verified } = kept(one, ns);
          return {
            id: snapshotId(one),
            time: one['backup-time'],
            ...(typeof one.size === 'number' && !isUnfinished && { bytes: one.size }),
            verified: verified ?? ('none' as const),
            isProtected: one.protected,
            ...(isUnfinished && { isUnfinished }),
            ...(one.owner && { owner: said(one.owner, 100) }),
            ...(one.comment && { comment: said(one.comment, 200) }),
          };
        }),
    };
  });
  return { ...summary, absent: null, absentOn: unreadable };
}

/** One datastore that is away or not shown hides nothing of the others. */
export const unreadable = [
  'proxmox-permission',
  'proxmox-unavailable',
  'proxmox-invalid',
  'timeout',
  'conflict',
] as const;

/** How many namespaces of a datastore are looked into. */
export const mostNamespaces = 100;

/** The namespaces of a datastore, with the root as an empty name. */
export function readNamespaces(store: string) {
  return apiRead({
    template: '/admin/datastore/*/namespace',
    values: [store],
    schema: z.array(z.object({ ns: z.string().default('') })).transform((all) => all.slice(0, mostNamespaces)),
    // Before 2.2 there were none.
    absent: [{ ns: '' }],
  });
}

const keepFields = ['keep-last', 'keep-hourly', 'keep-daily', 'keep-weekly', 'keep-monthly', 'keep-yearly'] as const;

const jobs = () =>
  z.array(
    z.looseObject({
      id: z.string(),
      store: z.string(),
      ns: z.string().optional(),
      'max-depth': z.number().optional(),
      schedule: z.string().optional(),
      disable: z.boolean().optional(),
      'last-run-state': z.string().optional(),
      'last-run-upid': z.string().optional(),
      'last-run-endtime': time(),
      'next-run': time(),
      'ignore-verified': z.boolean().optional(),
      'outdated-after': z.number().optional(),
      'keep-last': z.number().optional(),
      'keep-hourly': z.number().optional(),
      'keep-daily': z.number().optional(),
      'keep-weekly': z.number().optional(),
      'keep-monthly': z.number().optional(),
      'keep-yearly': z.number().optional(),
    }),
  );
export type ServerJob = z.output<ReturnType<typeof jobs>>[number];

/** Configured jobs with how each went last, and when it comes next. */
export function readServerJobs(kind: 'verify' | 'prune' | 'sync') {
  return apiRead({
    template: `/admin/${kind}`,
    values: [],
    schema: jobs(),
    absent: [],
    absentOn: ['proxmox-permission'],
  });
}

/** Sync jobs that push to another server, which are listed only on request; before 3.3 there are none. */
export function readPushJobs() {
  return apiRead({
    template: '/admin/sync',
    values: [],
    parameters: { 'sync-direction': 'push' },
    schema: jobs(),
    absent: [],
    absentOn: ['proxmox-permission', 'proxmox-invalid'],
  });
}

/** What a garbage collection of a datastore did last, and when the next one is. */
export function readGarbage(store: string) {
  return apiRead({
    template: '/admin/datastore/*/gc',
    values: [store],
    schema: garbage().extend({
      schedule: z.string().optional(),
      'last-run-state': z.string().optional(),
      'last-run-endtime': time(),
      'next-run': time(),
    }),
  });
}

/** The same where it can't be read: nothing. */
export function readGarbageIfAny(store: string) {
  return { ...readGarbage(store), absent: {}, absentOn: unreadable };
}

/** What is kept, as the API takes it. */
export function keepOptions(from: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    keepFields.flatMap((field) => {
      const value = from[field];
      return typeof value === 'number' && value > 0 ? [[field, value]] : [];
    }),
  );
}

/** A backup group: `vm/100`. */
function groupOf(one: Pick<Listed, 'backup-type' | 'backup-id'>): string {
  return `${one['backup-type']}/${one['backup-id']}`;
}

/** `vm/100/2026-11-22T02:00:00Z` */
export function snapshotId(one: Pick<Listed, 'backup-type' | 'backup-id' | 'backup-time'>): string {
  return `${groupOf(one)}/${whenText(one['backup-time'])}`;
}

export function whenText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}

/** What a task works on as its UPID has it: as systemd escapes the name of a unit. */
export function escapedId(id: string): string {
  return [...new TextEncoder().encode(id)]
    .map((byte, at) => {
      const letter = String.fromCharCode(byte);
      if (letter === '/') return '-';
      return /[A-Za-z0-9_]/.test(letter) || (letter === '.' && at > 0)
        ? letter
        : `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}
