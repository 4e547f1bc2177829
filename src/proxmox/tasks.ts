import { setTimeout as sleep } from 'node:timers/promises';
import { isServiceError, ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxClient } from './client.ts';
import type { ProxmoxTaskStatus } from './schemas.ts';
import type { CallOptions } from './transport.ts';
import { parseUpid } from './upid.ts';

/** Which tasks of a node. */
export interface TaskSearch {
  readonly node: string;
  /** Of what they work on, where that is a guest. */
  readonly vmid?: number;
  /** Of what they work on, as the UPID has it. Absent, with `vmid` absent: any. */
  readonly id?: string;
  /** The same where only a part of it is known. */
  readonly isId?: (id: string) => boolean;
  /** `qmstart`, `hastart` … Absent: any. */
  readonly types?: readonly string[];
}

/** A task that our API token started. */
export interface OwnTask {
  readonly upid: string;
  readonly running: boolean;
}

/** How far back tasks are looked through: far more than one run starts on a guest, and on a node meanwhile. */
const searched = { guest: 50, node: 500 };

/**
 * The tasks of these types that this client's API token started on a guest, or whatever else, newest first, running and
 * ended. An API token always sees its own.
 */
export async function ownTasks(
  client: ProxmoxClient,
  { node, vmid, id, isId, types }: TaskSearch,
  options?: CallOptions,
): Promise<readonly OwnTask[]> {
  const filter = vmid === undefined ? { limit: searched.node } : { vmid, limit: searched.guest };
  const listed = await client.tasks(node, { source: 'all', ...filter }, options);
  return listed
    .filter(({ upid }) => {
      const task = parseUpid(upid);
      if (task === undefined || task.user !== client.token) return false;
      return (types?.includes(task.type) ?? true) && (id === undefined || task.id === id) && (isId?.(task.id) ?? true);
    })
    .map(({ upid, status }) => ({ upid, running: status === 'RUNNING' }));
}

/** How long a task is looked for whose start nobody answered. */
const settleMs = 10_000;
const lookEveryMs = 500;

/**
 * Starts a task, unless this run has started it already: the first of two activities of a writing call; the second
 * follows it.
 *
 * What the run started is what its API token started on the guest and what isn't in `known`: the tasks that there were
 * when the run began to look at the guest ({@link ownTasks}, kept in the run's history). Comparing names needs no clock,
 * neither ours nor the node's. It holds as long as nobody else acts on the guest with the same API token, which is what
 * the run's lock of the guest is for; who shares the API token with other programs gives up that guarantee. When the API token
 * was replaced in between, the task isn't found; Proxmox then refuses the second one or it changes nothing.
 *
 * When the answer to the call is lost, the task is looked for until `settleMs` are over. When there is still none, the
 * call never arrived, and the error (`outcome-unknown`) is retryable: the next attempt looks again before it starts one.
 *
 * @param start the call, after a look at whether it is needed: `undefined` when nothing is to be started. It isn't
 *   cancelled in the middle, because then nobody would know
 */
export async function startTask(
  client: ProxmoxClient,
  {
    search,
    known,
    start,
    settleMs: waitMs = settleMs,
  }: {
    readonly search: TaskSearch;
    readonly known: readonly string[];
    readonly start: () => Promise<string | undefined>;
    /** Default 10 s. */
    readonly settleMs?: number;
  },
): Promise<string | undefined> {
  const find = async () => (await ownTasks(client, search)).find(({ upid }) => !known.includes(upid))?.upid;
  const before = await find();
  if (before !== undefined) return before;
  try {
    return await start();
  } catch (error) {
    if (wasNotDelivered(error)) throw retryable(error);
    if (!isServiceError(error, 'outcome-unknown')) throw error;
    const until = performance.now() + waitMs;
    for (;;) {
      // Who lost the answer may not reach the node for a while; that is no reason to stop looking.
      const found = await find().catch(() => undefined);
      if (found !== undefined) return found;
      if (performance.now() >= until) throw retryable(error);
      await sleep(Math.min(lookEveryMs, waitMs));
    }
  }
}

/** Nothing reached the node that would do it: refused connections, and what pveproxy says of a node that is away. */
export function wasNotDelivered(error: unknown): error is ServiceError {
  if (!isServiceError(error, 'proxmox-unavailable')) return false;
  const { status } = error.details;
  return status === undefined || status === 595;
}

/** The same error, of which another attempt may make something. */
export function retryable(error: ServiceError): ServiceError {
  const { code, message, remedy, details } = error;
  return new ServiceError({ code, message, remedy, retryable: true, details, cause: error });
}

/** How a task ended. */
export interface TaskEnd {
  readonly upid: string;
  /** In Proxmox's words: `OK`, `WARNINGS: n`, or what went wrong. */
  readonly exitStatus: string;
  /** With or without warnings. Says nothing of the effect: look at that, too. */
  readonly ok: boolean;
  readonly warnings: number;
  /** The end of its log, at most 100 lines. */
  readonly log: readonly string[];
  /** By the node's clock, ISO 8601. */
  readonly startedAt: string;
}

