import { z } from 'zod';
import { type ApiRead, type ApiStep, apiRead, defineApiChange, effect, refuse } from './api-change.ts';
import {
  escapedId,
  inNamespace,
  keepOptions,
  mostNamespaces,
  namespaceName,
  readGarbage,
  readNamespaces,
  readPushJobs,
  readServerJobs,
  readServerSnapshots,
  readUsages,
  type ServerJob,
  type ServerSnapshot,
  snapshotId,
  storeName,
} from './backup-server.ts';
import { digestOf } from './digest.ts';
import type { Finding } from './finding.ts';
import { refuseMissing } from './guest-config.ts';
import { roughly } from './guest-disks.ts';
import { dryRun, hostName } from './inputs.ts';
import { some } from './said.ts';

const actions = ['verify', 'prune', 'garbage-collect', 'sync'] as const;

const kept = () => z.int().min(1).max(1_000).optional();

/** Maintenance of a Proxmox Backup Server's datastore, started and followed to its end. */
export const maintainBackupServer = defineApiChange(
  {
    name: 'maintain-backup-server',
    title: 'Maintain backup server',
    summary: 'Verify, prune, sync, or collect garbage on a Proxmox Backup Server, and read what came of it.',
    description:
      'Maintenance of a Proxmox Backup Server (PBS): verify the snapshots (backups) of a datastore, prune old ones, run a configured verify, prune or sync job, or collect garbage, which alone frees space. Follows the task and judges its log: a sync that only warned has groups that were not synced. The plan of a prune lists each snapshot that would go; it is refused where a group would lose its last verified one.',
    guide: 'proxmox-backup-manager by hand',
    target: 'host',
    needs: 'backup-server',
    risk: { by: 'action', of: { verify: 'change', sync: 'change', 'garbage-collect': 'change', prune: 'dangerous' } },
    needsDangerousCommands: { by: 'action', of: ['prune'] },
    exposure: 'search',
    idempotent: true,
    input: () =>
      z
        .object({
          host: hostName().describe('A configured Proxmox Backup Server'),
          action: z.enum(actions).describe('garbage-collect frees the space of what was pruned a day before'),
          datastore: storeName(),
          namespace: namespaceName()
            .optional()
            .describe(
              'verify, prune: this one alone. Default: prune the root alone, verify all; with a job the one of the job',
            ),
          job: storeName().optional().describe('A configured job of that action by its id; sync needs one'),
          keepLast: kept(),
          keepDaily: kept(),
          keepWeekly: kept(),
          keepMonthly: kept(),
          keepYearly: kept(),
          reverifyAfterDays: z
            .int()
            .min(0)
            .max(3_650)
            .default(30)
            .describe('verify without a job: also what was verified so many days ago; 0: everything'),
          dryRun: dryRun(),
        })
        .refine(({ action, job }) => action !== 'sync' || job !== undefined, {
          path: ['job'],
          message: 'expected the id of a sync job: there is no other way to sync',
        })
        .refine(({ action, job }) => action !== 'garbage-collect' || job === undefined, {
          path: ['job'],
          message: 'expected none: garbage is collected of a datastore',
        })
        .refine(
          ({ action, job, ...rest }) =>
            action !== 'prune' ||
            (job !== undefined) !==
              [rest.keepLast, rest.keepDaily, rest.keepWeekly, rest.keepMonthly, rest.keepYearly].some(
                (one) => one !== undefined,
              ),
          { path: ['keepLast'], message: 'expected for prune either a job, or what is kept: keepLast, keepDaily …' },
        ),
    output: () =>
      z.object({
        datastore: z.string(),
        action: z.enum(actions),
        removed: z
          .array(z.string())
          .describe('prune: snapshots that are gone, of very many the first; in a plan those that would go'),
        removedCount: z.int().optional().describe('prune: how many'),
        damaged: z.array(z.string()).describe('verify: snapshots that were found damaged, of very many the first'),
        freedBytes: z.number().optional().describe('garbage-collect: what it has freed'),
        pendingBytes: z.number().optional().describe('garbage-collect: what a later one will free'),
      }),
    steps: ['Look', 'Maintain'],
    undo: {
      how: 'Not at all: what is pruned is gone; the other actions take nothing away that a snapshot needs.',
      reverse: (_, { action, removed, removedCount = removed.length }) => ({
        why:
          action === 'prune'
            ? `${removedCount} snapshots are gone for good.`
            : 'It has only looked at snapshots, copied some, or freed what none of them needs.',
      }),
    },
  },
  {
    reads: ({ input: { action, datastore } }) => ({
      usages: readUsages(),
      namespaces: readNamespaces(datastore),
      jobs: action === 'garbage-collect' ? readServerJobs('verify') : readServerJobs(action),
      // Of other actions there are none.
      push: readPushJobs(),
      garbage: { ...readGarbage(datastore), absent: {} },
      clock: apiRead({ template: '/nodes/*/time', values: ['localhost'], schema: z.object({ time: z.number() }) }),
    }),
    // Of a datastore that isn't there the plan says which there are.
    more({ input }, seen): Readonly<Record<string, ApiRead<z.ZodType<More>>>> {
      return Object.fromEntries(
        spacesOf(input, seen).map((ns) => [
          snapshotsIn(ns),
          { ...readServerSnapshots(input.datastore, ns), absent: [] } as ApiRead<z.ZodType<More>>,
        ]),
      );
    },
    // What would go, as the server itself says, group by group.
    deeper({ input }, seen, more): Readonly<Record<string, ApiRead<z.ZodType<More>>>> {
      if (input.action !== 'prune') return {};
      const job = jobOf(input, seen);
      if (input.job !== undefined && job === undefined) return {};
      const [ns = ''] = spacesOf(input, seen);
      const groups = new Set(listedIn(more).map(({ group }) => group));
      return Object.fromEntries(
        [...groups].map((group) => [
          `prune ${group}`,
          apiRead({
            template: '/admin/datastore/*/prune',
            values: [input.datastore],
            parameters: {
              'backup-type': group.slice(0, group.indexOf('/')),
              'backup-id': group.slice(group.indexOf('/') + 1),
              'dry-run': true,
              ...nsOf(ns),
              ...keepOf(input, job),
            },
            schema: goingOf(ns) as unknown as z.ZodType<More>,
            asksOnly: true,
          }),
        ]),
      );
    },
    plan({ input, node }, seen, more) {
      const { usages, namespaces, garbage, clock } = seen;
      const { action, datastore } = input;
      const usage = usages.find(({ store }) => store === datastore);
      if (usage === undefined) {
        return refuseMissing(
          `datastore "${datastore}" that the API token may see`,
          'datastore',
          usages.map(({ store }) => store),
        );
      }
      const job = jobOf(input, seen);
      if (input.job !== undefined && job === undefined) {
        const known = jobsOf(input, seen)
          .filter(({ store }) => store === datastore)
          .map(({ id }) => id);
        return refuseMissing(`${action} job "${input.job}" of ${datastore} that the API token may see`, 'job', known);
      }
      const elsewhere = refuseElsewhere(input, job, namespaces);
      if (elsewhere) return elsewhere;
      const spaces = spacesOf(input, seen);
      const snapshots = listedIn(more);
      if (snapshots.length > mostSnapshots) {
        return refuse(
          'conflict',
          `There are ${snapshots.length} snapshots, and more than ${mostSnapshots} can't be looked at in one run; nothing was done`,
          'Do it namespace by namespace, or leave it to a job of the server.',
          'namespace',
        );
      }
      const going = Object.entries(more)
        .filter(([name]) => name.startsWith('prune '))
        .flatMap(([, ids]) => ids as readonly string[]);
      if (action === 'prune') {
        const lost = lastVerifiedIn(snapshots, going);
        if (lost !== undefined) {
          return refuse(
            'forbidden',
            `Of ${lost} the last verified snapshot would go, and nothing was done`,
            'Verify its newer ones first (action verify), or protect that snapshot; then start it again.',
          );
        }
      }
      const [space = ''] = spaces;
      const { call, types, isId } = callOf(input, job, space);
      const reads: Readonly<Record<string, ApiRead>> = {
        ...Object.fromEntries(spaces.map((ns) => [snapshotsIn(ns), readServerSnapshots(datastore, ns) as ApiRead])),
        ...(action === 'garbage-collect' && { garbage: readGarbage(datastore) as ApiRead }),
        ...(job !== undefined && {
          jobs: readServerJobs(action as 'verify') as ApiRead,
          push: readPushJobs() as ApiRead,
        }),
      };
      const step: ApiStep = {
        title: 'Maintain',
        call,
        task: { node, types, isId },
        log: {
          // Of a sync only what went wrong is kept: each snapshot has several lines.
          isProgress: (line) =>
            action === 'sync' ? !isBad(line) : /percentage done|verified \d+\.\d+\/|found \d+ snapshots?$/.test(line),
          findings: (lines, warnings) => logFindings(action, lines, warnings),
          isResult: (exitStatus) =>
            action === 'verify' && exitStatus.startsWith('verification failed - please check the log'),
        },
        effect: effect({
          reads,
          lacks(now) {
            if (action === 'garbage-collect' && (now as Now).garbage?.upid === garbage.upid) {
              return `the last garbage collection of ${datastore} is still the one before`;
            }
            const ran = jobOf(input, { jobs: [], push: [], ...now } as unknown as JobsSeen);
            if (job !== undefined && ran !== undefined && ran['last-run-upid'] === job['last-run-upid']) {
              return `the last run of the job ${job.id} is still the one before`;
            }
            const there = new Map(listedIn(now).map((one) => [one.id, one]));
            if (action === 'verify') return unverified(dueOf(snapshots, input, job, clock.time), there);
            if (action !== 'prune') return undefined;
            const left = going.find((id) => there.has(id));
            if (left !== undefined) return `the snapshot ${left} is still there`;
            const goes = new Set(going);
            const gone = snapshots.find(({ id }) => !there.has(id) && !goes.has(id));
            return gone === undefined ? undefined : `the snapshot ${gone.id} is gone, which was to be kept`;
          },
          facts(now) {
            if (action === 'verify') return { damaged: damagedIn(listedIn(now)).slice(0, mostNamed) };
            if (action !== 'garbage-collect') return {};
            const { garbage: after } = now as Now;
            return { freedBytes: after?.['removed-bytes'] ?? 0, pendingBytes: after?.['pending-bytes'] ?? 0 };
          },
          findings: (now) => [
            ...effectFindings(action, listedIn(now), (now as Now).garbage ?? {}),
            ...(action === 'verify' && namespaces.length >= mostNamespaces
              ? [
                  {
                    check: 'Namespaces',
                    verdict: 'unknown' as const,
                    summary: `Only the first ${mostNamespaces} namespaces were looked into`,
                    remedy: 'Look at the others with check-backup-server, or verify them one by one.',
                  },
                ]
              : []),
          ],
          withinSeconds: 20,
        }),
      };
      return {
        summary: `${action} on the datastore ${datastore}${space === '' ? '' : `, namespace ${space}`}${job === undefined ? '' : `, by the job ${job.id}`}`,
        state: [
          { name: 'Datastore', value: datastore },
          ...(action === 'prune'
            ? [
                { name: 'Snapshots', value: String(snapshots.length) },
                {
                  name: 'Go',
                  value:
                    going.length <= shownInPlan
                      ? some(going, shownInPlan)
                      : `${going.length}, SHA-256 of their list ${digestOf(going)}`,
                },
              ]
            : []),
        ],
        affected:
          action === 'prune'
            ? [
                ...going.slice(0, shownInPlan).map((id) => `The snapshot ${id} goes`),
                ...(going.length > shownInPlan ? [`${going.length - shownInPlan} more snapshots go`] : []),
              ]
            : [],
        risks: risksOf(action, garbage),
        steps: action === 'prune' && going.length === 0 ? [] : [step],
        output: {
          datastore,
          action,
          removed: going.slice(0, mostNamed),
          ...(action === 'prune' && { removedCount: going.length }),
          damaged: [],
        },
        done:
          action === 'prune'
            ? `${going.length} snapshots of ${datastore} are gone.`
            : `${action} on ${datastore} has ended.`,
      };
    },
  },
);

