import { z } from 'zod';
import { type ApiRead, apiRead, defineApiChange } from './api-change.ts';
import {
  groupOf,
  readNamespaces,
  readServerJobs,
  readServerSnapshots,
  readUsages,
  type ServerJob,
  type ServerSnapshots,
  type StoreUsage,
  snapshotId,
  storeName,
  whenText,
} from './backup-server.ts';
import type { Finding } from './finding.ts';
import { roughly } from './guest-disks.ts';
import { hostName } from './inputs.ts';
import { said, some } from './said.ts';

const day = 86_400;

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
            owner: z.string().optional(),
            comment: z.string().optional(),
          }),
        ),
        total: z.int().describe('How many snapshots there are'),
      }),
    steps: ['Look'],
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
      tasks: apiRead({
        template: '/nodes/*/tasks',
        values: ['localhost'],
        parameters: { errors: true, limit: 20 },
        schema: z.array(
          z.object({
            worker_type: z.string(),
            worker_id: z.string().nullish(),
            status: z.string().optional(),
            endtime: z.number().optional(),
          }),
        ),
      }),
    }),
    more: ({ input: { datastore } }, { usages }): Readonly<Record<string, ApiRead<z.ZodType<unknown>>>> => {
      const stores = usages.filter(({ store, error }) => error === undefined && (datastore ?? store) === store);
      return Object.fromEntries(
        stores.flatMap(({ store }) => [
          [`snapshots ${store}`, readServerSnapshots(store, undefined) as ApiRead],
          [`namespaces ${store}`, readNamespaces(store) as ApiRead],
        ]),
      );
    },
    plan({ input }, { version, clock, usages, verify, prune, sync, tasks }, more) {
      const stores = usages.filter(({ store }) => (input.datastore ?? store) === store);
      const of = <T>(what: string, store: string) => (more[`${what} ${store}`] ?? []) as T[];
      const all = stores.flatMap(({ store }) =>
        of<ServerSnapshots[number]>('snapshots', store).map((one) => ({ store, one })),
      );
      const listed = all
        .filter(({ one }) => input.group === undefined || groupOf(one) === input.group)
        .toSorted((a, b) => b.one['backup-time'] - a.one['backup-time']);
      const now = clock.time;
      const jobs = [
        ...verify.map((job) => ({ kind: 'Verify', job })),
        ...prune.map((job) => ({ kind: 'Prune', job })),
        ...sync.map((job) => ({ kind: 'Sync', job })),
      ].filter(({ job }) => input.datastore === undefined || job.store === input.datastore);
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
          snapshots: listed.slice(0, input.limit).map(({ store, one }) => ({
            datastore: store,
            namespace: '',
            id: snapshotId(one),
            ...(typeof one.size === 'number' && { bytes: one.size }),
            verified: one.verification?.state === 'ok' ? 'ok' : one.verification ? 'failed' : 'none',
            isProtected: one.protected,
            ...(one.owner && { owner: said(one.owner, 100) }),
            ...(one.comment && { comment: said(one.comment, 200) }),
          })) as z.output<z.ZodArray<z.ZodAny>>,
          total: listed.length,
        },
        done: `The backup server has ${stores.length} datastores and ${all.length} snapshots in their root namespaces.`,
        findings: [
          { check: 'Version', verdict: 'ok', summary: said(version.version, 60) },
          ...stores.flatMap((store) => fullness(store, now)),
          ...stores.flatMap(({ store }) => verified(store, of<ServerSnapshots[number]>('snapshots', store))),
          ...stores.flatMap(({ store }) => {
            const names = of<{ ns: string }>('namespaces', store)
              .map(({ ns }) => ns)
              .filter((ns) => ns !== '');
            return names.length === 0
              ? []
              : [{ check: `Namespaces of ${store}`, verdict: 'ok' as const, summary: some(names, 20) }];
          }),
          ...jobs.map(({ kind, job }) => jobFinding(kind, job)),
          ...withoutJobs(stores, prune, verify),
          ...(tasks.length === 0
            ? [{ check: 'Tasks', verdict: 'ok' as const, summary: 'None of the last ones failed' }]
            : [
                {
                  check: 'Tasks',
                  verdict: 'warning' as const,
                  summary: `${tasks.length} of the last tasks failed or warned`,
                  remedy: 'Look at their logs (Administration, Tasks).',
                  evidence: tasks
                    .map((one) => `${one.worker_type} ${one.worker_id ?? ''}: ${one.status ?? ''}`)
                    .join('\n'),
                },
              ]),
        ],
      };
    },
  },
);

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

function verified(store: string, snapshots: ServerSnapshots): Finding[] {
  const failed = snapshots.filter(({ verification }) => verification && verification.state !== 'ok');
  const newest = new Map<string, ServerSnapshots[number]>();
  const good = new Set<string>();
  for (const one of snapshots) {
    const before = newest.get(groupOf(one));
    if (before === undefined || before['backup-time'] < one['backup-time']) newest.set(groupOf(one), one);
    if (one.verification?.state === 'ok') good.add(groupOf(one));
  }
  const without = [...newest.keys()].filter((group) => !good.has(group));
  return [
    ...(failed.length === 0
      ? []
      : [
          {
            check: `Damaged in ${store}`,
            verdict: 'failed' as const,
            summary: `${failed.length} snapshots were found damaged: ${some(failed.map(snapshotId), 10)}`,
            remedy:
              'Back these guests up again: what is missing is uploaded anew. Then verify once more, and look at the disks.',
          },
        ]),
    ...(without.length === 0
      ? snapshots.length === 0
        ? []
        : [{ check: `Verified in ${store}`, verdict: 'ok' as const, summary: 'Each group has a verified snapshot' }]
      : [
          {
            check: `Verified in ${store}`,
            verdict: 'warning' as const,
            summary: `${without.length} groups have no verified snapshot: ${some(without, 10)}`,
            remedy: 'Verify the datastore (maintain-backup-server), and give it a verify job.',
          },
        ]),
  ];
}

function jobFinding(kind: string, job: ServerJob): Finding {
  const { id, store, disable = false, 'last-run-state': state, 'last-run-endtime': ended, 'next-run': next } = job;
  const check = `${kind} job ${id} of ${store}`;
  if (disable) return { check, verdict: 'skipped', summary: 'It is switched off' };
  const times = `${ended === undefined ? '' : `, last ${whenText(ended)}`}${next === undefined ? ', never by itself' : `, next ${whenText(next)}`}`;
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