/** What is known of a task that still runs. */
export interface TaskProgress {
  readonly upid: string;
  /** Lines of its log so far. */
  readonly lines: number;
  readonly lastLine?: string;
}

export interface FollowOptions {
  /** Stops following; the task goes on. */
  readonly signal?: AbortSignal;
  /** After each look at it, also when the node didn't answer. */
  readonly onProgress?: (progress: TaskProgress) => void;
  /** How long a node may be away before nothing more is expected of it. Default 15 minutes. */
  readonly awayMs?: number;
  /** Lines of its log that are not kept. Default: all are. */
  readonly isProgress?: (line: string) => boolean;
  /** An error that it ends with and that is a result all the same. */
  readonly isResult?: (exitStatus: string) => boolean;
}

const keptLines = 100;
const linesAtOnce = 500;
/** Looked at again after a share of the time that it has been followed: its end is seen late by half of that share. */
const waitShare = 0.08;
const firstWaitMs = 150;
const longestWaitMs = 3_000;
/** Its log is read no more often, but once when it has ended. */
const readLogEveryMs = 1_000;
const defaultAwayMs = 15 * 60_000;

/**
 * Follows a task to its end and reads its log. Looking is safe, so that lost connections and a node that restarts only
 * make it wait longer.
 *
 * @throws ServiceError `outcome-unknown` when nobody knows how the task ended: its process was killed, the node forgot
 *   it, or has been away for too long; `cancelled` when `signal` says so; what the API refuses
 */
export async function followTask(
  client: ProxmoxClient,
  upid: string,
  { signal, onProgress, awayMs = defaultAwayMs, isProgress = () => false }: FollowOptions = {},
): Promise<TaskEnd> {
  const log = createTail(client, upid, isProgress);
  const options = signal ? { signal } : {};
  const begun = performance.now();
  let answeredAt = begun;
  let readAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    const seen = await passing(async () => {
      const status = await client.taskStatus(upid, options);
      // After the status, so that of an ended task all of it is there.
      if (status.status === 'stopped' || performance.now() - readAt >= readLogEveryMs) {
        await log.read(options);
        readAt = performance.now();
      }
      return status;
    });
    if (signal?.aborted) throw leftAlone(upid);
    if (!(seen instanceof ServiceError)) {
      answeredAt = performance.now();
      if (seen.status === 'stopped') return endOf(upid, seen, log.lines());
    } else if (isGone(seen)) throw unknown(upid, 'the node knows no such task any more');
    else if (performance.now() - answeredAt > awayMs) {
      throw unknown(upid, `its node has not answered for ${Math.round(awayMs / 1000)} s`, seen);
    }
    onProgress?.({ upid, lines: log.total(), ...lastOf(log.lines()) });
    const waitMs = Math.min(longestWaitMs, Math.max(firstWaitMs, waitShare * (performance.now() - begun)));
    await sleep(waitMs, undefined, options).catch(() => undefined);
    if (signal?.aborted) throw leftAlone(upid);
  }
}

/** What may pass by itself, or says that the task is gone, as a value. */
async function passing<T>(look: () => Promise<T>): Promise<T | ServiceError> {
  try {
    return await look();
  } catch (error) {
    const passes = error instanceof ServiceError && (error.retryable || error.code === 'proxmox-not-found');
    if (passes || isServiceError(error, 'cancelled')) return error;
    throw error;
  }
}

/** `no such task`; that a node's name can't be looked up is a 500 of the same code. */
function isGone(seen: unknown): boolean {
  return isServiceError(seen, 'proxmox-not-found') && seen.details.status === 400;
}

function createTail(client: ProxmoxClient, upid: string, isProgress: (line: string) => boolean) {
  let kept: string[] = [];
  let read = 0;
  return {
    lines: (): readonly string[] => kept,
    total: () => read,
    /** What came since; of very much of it the end. */
    async read(options: CallOptions): Promise<void> {
      for (;;) {
        const { lines, total } = await client.taskLog(upid, { start: read, limit: linesAtOnce }, options);
        const telling = lines.filter((line) => !isProgress(line)).map((line) => cleanLine(line, 300));
        kept = [...kept, ...telling].slice(-keptLines);
        read += lines.length;
        if (lines.length === 0 || read >= total) return;
        read = Math.max(read, total - keptLines);
      }
    },
  };
}

function lastOf(lines: readonly string[]): { readonly lastLine?: string } {
  const lastLine = lines.at(-1);
  return lastLine === undefined ? {} : { lastLine };
}

function endOf(upid: string, status: ProxmoxTaskStatus, log: readonly string[]): TaskEnd {
  const exitStatus = cleanLine(status.exitstatus ?? '', 500);
  // What Proxmox says of a process that ended without a last word: it was killed, or its node went down.
  if (exitStatus === '' || exitStatus === 'unexpected status') {
    throw unknown(upid, 'it ended without saying how, as one that was killed or whose node restarted');
  }
  const warnings = Number(/^WARNINGS: (\d+)$/.exec(exitStatus)?.[1] ?? 0);
  return {
    upid,
    exitStatus,
    ok: exitStatus === 'OK' || warnings > 0,
    warnings,
    log,
    startedAt: new Date(status.starttime * 1000).toISOString(),
  };
}

