import { z } from 'zod';
import { type ApiRead, type ApiStep, apiRead, defineApiChange, effect, refuse } from './api-change.ts';
import {
  groupOf,
  keepOptions,
  namespaceName,
  readGarbage,
  readNamespaces,
  readServerJobs,
  readServerSnapshots,
  readUsages,
  type ServerJob,
  type ServerSnapshots,
  snapshotId,
  storeName,
} from './backup-server.ts';
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
            .describe('verify, prune: this one alone. Default: the root, alone for prune'),
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
            .describe('verify: also what was verified so many days ago; 0: everything'),
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
        removed: z.array(z.string()).describe('prune: snapshots that are gone; in a plan those that would go'),
        damaged: z.array(z.string()).describe('verify: snapshots that were found damaged'),
        freedBytes: z.number().optional().describe('garbage-collect: what it has freed'),
        pendingBytes: z.number().optional().describe('garbage-collect: what a later one will free'),
      }),
    steps: ['Look', 'Maintain'],
    undo: {
      how: 'Not at all: what is pruned is gone; the other actions take nothing away that a snapshot needs.',
      reverse: (_, { action, removed }) => ({
        why:
          action === 'prune'
            ? `${removed.length} snapshots are gone for good.`
            : 'It has only looked at snapshots, copied some, or freed what none of them needs.',
      }),
    },
  },
  {
    reads: ({ input: { action, datastore, namespace } }) => ({
      usages: readUsages(),
      namespaces: readNamespaces(datastore),
      // Of a datastore that isn't there the plan says which there are.
      snapshots: { ...readServerSnapshots(datastore, namespace), absent: [] },
      jobs: action === 'garbage-collect' ? readServerJobs('verify') : readServerJobs(action),
      garbage: { ...readGarbage(datastore), absent: {} },
    }),
    // What would go, as the server itself says, group by group.
    more({ input }, { jobs, snapshots }): Readonly<Record<string, ApiRead<z.ZodType<ServerPruned>>>> {
      if (input.action !== 'prune') return {};
      const job = jobs.find(({ id }) => id === input.job);
      if (input.job !== undefined && job === undefined) return {};
      const groups = new Map(snapshots.map((one) => [groupOf(one), one]));
      return Object.fromEntries(
        [...groups].map(([group, one]) => [
          group,
          apiRead({
            template: '/admin/datastore/*/prune',
            values: [input.datastore],
            parameters: {
              'backup-type': one['backup-type'],
              'backup-id': one['backup-id'],
              'dry-run': true,
              ...nsOf(input.namespace),
              ...keepOf(input, job),
            },
            schema: pruned() as unknown as z.ZodType<ServerPruned>,
            asksOnly: true,
          }),
        ]),
      );
    },
    plan({ input, node }, { usages, namespaces, snapshots, jobs, garbage }, more) {
      const { action, datastore, namespace } = input;
      const usage = usages.find(({ store }) => store === datastore);
      if (usage === undefined) {
        return refuseMissing(
          `datastore "${datastore}" that the API token may see`,
          'datastore',
          usages.map(({ store }) => store),
        );
      }
      const job =
        input.job === undefined ? undefined : jobs.find(({ id, store }) => id === input.job && store === datastore);
      if (input.job !== undefined && job === undefined) {
        const known = jobs.filter(({ store }) => store === datastore).map(({ id }) => id);
        return refuseMissing(`${action} job "${input.job}" of ${datastore} that the API token may see`, 'job', known);
      }
      const going = Object.values(more)
        .flat()
        .filter(({ keep, protected: isKept }) => !keep && isKept !== true)
        .map(snapshotId);
      if (action === 'prune') {
        const below = namespaces.filter(
          ({ ns }) => ns !== '' && (job?.ns === undefined || ns.startsWith(`${job.ns}/`)),
        );
        if (
          job !== undefined &&
          ((job.ns ?? '') !== (namespace ?? '') || (below.length > 0 && job['max-depth'] !== 0))
        ) {
          return refuse(
            'conflict',
            `The prune job ${job.id} works on other namespaces than the one that was looked at, and nothing was done`,
            `Prune them one by one, with namespace and what is kept: ${some(
              below.map(({ ns }) => ns),
              10,
            )}.`,
            'job',
          );
        }
        const lost = lastVerifiedIn(snapshots, going);
        if (lost !== undefined) {
          return refuse(
            'forbidden',
            `Of ${lost} the last verified snapshot would go, and nothing was done`,
            'Verify its newer ones first (action verify), or protect that snapshot; then start it again.',
          );
        }
      }
      const { call, types } = callOf(input, job);
      const step: ApiStep = {
        title: 'Maintain',
        call,
        task: { node, types },
        log: {
          isProgress: (line) => /percentage done|verified \d+\.\d+\/|found \d+ snapshots?$/.test(line),
          findings: (lines) => logFindings(action, lines),
        },
        effect: effect({
          reads: { snapshots: readServerSnapshots(datastore, namespace), garbage: readGarbage(datastore) },
          lacks(now) {
            if (action === 'garbage-collect' && now.garbage.upid === garbage.upid) {
              return `the last garbage collection of ${datastore} is still the one before`;
            }
            if (action !== 'prune') return undefined;
            const there = new Set(now.snapshots.map(snapshotId));
            const left = going.find((id) => there.has(id));
            if (left !== undefined) return `the snapshot ${left} is still there`;
            const gone = snapshots.map(snapshotId).find((id) => !there.has(id) && !going.includes(id));
            return gone === undefined ? undefined : `the snapshot ${gone} is gone, which was to be kept`;
          },
          facts(now) {
            if (action === 'verify') return { damaged: damagedIn(now.snapshots) };
            if (action !== 'garbage-collect') return {};
            return { freedBytes: now.garbage['removed-bytes'] ?? 0, pendingBytes: now.garbage['pending-bytes'] ?? 0 };
          },
          findings: (now) => effectFindings(action, now.snapshots, now.garbage),
          withinSeconds: 20,
        }),
      };
      return {
        summary: `${action} on the datastore ${datastore}${namespace === undefined ? '' : `, namespace ${namespace}`}${job === undefined ? '' : `, by the job ${job.id}`}`,
        state: [
          { name: 'Datastore', value: datastore },
          ...(action === 'prune'
            ? [
                { name: 'Snapshots', value: String(snapshots.length) },
                { name: 'Go', value: going.length === 0 ? 'none' : going.join(', ') },
              ]
            : []),
        ],
        affected: action === 'prune' ? going.map((id) => `The snapshot ${id} goes`) : [],
        risks: risksOf(action, garbage),
        steps: action === 'prune' && going.length === 0 ? [] : [step],
        output: { datastore, action, removed: going, damaged: [] },
        done:
          action === 'prune'
            ? `${going.length} snapshots of ${datastore} are gone.`
            : `${action} on ${datastore} has ended.`,
      };
    },
  },
);

