import { z } from 'zod';
import { type ApiRead, apiRead, defineApiChange } from './api-change.ts';
import {
  inNamespace,
  mostNamespaces,
  readGarbageIfAny,
  readNamespaces,
  readPushJobs,
  readServerJobs,
  readSnapshotSummary,
  readUsages,
  type ServerJob,
  type SnapshotSummary,
  type StoreUsage,
  storeName,
  unreadable,
  whenText,
} from './backup-server.ts';
import type { Finding } from './finding.ts';
import { refuseMissing } from './guest-config.ts';
import { roughly } from './guest-disks.ts';
import { hostName } from './inputs.ts';
import { said, some } from './said.ts';

const day = 86_400;
/** How far back failed tasks are told. */
const tasksOfDays = 7;
/** A group without a backup for so long is told. */
const lateAfterDays = 8;

/** How a Proxmox Backup Server is: fullness, jobs, tasks, and what of its snapshots is verified. */
export const checkBackupServer = defineApiChange(
  {
    name: 'check-backup-server',
    title: 'Check backup server',
    summary: 'How a Proxmox Backup Server is: fullness, jobs and their last runs, failed tasks, unverified snapshots.',
    description:
      'Health of a Proxmox Backup Server (PBS): version, how full its datastores are and when they are expected to be full, prune, verify, sync and garbage-collection jobs with their last and next runs, failed tasks, namespaces, and its snapshots (backups) with verification, protection, owner and comment. Works without a storage in Proxmox VE. Changes nothing; maintain-backup-server does.',
    guide: 'the dashboard of a Proxmox Backup Server',
    target: 'host',
    needs: 'backup-server',
    risk: 'read',
    exposure: 'search',
    answersAtOnce: true,
    idempotent: true,
    input: () =>
      z.object({
        host: hostName().describe('A configured Proxmox Backup Server'),
        datastore: storeName().optional().describe('Only this one'),
        group: z
          .string()
          .regex(/^(vm|ct|host)\/[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'expected a backup group, e.g. vm/100')
          .optional()
          .describe('List only the snapshots of this group, e.g. vm/100'),
        limit: z.int().min(1).max(200).default(30).describe('How many snapshots to list, newest first'),
      }),
    output: () =>
      z.object({
        version: z.string(),
        datastores: z.array(
          z.object({ name: z.string(), usedShare: z.number().optional(), fullAt: z.string().optional() }),
        ),
        snapshots: z.array(
          z.object({
            datastore: z.string(),
            namespace: z.string(),
            id: z.string(),
            bytes: z.number().optional(),
            verified: z.enum(['ok', 'failed', 'none']),
            isProtected: z.boolean(),
            isUnfinished: z.boolean().optional().describe('It is being written, or was cut off'),
            owner: z.string().optional(),
            comment: z.string().optional(),
          }),
        ),
        total: z.int().describe('How many snapshots there are, in all namespaces that were read'),
      }),
    steps: ['Look'],
    schedules: [
      {
        id: 'daily',
        cron: '30 7 * * *',
        input: {},
        overlap: 'skip',
        catchUpWindowMs: 12 * 3_600_000,
        pauseOnFailure: false,
        why: 'After the jobs of the night and before the morning report. What is full or overdue is worth knowing half a day late, and a check that fails must not stop the next.',
      },
    ],
  },
  {
    reads: () => ({
      version: apiRead({ template: '/version', values: [], schema: z.object({ version: z.string() }) }),
      clock: apiRead({
        template: '/nodes/*/time',
        values: ['localhost'],
        schema: z.object({ time: z.number() }),
      }),
      usages: readUsages(),
      verify: readServerJobs('verify'),
      prune: readServerJobs('prune'),
      sync: readServerJobs('sync'),
      push: readPushJobs(),
      rights: apiRead({
        template: '/access/permissions',
        values: [],
        parameters: { path: '/system/tasks' },
        schema: z
          .record(z.string(), z.record(z.string(), z.unknown()))
          .transform((all) => ({ seesTasks: Object.values(all).some((one) => 'Sys.Audit' in one) })),
        absent: { seesTasks: false },
        absentOn: ['proxmox-permission', 'proxmox-invalid'],
      }),
    }),
    more: ({ input: { datastore } }, { usages, clock }): Readonly<Record<string, ApiRead<z.ZodType<unknown>>>> => ({
      tasks: apiRead({
        template: '/nodes/*/tasks',
        values: ['localhost'],
        parameters: { errors: true, limit: 50, since: Math.floor(clock.time) - tasksOfDays * day },
        schema: tasks(),
      }) as ApiRead,
      ...Object.fromEntries(
        storesOf(usages, datastore).flatMap(({ store }) => [
          [`namespaces ${store}`, { ...readNamespaces(store), absentOn: unreadable } as ApiRead],
          [`garbage ${store}`, readGarbageIfAny(store) as ApiRead],
        ]),
      ),
    }),
    deeper: ({ input: { datastore, group, limit } }, { usages }, more) =>
      Object.fromEntries(
        storesOf(usages, datastore).flatMap(({ store }) =>
          namespacesIn(more, store).map((ns) => [
            snapshotsIn(store, ns),
            readSnapshotSummary(store, ns, { group, limit }) as ApiRead,
          ]),
        ),
      ),
    plan({ input }, { version, clock, usages, verify, prune, sync, push, rights }, more) {
      const stores = usages.filter(({ store }) => (input.datastore ?? store) === store);
      if (input.datastore !== undefined && stores.length === 0) {
        return refuseMissing(
          `datastore "${input.datastore}" that the API token may see`,
          'datastore',
          usages.map(({ store }) => store),
        );
      }
      const all = storesOf(usages, input.datastore).flatMap(({ store }) =>
        namespacesIn(more, store).map((ns) => ({
          store,
          ns,
          seen: (more[snapshotsIn(store, ns)] ?? null) as SnapshotSummary | null,
        })),
      );
      const listed = all
        .flatMap(({ store, ns, seen }) => (seen?.newest ?? []).map((one) => ({ store, ns, one })))
        .toSorted((a, b) => b.one.time - a.one.time);
      const now = clock.time;
      const jobs = [
        ...verify.map((job) => ({ kind: 'Verify', job })),
        ...prune.map((job) => ({ kind: 'Prune', job })),
        ...sync.map((job) => ({ kind: 'Sync', job })),
        ...push.filter(({ id }) => !sync.some((job) => job.id === id)).map((job) => ({ kind: 'Sync', job })),
      ].filter(({ job }) => input.datastore === undefined || job.store === input.datastore);
      const count = all.reduce((sum, { seen }) => sum + (seen?.count ?? 0), 0);
      return {
        summary: 'look at the backup server',
        state: [{ name: 'Version', value: version.version }],
        affected: [],
        risks: [],
        steps: [],
        output: {
          version: version.version,
          datastores: stores.map(({ store, total, used, 'estimated-full-date': full }) => ({
            name: store,
            ...(total !== undefined && used !== undefined && total > 0 && { usedShare: used / total }),
            ...(full !== undefined && full > now && { fullAt: whenText(full) }),
          })),
          snapshots: listed
            .slice(0, input.limit)
            .map(({ store, ns, one: { time: _, ...one } }) => ({ datastore: store, namespace: ns, ...one })),
          total: all.reduce((sum, { seen }) => sum + (seen?.matching ?? 0), 0),
        },
        done: `The backup server has ${stores.length} datastores and ${count} snapshots that the API token may see.`,
        findings: [
          { check: 'Version', verdict: 'ok', summary: said(version.version, 60) },
          ...(stores.length === 0
            ? [
                {
                  check: 'Datastores',
                  verdict: 'unknown' as const,
                  summary: 'The API token may see none',
                  remedy: 'Give it Datastore.Audit on /datastore; an API token needs it besides its user.',
                },
              ]
            : []),
          ...stores.flatMap((store) => fullness(store, now)),
          ...storesOf(usages, input.datastore).flatMap(({ store }) => [
            ...judged(
              store,
              all.filter((one) => one.store === store),
              now,
            ),
            ...garbageFindings(store, (more[`garbage ${store}`] ?? {}) as Garbage, now),
          ]),
          ...jobs.map(({ kind, job }) => jobFinding(kind, job, now)),
          ...withoutJobs(stores, prune, verify),
          taskFinding((more.tasks ?? []) as Tasks, rights.seesTasks),
        ],
      };
    },
  },
);

const tasks = () =>
  z
    .array(
      z.object({
        worker_type: z.string(),
        worker_id: z.string().nullish(),
        status: z.string().optional(),
        endtime: z.number().optional(),
      }),
    )
    // One that still runs is listed among the errors.
    .transform((list) => list.filter(({ status }) => status !== undefined));
type Tasks = z.output<ReturnType<typeof tasks>>;
type Garbage = Partial<z.output<ReturnType<typeof readGarbageIfAny>['schema']>>;

function storesOf(usages: readonly StoreUsage[], datastore: string | undefined): readonly StoreUsage[] {
  return usages.filter(({ store, error }) => error === undefined && (datastore ?? store) === store);
}

function namespacesIn(more: Readonly<Record<string, unknown>>, store: string): readonly string[] {
  const found = (more[`namespaces ${store}`] ?? []) as readonly { readonly ns: string }[];
  return [...new Set(['', ...found.map(({ ns }) => ns)])].slice(0, mostNamespaces);
}

const snapshotsIn = (store: string, ns: string) => `snapshots ${store} ${ns}`;

/** As the health check of hosts judges file systems. */
const shares = { warning: 0.8, failed: 0.95 };

function fullness({ store, total, used, error, 'estimated-full-date': full }: StoreUsage, now: number): Finding[] {
  const check = `Datastore ${store}`;
  if (error !== undefined || total === undefined || used === undefined || total === 0) {
    return [
      {
        check,
        verdict: error === undefined ? 'unknown' : 'failed',
        summary: 'It does not say how full it is',
        remedy: 'Look whether it is mounted and in maintenance mode; the API token needs Datastore.Audit on it.',
        ...(error !== undefined && { evidence: error }),
      },
    ];
  }
  const share = used / total;
  const soon = full !== undefined && full > now && full < now + 30 * day;
  const verdict = share >= shares.failed ? 'failed' : share >= shares.warning || soon ? 'warning' : 'ok';
  return [
    {
      check,
      verdict,
      summary: `${Math.round(share * 100)} % of ${roughly(total)} are used${soon ? `, and it is expected to be full on ${whenText(full).slice(0, 10)}` : ''}`,
      value: share,
      ...(verdict !== 'ok' && {
        remedy:
          'Prune, then collect garbage (maintain-backup-server): pruning alone frees nothing. Or give it more room.',
      }),
    },
  ];
}

type Looked = { readonly ns: string; readonly seen: SnapshotSummary | null };

/** A datastore's snapshots, over its namespaces. */
function judged(store: string, all: readonly Looked[], now: number): Finding[] {
  const unread = all.filter(({ seen }) => seen === null).map(({ ns }) => (ns === '' ? 'the root' : ns));
  const read = all.flatMap(({ ns, seen }) => (seen === null ? [] : [{ ns, seen }]));
  const damaged = read.reduce((sum, { seen }) => sum + seen.damaged.count, 0);
  const named = (pick: (seen: SnapshotSummary) => readonly string[]) =>
    read.flatMap(({ ns, seen }) => pick(seen).map((id) => inNamespace(ns, id)));
  const groups = read.flatMap(({ ns, seen }) =>
    seen.groups.map((group) => ({ ...group, group: inNamespace(ns, group.group) })),
  );
  const finished = groups.filter(({ newest }) => newest !== undefined);
  const without = finished.filter(({ isVerified }) => !isVerified).map(({ group }) => group);
  const late = finished
    .filter(({ newest = 0 }) => newest < now - lateAfterDays * day)
    .map(({ group, newest = 0 }) => `${group} (${whenText(newest).slice(0, 10)})`);
  const never = groups.filter(({ newest }) => newest === undefined).map(({ group }) => group);
  const unfinished = named((seen) => seen.unfinished);
  const spaces = all.map(({ ns }) => ns).filter((ns) => ns !== '');
  const warn = (check: string, summary: string, remedy: string): Finding => ({
    check: `${check} ${store}`,
    verdict: 'warning',
    summary,
    remedy,
  });
  return [
    ...(spaces.length === 0
      ? []
      : [{ check: `Namespaces of ${store}`, verdict: 'ok' as const, summary: some(spaces, 20) }]),
    ...(unread.length === 0 && all.length < mostNamespaces
      ? []
      : [
          {
            check: `Namespaces of ${store}`,
            verdict: 'unknown' as const,
            summary:
              unread.length === 0
                ? `Only the first ${mostNamespaces} were looked into`
                : `The snapshots of ${some(unread, 10)} could not be read, so nothing is known of them`,
            remedy: 'Look whether the datastore is mounted; the API token needs Datastore.Audit on it and below.',
          },
        ]),
    ...(damaged === 0
      ? []
      : [
          {
            check: `Damaged in ${store}`,
            verdict: 'failed' as const,
            summary: `${damaged} snapshots were found damaged: ${some(
              named((seen) => seen.damaged.first),
              10,
            )}`,
            remedy:
              'Back these guests up again: what is missing is uploaded anew. Then verify once more, and look at the disks.',
          },
        ]),
    ...(without.length > 0
      ? [
          warn(
            'Verified in',
            `${without.length} groups have no verified snapshot: ${some(without, 10)}`,
            'Verify the datastore (maintain-backup-server), and give it a verify job.',
          ),
        ]
      : finished.length > 0 && unread.length === 0
        ? [{ check: `Verified in ${store}`, verdict: 'ok' as const, summary: 'Each group has a verified snapshot' }]
        : []),
    ...(late.length === 0
      ? []
      : [
          warn(
            'Age in',
            `${late.length} groups have had no backup for more than ${lateAfterDays} days: ${some(late, 10)}`,
            'See why their backups stopped; of a guest that is gone remove the group there when nobody needs it.',
          ),
        ]),
    ...(unfinished.length === 0 && never.length === 0
      ? []
      : [
          warn(
            'Unfinished in',
            `${some(unfinished, 10)}${never.length === 0 ? '' : `; nothing finished at all: ${some(never, 10)}`}`,
            'Being written now, or cut off: the next backup of the same guest removes what was cut off.',
          ),
        ]),
  ];
}

function garbageFindings(store: string, garbage: Garbage, now: number): Finding[] {
  const { schedule, 'last-run-state': state, 'last-run-endtime': ended, 'next-run': next, upid } = garbage;
  const check = `Garbage collection of ${store}`;
  const remedy =
    'Start it (maintain-backup-server, garbage-collect), and give it a schedule there (Datastore, Prune & GC).';
  const times = `${ended === undefined ? '' : `, last ${whenText(ended)}`}${next === undefined ? '' : `, next ${whenText(next)}`}`;
  const warn = (verdict: 'warning' | 'failed', summary: string): Finding[] => [
    { check, verdict, summary: `${summary}${times}`, remedy },
  ];
  if (state !== undefined && state !== 'OK') {
    return warn(state.startsWith('WARNINGS') ? 'warning' : 'failed', said(state, 200));
  }
  if (isOverdue(next, now)) return warn('warning', 'It is overdue');
  if (schedule === undefined) return warn('warning', 'It has no schedule, so what is pruned frees nothing by itself');
  if (state === undefined && !upid) return warn('warning', 'It has not run yet');
  return [{ check, verdict: 'ok', summary: `OK${times}` }];
}

/** The server starts jobs to the minute; a day is for one that was off meanwhile. */
function isOverdue(next: number | undefined, now: number): boolean {
  return next !== undefined && next < now - day;
}

function taskFinding(failed: Tasks, seesAll: boolean): Finding {
  if (failed.length > 0) {
    return {
      check: 'Tasks',
      verdict: 'warning',
      summary: `${failed.length} tasks of the last ${tasksOfDays} days failed or warned`,
      remedy: 'Look at their logs on the backup server (Administration, Tasks).',
      evidence: failed
        .map(
          ({ worker_type: type, worker_id: id, status, endtime }) =>
            `${endtime === undefined ? '' : `${whenText(endtime)} `}${type} ${id ?? ''}: ${status ?? ''}`,
        )
        .join('\n'),
    };
  }
  return seesAll
    ? { check: 'Tasks', verdict: 'ok', summary: `None of the last ${tasksOfDays} days failed` }
    : {
        check: 'Tasks',
        verdict: 'unknown',
        summary: 'The API token sees only its own tasks, none of which failed',
        remedy: 'Give it Sys.Audit on /system/tasks.',
      };
}

function jobFinding(kind: string, job: ServerJob, now: number): Finding {
  const { id, store, disable = false, 'last-run-state': state, 'last-run-endtime': ended, 'next-run': next } = job;
  const check = `${kind} job ${id} of ${store}`;
  if (disable) return { check, verdict: 'skipped', summary: 'It is switched off' };
  const times = `${ended === undefined ? '' : `, last ${whenText(ended)}`}${next === undefined ? ', never by itself' : `, next ${whenText(next)}`}`;
  if (isOverdue(next, now) && (state === undefined || state === 'OK')) {
    return {
      check,
      verdict: 'warning',
      summary: `It is overdue${times}`,
      remedy: 'Look whether proxmox-backup-proxy runs there, then start it (maintain-backup-server).',
    };
  }
  if (state === undefined) return { check, verdict: 'ok', summary: `It has not run yet${times}` };
  // Groups that a sync could not read are only a warning of its task, and missing all the same.
  const isWell = state === 'OK' || (state.startsWith('WARNINGS') && kind !== 'Sync');
  return {
    check,
    verdict: state === 'OK' ? 'ok' : isWell ? 'warning' : 'failed',
    summary: `${state.startsWith('WARNINGS') && kind === 'Sync' ? 'Some groups were not synced' : said(state, 200)}${times}`,
    ...(state !== 'OK' && { remedy: "Look at its task's log, then start it again (maintain-backup-server)." }),
  };
}

function withoutJobs(
  stores: readonly StoreUsage[],
  prune: readonly ServerJob[],
  verify: readonly ServerJob[],
): Finding[] {
  const lacks = (jobs: readonly ServerJob[]) =>
    stores
      .filter(({ store }) => !jobs.some((job) => job.store === store && job.disable !== true))
      .map(({ store }) => store);
  return [
    ...lacks(verify).map(
      (store): Finding => ({
        check: `Jobs of ${store}`,
        verdict: 'warning',
        summary: 'No verify job looks after it that the API token may see',
        remedy: 'Make one there (Datastore, Verify Jobs), and have everything verified again each month.',
      }),
    ),
    ...lacks(prune).map(
      (store): Finding => ({
        check: `Jobs of ${store}`,
        verdict: 'warning',
        summary: 'No prune job looks after it that the API token may see, so it only grows',
        remedy: 'Make one there (Datastore, Prune & GC).',
      }),
    ),
  ];
}
