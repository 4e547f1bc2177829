import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { workflowBundlePath } from '../build-id.ts';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import { moveRun, pinnedTo, readWorkerVersions } from '../runs/worker-versions.ts';

export interface Move {
  readonly id: string;
  readonly from: string;
  /** Why it must end where it is; absent: it was moved, or can be. */
  readonly why?: string;
}

export interface MoveOptions {
  /** The build whose workflows this program has. */
  readonly build: string;
  readonly from?: string | undefined;
  /** Ids; none: all. */
  readonly runs: readonly string[];
  readonly dryRun: boolean;
  readonly say: (line: string) => void;
}

/**
 * Moves open runs that are pinned to other builds to this program's, one after the other: each whose whole history its
 * workflows replay. Throws `not-found` where no worker of this build takes work, because a run that was moved would wait.
 */
export async function moveRuns(
  client: Client,
  { build, from, runs, dryRun, say }: MoveOptions,
): Promise<readonly Move[]> {
  const known = (await readWorkerVersions(client))?.versions ?? [];
  if (from !== undefined && !known.some((version) => version.build === from))
    throw unknown(from, 'Temporal knows no build');
  if ((known.find((version) => version.build === build)?.processes.length ?? 0) === 0) {
    throw unknown(build, 'No worker takes work for this program’s build,');
  }
  const old = known.filter((version) => version.build !== build && (from === undefined || version.build === from));
  const moves: Move[] = [];
  quiet();
  for (const version of old) {
    // Read whole first: what is moved leaves the list.
    const found: WorkflowExecutionInfo[] = [];
    for await (const info of client.workflow.list({ query: pinnedTo(version.build) })) found.push(info);
    for (const { workflowId, runId } of found) {
      if (runs.length > 0 && !runs.includes(workflowId)) continue;
      let why = await whyNot(client, workflowId, runId);
      if (why === undefined && !dryRun) {
        await moveRun(client, { workflowId, runId }, build);
        // What it did on the old build while its history was looked at.
        why = await whyNot(client, workflowId, runId);
        if (why !== undefined && why !== 'ended') await moveRun(client, { workflowId, runId }, version.build);
      }
      if (why === 'ended') continue;
      if (why === undefined) say(`${workflowId}: its history replays${dryRun ? '' : '; moved'}.`);
      moves.push({ id: workflowId, from: version.build, ...(why === undefined ? {} : { why }) });
    }
  }
  return moves;
}

/** Undefined: this program's workflows do exactly what the run has done so far. */
async function whyNot(client: Client, workflowId: string, runId: string): Promise<string | undefined> {
  const handle = client.workflow.getHandle(workflowId, runId);
  const [{ status }, history] = await Promise.all([handle.describe(), handle.fetchHistory()]);
  if (status.name !== 'RUNNING') return 'ended';
  try {
    await Worker.runReplayHistory({ workflowBundle: { codePath: workflowBundlePath() } }, history, workflowId);
    return undefined;
  } catch (error) {
    return `its history doesn't replay (${cleanLine(error instanceof Error ? error.message : String(error), 300)})`;
  }
}

function unknown(build: string, what: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `${what} ${build}`,
    remedy:
      'See: npx proxmox-mcp workers list. Run this with the program of the build that is to take over, once its worker runs.',
  });
}

/** What a replay finds is said here; the SDK's own log says it with a stack, and its native part on standard output. */
function quiet(): void {
  try {
    Runtime.install({
      logger: new DefaultLogger('ERROR', () => undefined),
      telemetryOptions: { logging: { forward: {}, filter: 'ERROR' } },
    });
  } catch {
    // Another part of this program has installed one.
  }
}
