import type { Client } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { ServiceError } from '../errors.ts';
import { readableList } from '../reports/units.ts';
import { serviceQueue } from '../workflows/lib/messages.ts';

/** The workers of this service, of whatever build, as Temporal calls them together. */
export const deploymentName = 'proxmox-mcp';

/** What a build is to Temporal now. */
export type VersionState = 'current' | 'ramping' | 'draining' | 'drained' | 'inactive';

export interface WorkerVersion {
  readonly build: string;
  /** `draining`: runs are open that can end only there; `inactive`: it has never had any. */
  readonly state: VersionState;
  /** Open workflows that are on it now, as far as Temporal's lists know. */
  readonly open: number;
  /** Those of them that end on it, unless they are moved. */
  readonly pinned: number;
  /** Processes that take its work, as they call themselves: `4711@worker`. */
  readonly processes: readonly string[];
}

export interface WorkerVersions {
  /** Undefined: the workers that work without versioning. */
  readonly current: string | undefined;
  /** Newest first. */
  readonly versions: readonly WorkerVersion[];
  /** Processes that work without versioning. */
  readonly unversioned: readonly string[];
}

/** `TASK_QUEUE_TYPE_WORKFLOW` of Temporal's API. */
const workflowTasks = 1;
/** A worker that lives has polled within a minute and its answer's way. Milliseconds. */
const pollerFreshMs = 90_000;
/** gRPC's codes. */
const notFound = 5;
const failedPrecondition = 9;
const unimplemented = 12;

const states: Readonly<Record<number, VersionState>> = {
  1: 'inactive',
  2: 'current',
  3: 'ramping',
  4: 'draining',
  5: 'drained',
};

type Deployment = temporal.api.workflowservice.v1.IDescribeWorkerDeploymentResponse;

/** Undefined where no worker has ever worked under versioning. */
async function describeDeployment(client: Client): Promise<Deployment | undefined> {
  try {
    return await client.workflowService.describeWorkerDeployment({
      namespace: client.options.namespace,
      deploymentName,
    });
  } catch (error) {
    if ([notFound, unimplemented].includes(codeOf(error))) return undefined;
    throw error;
  }
}

function currentOf(deployment: Deployment): string | undefined {
  return deployment.workerDeploymentInfo?.routingConfig?.currentDeploymentVersion?.buildId || undefined;
}

/** How long after its last poll a process counts as there. Default: 90 s. */
export interface Freshness {
  readonly freshMs?: number;
}

/** All builds that Temporal knows; undefined where no worker has ever worked under versioning. */
export async function readWorkerVersions(
  client: Client,
  { freshMs = pollerFreshMs }: Freshness = {},
): Promise<WorkerVersions | undefined> {
  const deployment = await describeDeployment(client);
  if (deployment === undefined) return undefined;
  const pollers = await readPollers(client, freshMs);
  const summaries = deployment.workerDeploymentInfo?.versionSummaries ?? [];
  const versions = await Promise.all(
    summaries.map(async ({ deploymentVersion, status }): Promise<WorkerVersion> => {
      const build = deploymentVersion?.buildId ?? '';
      const [open, pinned] = await Promise.all([count(client, openOn(build)), count(client, pinnedTo(build))]);
      return { build, state: states[status ?? 0] ?? 'inactive', open, pinned, processes: pollers.get(build) ?? [] };
    }),
  );
  return { current: currentOf(deployment), versions, unversioned: pollers.get('') ?? [] };
}

/** Open workflows that are on a build. */
function openOn(build: string): string {
  return `ExecutionStatus = 'Running' AND TemporalWorkerDeploymentVersion = '${deploymentName}:${build}'`;
}

/** Those that end there. */
export function pinnedTo(build: string): string {
  return `${openOn(build)} AND TemporalWorkflowVersioningBehavior = 'Pinned'`;
}

async function count(client: Client, query: string): Promise<number> {
  return (await client.workflow.count(query)).count;
}

/** The processes that take workflows' work now, by build; '' for those without versioning. */
async function readPollers(client: Client, freshMs: number): Promise<ReadonlyMap<string, readonly string[]>> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: serviceQueue },
    taskQueueType: workflowTasks,
  });
  const found = new Map<string, string[]>();
  for (const { identity, deploymentOptions, lastAccessTime } of pollers ?? []) {
    if (Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1_000 > freshMs) continue;
    const isVersioned =
      deploymentOptions?.deploymentName === deploymentName && deploymentOptions.workerVersioningMode === 2;
    const build = isVersioned ? (deploymentOptions.buildId ?? '') : '';
    found.set(build, [...new Set([...(found.get(build) ?? []), identity ?? ''])].sort());
  }
  return found;
}