/** What a run's history and its plan can carry. */
const mostSnapshots = 20_000;
const mostNamed = 1_000;
const shownInPlan = 200;

type More = readonly ServerSnapshot[] | readonly string[];
interface Now {
  readonly garbage?: z.output<ReturnType<typeof readGarbage>['schema']>;
}
interface JobsSeen {
  readonly jobs: readonly ServerJob[];
  readonly push: readonly ServerJob[];
}

function jobsOf({ action }: Asked, { jobs, push }: JobsSeen): readonly ServerJob[] {
  if (action !== 'sync') return jobs;
  return [...jobs, ...push.filter(({ id }) => !jobs.some((job) => job.id === id))];
}

function jobOf(input: Asked, seen: JobsSeen): ServerJob | undefined {
  const { job: wanted, datastore } = input;
  if (wanted === undefined) return undefined;
  return jobsOf(input, seen).find(({ id, store }) => id === wanted && store === datastore);
}

const snapshotsIn = (ns: string) => `snapshots ${ns}`;

function listedIn(seen: object): readonly ServerSnapshot[] {
  return Object.entries(seen)
    .filter(([name]) => name.startsWith('snapshots '))
    .flatMap(([, all]) => all as readonly ServerSnapshot[]);
}

/** The namespaces that it works on; the first is the one that it begins at. */
function spacesOf(
  input: Asked,
  seen: JobsSeen & { readonly namespaces: readonly { readonly ns: string }[] },
): readonly string[] {
  const { action, namespace } = input;
  if (action !== 'verify' && action !== 'prune') return [];
  const job = jobOf(input, seen);
  const at = namespace ?? job?.ns ?? '';
  if (action === 'prune' || (job === undefined && namespace !== undefined)) return [at];
  return [at, ...below(at, job?.['max-depth'], seen.namespaces)];
}

