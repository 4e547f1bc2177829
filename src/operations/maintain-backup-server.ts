import { z } from 'zod';
import { type ApiRead, type ApiStep, apiRead, defineApiChange, effect, refuse } from './api-change.ts';
import {
  escapedId,
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
  storeName,
} from './backup-server.ts';
import { damagedIn, effectFindings, isBad, logFindings, risksOf } from './backup-server-findings.ts';
import {
  type Asked,
  actions,
  type JobsSeen,
  jobOf,
  jobsOf,
  listedIn,
  refuseElsewhere,
  snapshotsIn,
  spacesOf,
} from './backup-server-jobs.ts';
import { goingIn, keepOf, nsOf, readGoing, refuseLastVerified } from './backup-server-prune.ts';
import { digestOf } from './digest.ts';
import { refuseMissing } from './guest-config.ts';
import { dryRun, hostName } from './inputs.ts';
import { some } from './said.ts';

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
    deeper({ input }, seen, more): Readonly<Record<string, ApiRead<z.ZodType<More>>>> {
      return input.action === 'prune' ? readGoing(input, seen, listedIn(more)) : {};
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
      const going = goingIn(more);
      const last = action === 'prune' ? refuseLastVerified(snapshots, going) : undefined;
      if (last) return last;
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