/** A build that has work which only it can do, and no process. */
export interface Stranded {
  readonly build: string;
  /** How many open runs end on it. */
  readonly runs: number;
  /** New runs wait for it, too, though there are workers of other builds. */
  readonly isCurrent: boolean;
}

/** Runs that wait for a worker that is gone. */
export async function strandedRuns(client: Client): Promise<readonly Stranded[]> {
  const found = await readWorkerVersions(client);
  return found === undefined ? [] : strandedIn(found);
}

export function strandedIn({ current, versions, unversioned }: WorkerVersions): readonly Stranded[] {
  // Where there is no worker at all, that is said elsewhere.
  const hasOthers = unversioned.length > 0 || versions.some(({ processes }) => processes.length > 0);
  return versions
    .filter(({ processes }) => processes.length === 0)
    .map(({ build, pinned }) => ({ build, runs: pinned, isCurrent: hasOthers && build === current }))
    .filter(({ runs, isCurrent }) => runs > 0 || isCurrent);
}

/** For people: what is to be done about them. */
export function strandedText({ build, runs, isCurrent }: Stranded): {
  readonly summary: string;
  readonly remedy: string;
} {
  if (isCurrent) {
    return {
      summary: `New runs${runs === 0 ? '' : `, and ${runs === 1 ? '1 that is' : `${runs} that are`} open,`} wait for a worker of build ${build}, which is current and gone.`,
      remedy:
        'Have the build of the worker that there is take over: npx proxmox-mcp workers promote, by its program; then npx proxmox-mcp workers move.',
    };
  }
  const said = runs === 1 ? '1 run waits' : `${runs} runs wait`;
  return {
    summary: `${said} for a worker of build ${build} that is gone.`,
    remedy: `Move what can be moved: npx proxmox-mcp workers move --from ${build}. For the rest start a worker of that build again.`,
  };
}

/**
 * Has new runs, and all that move on by themselves, worked on by this build. What is pinned to another one stays there. Throws
 * `not-found` for a build that is none, `conflict` where another worker's queues would be left without one.
 *
 * @param options.anyway also where queues of the current build have no worker of this one
 */
export async function promote(client: Client, build: string, { anyway = false } = {}): Promise<void> {
  const deployment = await describeDeployment(client);
  const builds = (deployment?.workerDeploymentInfo?.versionSummaries ?? []).map(
    ({ deploymentVersion }) => deploymentVersion?.buildId ?? '',
  );
  if (deployment === undefined || !builds.includes(build)) throw unknownBuild(build, builds);
  const current = currentOf(deployment);
  if (current === build) return;
  if (!anyway && current !== undefined) await refuseMissing(client, current, build);
  await setCurrent(client, build, {
    ...(deployment.conflictToken && { conflictToken: deployment.conflictToken }),
    anyway,
  });
}

/** Where no build is current: this one, once Temporal knows it. Another worker may have been quicker. */
export async function promoteFirst(client: Client, build: string): Promise<boolean> {
  const deployment = await describeDeployment(client);
  if (deployment === undefined || currentOf(deployment) !== undefined) return false;
  await promote(client, build);
  return true;
}

/** Who still works under versioning, and what became of the runs. */
export interface LeftVersions {
  /** The current build, whose processes are there; then nothing was done. */
  readonly build: string;
  readonly processes: readonly string[];
  /** How many were moved. */
  readonly runs: number;
}

/**
 * For a worker without versioning: once no process of any build takes work, new runs and all that are open are worked on
 * without. Their histories aren't looked at: what has changed since has patches, as always without versioning.
 */