/** The namespaces below another one, as deep as it says. */
function below(
  at: string,
  depth: number | undefined,
  namespaces: readonly { readonly ns: string }[],
): readonly string[] {
  const levels = (ns: string) => (ns === '' ? 0 : ns.split('/').length);
  return namespaces
    .map(({ ns }) => ns)
    .filter((ns) => ns !== at && (at === '' || ns.startsWith(`${at}/`)))
    .filter((ns) => depth === undefined || levels(ns) - levels(at) <= depth);
}

/** A job that works on other namespaces than those that are looked at. */
function refuseElsewhere(input: Asked, job: ServerJob | undefined, namespaces: readonly { readonly ns: string }[]) {
  const { action, namespace } = input;
  if (job === undefined || (action !== 'prune' && action !== 'verify')) return undefined;
  const own = job.ns ?? '';
  if (namespace !== undefined && namespace !== own) {
    return refuse(
      'conflict',
      `The ${action} job ${job.id} works on ${own === '' ? 'the root' : `the namespace ${own}`}, and nothing was done`,
      own === '' ? 'Leave namespace away.' : `Give namespace "${own}", or leave it away.`,
      'namespace',
    );
  }
  const deeper = action === 'prune' ? below(own, job['max-depth'], namespaces) : [];
  if (deeper.length === 0) return undefined;
  return refuse(
    'conflict',
    `The prune job ${job.id} works on several namespaces, and nothing was done`,
    `Prune them one by one, with namespace and what is kept, instead of the job: ${some([own === '' ? 'the root (no namespace)' : own, ...deeper], 10)}.`,
    'job',
  );
}

