import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import {
  type RestoredDecision,
  type RestoredMark,
  readRestoredMark,
  removeRestoredMark,
  writeRestoredMark,
} from '../restored-mark.ts';
import { createRuns } from './create-runs.ts';
import { createSchedules } from './create-schedules.ts';
import { readGeneration } from './generation.ts';
import { idsOf, ofTypes } from './list-runs.ts';
import { type Restored, readRestored } from './restored.ts';
import type { RunSummary } from './runs.ts';
import type { ScheduleSummary } from './schedules.ts';
import { createChangeSwitch } from './switch.ts';

/** What was open in the state that was put back. */
export interface OpenThen {
  readonly runs: readonly (RunSummary & { readonly last?: string })[];
  /** Schedules that are not paused; Temporal starts their runs, and nothing executes them. */
  readonly schedules: readonly ScheduleSummary[];
}

/** The inner workflows, which are begun anew by who needs them; the kill switch is another one's to begin. */
const innerTypes = ['askLedger', 'guestBatch', 'targetLock', 'watchRuns', 'anchorLedger'];
const isOpen = `(${ofTypes()} OR WorkflowType IN (${innerTypes.map((type) => `'${type}'`).join(', ')})) AND ExecutionStatus = 'Running'`;
/** What has ended leaves Temporal's lists a moment later. */
const endWithinMs = 60_000;
/** The process with the ledger looks every second. */
const goOnWithinMs = 60_000;
/** Of a run's log the end is read, of so many runs. */
const mostLogs = 200;

/** Asks the Temporal server alone: no worker answers. Newest first. */
export async function readOpenThen(client: Client, config: Config): Promise<OpenThen> {
  const runs = createRuns({ client, config });
  const found: RunSummary[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await runs.list({
      state: 'running',
      dryRuns: true,
      limit: 100,
      ...(cursor !== undefined && { cursor }),
    });
    found.push(...page.runs);
    ({ cursor } = page);
    if (cursor === undefined) break;
  }
  const detailed: (RunSummary & { last?: string })[] = [];
  for (const [index, run] of found.entries()) {
    const log = index < mostLogs ? await runs.log(run.id).catch(() => []) : [];
    const last = log.at(-1)?.text;
    detailed.push({ ...run, ...(last !== undefined && { last }) });
  }
  const schedules = await createSchedules({ client, config }).list();
  return { runs: detailed, schedules: schedules.filter(({ paused }) => !paused) };
}

export interface GoOnOptions {
  readonly client: Client;
  readonly config: Config;
  /** Who decides, as the ledger writes them: `person:anna`. */
  readonly by: string;
  readonly anchor?: RestoredDecision['anchor'] | undefined;
  readonly say: (line: string) => void;
  readonly goOnWithinMs?: number;
}

/**
 * Ends whatever was open in the restored state, has the process with the ledger write down that the service goes on and put the
 * kill switch on, and only then removes the mark. Every step may be cut off, and is done again. Throws `not-found` where nothing
 * was restored, `unavailable` where that process doesn't run.
 */
export async function goOnAfterRestore(options: GoOnOptions): Promise<{ readonly ended: number }> {
  const { client, config, by, anchor, say } = options;
  const restored = await readRestored(config, () => client);
  if (restored === undefined) throw nothingRestored();
  const ended = await endOpen(client, restored, by);
  say(ended === 0 ? 'Nothing was open.' : `Ended ${ended} that ${ended === 1 ? 'was' : 'were'} open: none resumes.`);
  // One that was decided before and cut off is the same decision.
  const decision = readRestoredMark(config.accessDir)?.decision ?? {
    id: randomUUID(),
    by,
    at: new Date().toISOString(),
    ended,
    ...(anchor && { anchor }),
  };
  writeRestoredMark(config.accessDir, { ...markOf(restored), decision });
  await untilWrittenDown(client, decision.id, options.goOnWithinMs ?? goOnWithinMs);
  const { on } = await createChangeSwitch(client).get();
  if (!on) throw switchIsOff();
  removeRestoredMark(config.accessDir);
  return { ended: decision.ended };
}

function markOf({ mark, parts, why }: Restored): RestoredMark {
  return mark ?? { at: new Date().toISOString(), by: `nobody wrote it down (${why})`, ...(parts && { parts }) };
}

/** Until nothing is open: what a schedule starts meanwhile is ended, too. How many there were. */
async function endOpen(client: Client, { why }: Restored, by: string): Promise<number> {
  const ended = new Set<string>();
  const deadline = Date.now() + endWithinMs;
  for (;;) {
    const open = await idsOf(client, isOpen);
    for (const id of open) {
      await client.workflow
        .getHandle(id)
        .terminate(`${why}; nothing of it resumes by itself (${by})`)
        .catch((error: unknown) => {
          // It has ended, and the lists don't know it yet.
          if (!(error instanceof WorkflowNotFoundError)) throw error;
        });
      ended.add(id);
    }
    if (open.length === 0) return ended.size;
    if (Date.now() > deadline) throw stillOpen(open);
    await sleep(300);
  }
}

async function untilWrittenDown(client: Client, id: string, withinMs: number): Promise<void> {
  for (const deadline = Date.now() + withinMs; ; ) {
    if ((await readGeneration(client))?.wentOn === id) return;
    if (Date.now() > deadline) throw nobodyHasTheLedger();
    await sleep(200);
  }
}

function nothingRestored(): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: 'Nothing was restored, as far as this service knows, and it works',
    remedy: 'See how it is: npx proxmox-mcp status',
  });
}

function stillOpen(open: readonly string[]): ServiceError {
  return new ServiceError({
    code: 'timeout',
    message: `${open.slice(0, 5).join(', ')} could not be ended, so that nothing goes on`,
    remedy: 'Run it again: it goes on where it was.',
    retryable: true,
  });
}

function nobodyHasTheLedger(): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: 'What was open is ended, and nobody has written the decision into the ledger yet, so that nothing goes on',
    remedy:
      'Start the service (its worker with the ledger writes it, also while everything else waits; its log says what keeps it), then run this again: it goes on where it was.',
    retryable: true,
  });
}

function switchIsOff(): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: 'The decision is in the ledger, but the kill switch is off, so that nothing goes on',
    remedy: 'Put it on: npx proxmox-mcp changes stop. Then run this again.',
  });
}