export async function takeOverUnversioned(client: Client, freshness: Freshness = {}): Promise<LeftVersions> {
  const nobody: LeftVersions = { build: '', processes: [], runs: 0 };
  const found = await readWorkerVersions(client, freshness);
  if (found === undefined) return nobody;
  const alive = found.versions.filter(({ processes }) => processes.length > 0);
  if (alive.length > 0) {
    const processes = alive.flatMap((version) => version.processes);
    return { build: alive.map(({ build }) => build).join(', '), processes, runs: 0 };
  }
  if (found.current !== undefined) await setCurrent(client, '', { anyway: true });
  let runs = 0;
  for (const { build, pinned } of found.versions) {
    if (pinned === 0) continue;
    const open = [];
    for await (const info of client.workflow.list({ query: pinnedTo(build) })) open.push(info);
    for (const run of open) await moveRun(client, run, undefined);
    runs += open.length;
  }
  return { ...nobody, runs };
}

async function setCurrent(
  client: Client,
  buildId: string,
  { conflictToken, anyway }: { readonly conflictToken?: Uint8Array; readonly anyway: boolean },
): Promise<void> {
  try {
    await client.workflowService.setWorkerDeploymentCurrentVersion({
      namespace: client.options.namespace,
      deploymentName,
      buildId,
      ...(conflictToken && { conflictToken }),
      // Looked at here, because the server leaves out queues that are idle just now.
      ignoreMissingTaskQueues: true,
      allowNoPollers: anyway,
      identity: `${process.pid}@proxmox-mcp`,
    });
  } catch (error) {
    if (codeOf(error) !== failedPrecondition) throw error;
    throw new ServiceError({
      code: 'conflict',
      message: `Temporal does not let build ${buildId} take over: ${(error as { details?: string }).details ?? 'unknown reason'}`,
      remedy: 'Start a worker of that build and wait until it takes work, then try again.',
      retryable: true,
      cause: error,
    });
  }
}

/** A site's worker that isn't upgraded yet would get nothing of the runs of the new build. */
async function refuseMissing(client: Client, current: string, build: string): Promise<void> {
  const [before, after] = await Promise.all([queuesOf(client, current), queuesOf(client, build)]);
  const missing = [...before].filter((queue) => !after.has(queue));
  const polled = await Promise.all(
    missing.map(async (queue) => ((await isPolled(client, queue, current)) ? [queue] : [])),
  );
  const left = polled.flat();
  if (left.length === 0) return;
  throw new ServiceError({
    code: 'conflict',
    message: `Workers of the build ${current} serve what no worker of ${build} does: ${readableList(left)}`,
    remedy: 'Upgrade those workers first (a site with WORKER_HOSTS has its own). Or, if they are not to be: --anyway',
    details: { queues: left.join(',') },
  });
}

async function queuesOf(client: Client, buildId: string): Promise<ReadonlySet<string>> {
  const { versionTaskQueues } = await client.workflowService.describeWorkerDeploymentVersion({
    namespace: client.options.namespace,
    deploymentVersion: { deploymentName, buildId },
  });
  return new Set((versionTaskQueues ?? []).map(({ name }) => name ?? ''));
}

async function isPolled(client: Client, queue: string, build: string): Promise<boolean> {
  const activityTasks = 2; // temporal.api.enums.v1.TASK_QUEUE_TYPE_ACTIVITY
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: activityTasks,
  });
  return (pollers ?? []).some(
    ({ deploymentOptions, lastAccessTime }) =>
      deploymentOptions?.buildId === build && Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1_000 < pollerFreshMs,
  );
}

/**
 * Has the next task of a run worked on by another build, on which it stays as it would on its own. Undefined: by whatever is
 * current from then on, which may be those without versioning.
 */
export async function moveRun(
  client: Client,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
  buildId: string | undefined,
): Promise<void> {
  await client.workflowService.updateWorkflowExecutionOptions({
    namespace: client.options.namespace,
    workflowExecution: { workflowId, runId },
    workflowExecutionOptions: {
      versioningOverride:
        buildId === undefined
          ? { autoUpgrade: true }
          : { oneTime: { targetDeploymentVersion: { deploymentName, buildId } } },
    },
    updateMask: { paths: ['versioning_override'] },
    identity: `${process.pid}@proxmox-mcp`,
  });
}

function unknownBuild(build: string, builds: readonly string[]): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `Temporal knows no worker of the build ${build}`,
    remedy:
      builds.length === 0
        ? 'Start a worker with WORKER_VERSIONING=true first.'
        : `It knows ${readableList(builds)}. Start a worker of that build first.`,
  });
}

function codeOf(error: unknown): number {
  return error instanceof Error && 'code' in error ? Number(error.code) : Number.NaN;
}