/** What a verification has to look at, by the server's own rule. */
function dueOf(
  snapshots: readonly ServerSnapshot[],
  { reverifyAfterDays }: Asked,
  job: ServerJob | undefined,
  now: number,
): readonly ServerSnapshot[] {
  const isAll = job === undefined ? reverifyAfterDays === 0 : job['ignore-verified'] === false;
  const age = job === undefined ? reverifyAfterDays : (job['outdated-after'] ?? Number.POSITIVE_INFINITY);
  return snapshots.filter(
    ({ verified, verifiedAt = now, isUnfinished }) =>
      isUnfinished !== true && (verified === undefined || isAll || Math.floor((now - verifiedAt) / 86_400) > age),
  );
}

/** A verification that ended well and has verified nothing of what was due. */
function unverified(due: readonly ServerSnapshot[], there: ReadonlyMap<string, ServerSnapshot>): string | undefined {
  const left = due.filter(({ id }) => there.has(id));
  const isSame = (one: ServerSnapshot) => {
    const now = there.get(one.id);
    return now?.verified === undefined || now.by === one.by;
  };
  return left.length > 0 && left.every(isSame)
    ? `none of the ${left.length} snapshots that were due is verified by it`
    : undefined;
}

/** The ids of what would go. */
const goingOf = (ns: string) =>
  z
    .array(
      z.object({
        'backup-type': z.string(),
        'backup-id': z.string(),
        'backup-time': z.number(),
        keep: z.boolean(),
        protected: z.boolean().optional(),
      }),
    )
    .transform((all) =>
      all
        .filter(({ keep, protected: isKept }) => !keep && isKept !== true)
        .map((one) => inNamespace(ns, snapshotId(one))),
    );

