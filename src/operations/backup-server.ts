import { z } from 'zod';
import { type ApiRead, apiRead } from './api-change.ts';

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

const snapshots = () =>
  z.array(
    z.object({
      'backup-type': z.string(),
      'backup-id': z.string(),
      'backup-time': z.number(),
      size: z.number().nullish(),
      owner: z.string().nullish(),
      comment: z.string().nullish(),
      protected: z.boolean().default(false),
      verification: z.object({ state: z.string(), upid: z.string().optional() }).nullish(),
    }),
  );
export type ServerSnapshots = z.output<ReturnType<typeof snapshots>>;
export type ServerSnapshot = ServerSnapshots[number];

/** The snapshots of one namespace of a datastore; without a namespace of its root. */
export function readServerSnapshots(store: string, ns: string | undefined): ApiRead<ReturnType<typeof snapshots>> {
  return apiRead({
    template: '/admin/datastore/*/snapshots',
    values: [store],
    ...(ns === undefined ? {} : { parameters: { ns } }),
    schema: snapshots(),
  });
}

/** The namespaces of a datastore, with the root as an empty name. */
export function readNamespaces(store: string) {
  return apiRead({
    template: '/admin/datastore/*/namespace',
    values: [store],
    schema: z.array(z.object({ ns: z.string().default('') })),
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
      'last-run-endtime': time(),
      'next-run': time(),
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
export function groupOf(one: Pick<ServerSnapshot, 'backup-type' | 'backup-id'>): string {
  return `${one['backup-type']}/${one['backup-id']}`;
}

/** `vm/100/2026-11-22T02:00:00Z` */
export function snapshotId(one: Pick<ServerSnapshot, 'backup-type' | 'backup-id' | 'backup-time'>): string {
  return `${groupOf(one)}/${whenText(one['backup-time'])}`;
}

export function whenText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}
