import { refuse } from './api-change.ts';
import type { ServerJob, ServerSnapshot } from './backup-server.ts';
import { some } from './said.ts';

// What maintenance of a backup server works on: the job that is named, its namespaces and what was seen in them.

export const actions = ['verify', 'prune', 'garbage-collect', 'sync'] as const;

/** What is asked of it: the input of maintain-backup-server. */
export interface Asked {
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

/** What was looked at of the jobs of a server. */
export interface JobsSeen {
  readonly jobs: readonly ServerJob[];
  readonly push: readonly ServerJob[];
}

/** The same, with the namespaces of the datastore. */
export interface SpacesSeen extends JobsSeen {
  readonly namespaces: readonly { readonly ns: string }[];
}

/** The jobs of that action: of sync those that push, too. */
export function jobsOf({ action }: Asked, { jobs, push }: JobsSeen): readonly ServerJob[] {
  if (action !== 'sync') return jobs;
  return [...jobs, ...push.filter(({ id }) => !jobs.some((job) => job.id === id))];
}

/** The job that was named, if it is there and of that datastore. */
export function jobOf(input: Asked, seen: JobsSeen): ServerJob | undefined {
  const { job: wanted, datastore } = input;
  if (wanted === undefined) return undefined;
  return jobsOf(input, seen).find(({ id, store }) => id === wanted && store === datastore);
}

/** Under which name the snapshots of a namespace are looked at. */
export const snapshotsIn = (ns: string) => `snapshots ${ns}`;

/** The snapshots in what was looked at under such names. */
export function listedIn(seen: object): readonly ServerSnapshot[] {
  return Object.entries(seen)
    .filter(([name]) => name.startsWith('snapshots '))
    .flatMap(([, all]) => all as readonly ServerSnapshot[]);
}

/** The namespaces that it works on; the first is the one that it begins at. */
export function spacesOf(input: Asked, seen: SpacesSeen): readonly string[] {
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
export function refuseElsewhere(
  input: Asked,
  job: ServerJob | undefined,
  namespaces: readonly { readonly ns: string }[],
) {
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