interface Asked {
  readonly action: (typeof actions)[number];
  readonly datastore: string;
  readonly namespace?: string | undefined;
  readonly job?: string | undefined;
  readonly keepLast?: number | undefined;
  readonly keepDaily?: number | undefined;
  readonly keepWeekly?: number | undefined;
  readonly keepMonthly?: number | undefined;
  readonly keepYearly?: number | undefined;
  readonly reverifyAfterDays: number;
}

function nsOf(namespace: string | undefined) {
  return namespace === undefined || namespace === '' ? {} : { ns: namespace };
}

function keepOf(input: Asked, job: ServerJob | undefined): Readonly<Record<string, number>> {
  if (job !== undefined) return keepOptions(job);
  return keepOptions({
    'keep-last': input.keepLast,
    'keep-daily': input.keepDaily,
    'keep-weekly': input.keepWeekly,
    'keep-monthly': input.keepMonthly,
    'keep-yearly': input.keepYearly,
  });
}

/** The call that starts it, the kinds of its task, and what that is said to work on. */
function callOf(
  input: Asked,
  job: ServerJob | undefined,
  space: string,
): {
  readonly call: NonNullable<ApiStep['call']>;
  readonly types: readonly string[];
  readonly isId: (id: string) => boolean;
} {
  const { action, datastore, namespace, reverifyAfterDays } = input;
  const store = escapedId(datastore);
  const isOfStore = (id: string) => id === store || id.startsWith(escapedId(`${datastore}:`));
  if (job !== undefined) {
    const types = { verify: 'verificationjob', prune: 'prunejob', sync: 'syncjob', 'garbage-collect': '' }[action];
    return {
      call: { method: 'POST', template: `/admin/${action}/*/run`, values: [job.id] },
      types: [types],
      // Of a prune job the id says only where it works.
      isId: action === 'prune' ? isOfStore : (id) => id === escapedId(job.id) || id.endsWith(escapedId(`:${job.id}`)),
    };
  }
  const at = (what: string, parameters: Readonly<Record<string, string | number | boolean>>) =>
    ({ method: 'POST', template: `/admin/datastore/*/${what}`, values: [datastore], parameters }) as const;
  switch (action) {
    case 'prune':
      return {
        call: at('prune-datastore', { ...keepOf(input, undefined), ...nsOf(space), 'max-depth': 0 }),
        types: ['prune'],
        isId: isOfStore,
      };
    case 'garbage-collect':
      return { call: at('gc', {}), types: ['garbage_collection'], isId: isOfStore };
    default:
      return {
        call: at('verify', {
          'ignore-verified': reverifyAfterDays > 0,
          ...(reverifyAfterDays > 0 ? { 'outdated-after': reverifyAfterDays } : {}),
          ...(namespace === undefined ? {} : { ns: namespace, 'max-depth': 0 }),
        }),
        types: ['verify'],
        isId: isOfStore,
      };
  }
}

/** The first group whose last verified snapshot is among those. */
function lastVerifiedIn(snapshots: readonly ServerSnapshot[], going: readonly string[]): string | undefined {
  const gone = new Set(going);
  const left = new Map<string, boolean>();
  for (const { id, group, verified } of snapshots) {
    if (verified === 'ok') left.set(group, left.get(group) === true || !gone.has(id));
  }
  return [...left].find(([, isLeft]) => !isLeft)?.[0];
}