const pruned = () =>
  z.array(
    z.object({
      'backup-type': z.string(),
      'backup-id': z.string(),
      'backup-time': z.number(),
      keep: z.boolean(),
      protected: z.boolean().optional(),
    }),
  );
type ServerPruned = z.output<ReturnType<typeof pruned>>;

interface Asked {
  readonly action: (typeof actions)[number];
  readonly datastore: string;
  readonly namespace?: string | undefined;
  readonly keepLast?: number | undefined;
  readonly keepDaily?: number | undefined;
  readonly keepWeekly?: number | undefined;
  readonly keepMonthly?: number | undefined;
  readonly keepYearly?: number | undefined;
  readonly reverifyAfterDays: number;
}

function nsOf(namespace: string | undefined) {
  return namespace === undefined ? {} : { ns: namespace };
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

/** The call that starts it, and the kinds of its task. */
function callOf(
  input: Asked,
  job: ServerJob | undefined,
): { readonly call: NonNullable<ApiStep['call']>; readonly types: readonly string[] } {
  const { action, datastore, namespace, reverifyAfterDays } = input;
  if (job !== undefined) {
    const types = { verify: 'verificationjob', prune: 'prunejob', sync: 'syncjob', 'garbage-collect': '' }[action];
    return { call: { method: 'POST', template: `/admin/${action}/*/run`, values: [job.id] }, types: [types] };
  }
  const at = (what: string, parameters: Readonly<Record<string, string | number | boolean>>) =>
    ({ method: 'POST', template: `/admin/datastore/*/${what}`, values: [datastore], parameters }) as const;
  switch (action) {
    case 'prune':
      return {
        call: at('prune-datastore', { ...keepOf(input, undefined), ...nsOf(namespace), 'max-depth': 0 }),
        types: ['prune'],
      };
    case 'garbage-collect':
      return { call: at('gc', {}), types: ['garbage_collection'] };
    default:
      return {
        call: at('verify', {
          'ignore-verified': reverifyAfterDays > 0,
          ...(reverifyAfterDays > 0 ? { 'outdated-after': reverifyAfterDays } : {}),
          ...nsOf(namespace),
        }),
        types: ['verify'],
      };
  }
}

/** The first group whose last verified snapshot is among those. */
function lastVerifiedIn(snapshots: ServerSnapshots, going: readonly string[]): string | undefined {
  const gone = new Set(going);
  const verified = snapshots.filter(({ verification }) => verification?.state === 'ok');
  return [...new Set(verified.map(groupOf))].find((group) =>
    verified.filter((one) => groupOf(one) === group).every((one) => gone.has(snapshotId(one))),
  );
}

function damagedIn(snapshots: ServerSnapshots): string[] {
  return snapshots.filter(({ verification }) => verification && verification.state !== 'ok').map(snapshotId);
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

function logFindings(action: Asked['action'], lines: readonly string[]): Finding[] {
  const bad = lines.filter((line) => /^(ERROR|WARN(ING)?S?)\b|\b(failed|error)\b/i.test(line) && !/^TASK /.test(line));
  if (bad.length === 0) return [];
  const isSync = action === 'sync';
  return [
    {
      check: isSync ? 'Groups not synced' : 'Log',
      verdict: isSync ? 'failed' : 'warning',
      summary: isSync
        ? 'Some groups were not synced, though the task counts as done'
        : `${bad.length} lines of its log are errors or warnings`,
      remedy: 'Read them, put right what they say, then start it again.',
      evidence: bad.slice(0, 20).join('\n'),
    },
  ];
}

function effectFindings(
  action: Asked['action'],
  snapshots: ServerSnapshots,
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
  const without = snapshots.filter(({ verification }) => !verification);
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
            summary: `${without.length} snapshots were not verified: ${some(without.map(snapshotId), 10)}`,
            remedy: 'They may have come meanwhile, or the API token may not verify them (Datastore.Verify).',
          },
        ]),
  ];
}