/**
 * Ends a task and waits until it has ended. It is safe to do again, and to do with one that has ended already.
 *
 * @returns how it ended, in Proxmox's words
 * @throws ServiceError `command-failed` when it goes on all the same, `outcome-unknown` when the node doesn't know it
 */
export async function endTask(
  client: ProxmoxClient,
  upid: string,
  { withinMs = 60_000 }: { readonly withinMs?: number } = {},
): Promise<string> {
  const until = performance.now() + withinMs;
  do {
    const seen = await passing(async () => {
      const status = await client.taskStatus(upid);
      // Whether it was heard shows in the task itself.
      if (status.status === 'running') await client.stopTask(upid).catch(ignoreLost);
      return status;
    });
    if (isGone(seen)) throw unknown(upid, 'the node knows no such task any more');
    if (!(seen instanceof ServiceError) && seen.status === 'stopped') return cleanLine(seen.exitstatus ?? '', 500);
    await sleep(firstWaitMs);
  } while (performance.now() < until);
  throw new ServiceError({
    code: 'command-failed',
    message: `The task ${upid} was to end, but still runs after ${Math.round(withinMs / 1000)} s`,
    remedy: `It is tried again by itself; end it on the node (${pageOf(upid)}) if it stays like this.`,
    retryable: true,
    details: { upid },
  });
}

function ignoreLost(error: unknown): void {
  if (!isServiceError(error, 'outcome-unknown') && !wasNotDelivered(error)) throw error;
}

function leftAlone(upid: string): ServiceError {
  return new ServiceError({
    code: 'cancelled',
    message: `The task ${upid} is not followed any more; it goes on`,
    remedy: 'Ask again if it is still wanted.',
    details: { upid },
  });
}

function unknown(upid: string, why: string, cause?: ServiceError): ServiceError {
  return new ServiceError({
    code: 'outcome-unknown',
    message: `Nobody knows how the task ${upid} ended: ${why}`,
    remedy: 'Look at the guest and at the log of its node before it is started again.',
    details: { upid },
    cause,
  });
}

/** Where the page of a Proxmox VE has its tasks, and that of a backup server, whose UPIDs have a part more. */
function pageOf(upid: string): string {
  return upid.split(':').length > 9 ? 'Administration, Tasks' : 'Datacenter, Tasks';
}

/** What a task's last words mean for the reader. First match wins. */
const remedies: readonly (readonly [RegExp, string])[] = [
  [
    /quit\/powerdown failed|container did not stop/,
    "The guest didn't go off in time: look at its console, give it longer (timeoutSeconds), or use the action stop, which is like pulling its plug.",
  ],
  [
    /\bis locked\b/,
    'Wait until its backup, migration or snapshot has ended; if none runs any more, an administrator unlocks it on the node (qm unlock, pct unlock).',
  ],
  [
    /can't lock file|got lock request timeout/,
    'Another task works on the guest, such as a shutdown that still waits or a backup: wait for it or end it, then try again.',
  ],
  [/already running/, 'Somebody else has started it meanwhile: look at it before anything more is done.'],
  [/if it's a template/, 'A template never runs: clone it and start the clone.'],
  [
    /does not exist|unable to find configuration file/,
    'It was moved to another node or removed meanwhile: start it again, which looks for it.',
  ],
  [/interrupted by signal|received interrupt/, 'Somebody ended the task: find out who, then start it again.'],
  [
    /No space left on device|ENOSPC|disk full/i,
    'The storage is full: free space on it or use another one, then start it again.',
  ],
  [/no quorum/, 'The cluster has no quorum: bring the other nodes back (pvecm status), then start it again.'],
  [/^403 |Permission check failed/, 'Give the API token the right that is named, then start it again.'],
];

/**
 * Throws what a failed task means; one that ended with warnings hasn't failed.
 *
 * @throws ServiceError `command-failed` with Proxmox's own words
 */
export function requireTaskSuccess({ upid, exitStatus, ok, log }: TaskEnd): void {
  if (ok) return;
  const { type = 'task', id = '', node = '' } = parseUpid(upid) ?? {};
  // A backup says only in its log what has failed.
  const why = exitStatus === 'job errors' ? log.findLast((line) => line.startsWith('ERROR: ')) : undefined;
  const words = why === undefined ? exitStatus : `${exitStatus} (${why.slice('ERROR: '.length)})`;
  const found = remedies.find(([pattern]) => pattern.test(words));
  throw new ServiceError({
    code: 'command-failed',
    message: `Proxmox's task ${type} of ${id} on ${node} failed: ${words}`,
    remedy: found?.[1] ?? `Look at the task's log on ${node} (${pageOf(upid)}) for the cause, then start it again.`,
    details: { upid, exitStatus, log: log.slice(-20).join('\n') },
  });
}