function damagedIn(snapshots: readonly ServerSnapshot[]): string[] {
  return snapshots.filter(({ verified }) => verified === 'failed').map(({ id }) => id);
}

function risksOf(action: Asked['action'], garbage: z.output<ReturnType<typeof readGarbage>['schema']>): string[] {
  switch (action) {
    case 'prune':
      return ['Pruning frees no space: a garbage collection does, and only of what nobody has used for a day'];
    case 'garbage-collect':
      return [
        `It frees only what nobody has used for 24 hours and 5 minutes${garbage['pending-bytes'] === undefined ? '' : `; ${roughly(garbage['pending-bytes'])} waited for that after the last one`}`,
        'It reads all indexes, which takes hours on slow disks',
      ];
    case 'verify':
      return ['It reads every chunk, which slows backups down meanwhile'];
    default:
      return ['It takes up the network and the disks of both sides'];
  }
}

function isBad(line: string): boolean {
  return /^(ERROR|WARN(ING)?S?)\b|\b(failed|error)\b/i.test(line) && !/^TASK /.test(line);
}

function logFindings(action: Asked['action'], lines: readonly string[], warnings: number): Finding[] {
  const bad = lines.filter(isBad);
  const isSync = action === 'sync';
  // What the last lines of a verification name.
  const from = action === 'verify' ? lines.findIndex((line) => /^Failed to verify the following/.test(line)) : -1;
  const named = from === -1 ? [] : lines.slice(from + 1).filter((line) => !/^TASK /.test(line));
  // A log of many lines may not have kept what the task has counted.
  if (bad.length === 0 && !(isSync && warnings > 0)) return [];
  return [
    {
      check: isSync ? 'Groups not synced' : 'Log',
      verdict: isSync || named.length > 0 ? 'failed' : 'warning',
      summary: isSync
        ? `Some groups were not synced, though the task counts as done${warnings > 0 ? ` (${warnings} warnings)` : ''}`
        : named.length > 0
          ? `The verification failed of ${some(
              named.map((line) => line.trim()),
              10,
            )}`
          : `${bad.length} lines of its log are errors or warnings`,
      remedy: 'Read them, put right what they say, then start it again.',
      evidence: (bad.length === 0 ? lines.slice(-20) : [...bad, ...named]).slice(0, 40).join('\n'),
    },
  ];
}

function effectFindings(
  action: Asked['action'],
  snapshots: readonly ServerSnapshot[],
  garbage: z.output<ReturnType<typeof readGarbage>['schema']>,
): Finding[] {
  if (action === 'garbage-collect') {
    const bad = garbage['still-bad'] ?? 0;
    return [
      {
        check: 'Freed',
        verdict: 'ok',
        summary: `${roughly(garbage['removed-bytes'] ?? 0)}; ${roughly(garbage['pending-bytes'] ?? 0)} wait until nobody has used them for a day`,
      },
      ...(bad === 0
        ? []
        : [
            {
              check: 'Bad chunks',
              verdict: 'failed' as const,
              summary: `${bad} damaged chunks are still there, which snapshots need`,
              remedy: 'Verify the datastore to learn which, and back these guests up again.',
            },
          ]),
    ];
  }
  if (action !== 'verify') return [];
  const damaged = damagedIn(snapshots);
  const without = snapshots
    .filter(({ verified, isUnfinished }) => verified === undefined && isUnfinished !== true)
    .map(({ id }) => id);
  return [
    ...(damaged.length === 0
      ? [{ check: 'Damaged', verdict: 'ok' as const, summary: 'None was found damaged' }]
      : [
          {
            check: 'Damaged',
            verdict: 'failed' as const,
            summary: `${damaged.length} snapshots are damaged: ${some(damaged, 10)}`,
            remedy: 'Back these guests up again: what is missing is uploaded anew. Look at the disks of the server.',
          },
        ]),
    ...(without.length === 0
      ? []
      : [
          {
            check: 'Not verified',
            verdict: 'warning' as const,
            summary: `${without.length} snapshots were not verified: ${some(without, 10)}`,
            remedy: 'They may have come meanwhile, or the API token may not verify them (Datastore.Verify).',
          },
        ]),
  ];
}
