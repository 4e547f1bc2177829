import { setTimeout as sleep } from 'node:timers/promises';
import type { Faults, StartedBy, TaskFault } from './faults.ts';
import type { Caller, SimulatedTask, SimulatorState } from './state.ts';
import { unixTime } from './state.ts';

/** What a task's work may do while it runs. */
export interface TaskHandle {
  readonly upid: string;
  /** Aborted by DELETE of the task: stop and let go of what is held. */
  readonly signal: AbortSignal;
  log(line: string): void;
  /** A line that also makes the task end with `WARNINGS: n`. */
  warn(line: string): void;
  /** Whether a fault makes it leave that part of its work out. */
  without(part: LeftOut): boolean;
}

/** What a task may leave out and still end with OK. */
export type LeftOut = 'ram' | 'disk';

export interface TaskRequest {
  readonly node: string;
  /** `qmstart`, `vzdump` … */
  readonly type: string;
  /** What it works on; may be empty. */
  readonly id: string;
  readonly caller: Caller;
  /** The call that starts it. */
  readonly by?: StartedBy;
  /** Takes back what was reserved for it before it began, when its work isn't done at all. */
  readonly release?: () => void;
}

export interface TaskEngine {
  /** Starts the work and gives its UPID at once. What the work throws becomes the exit status. */
  start(request: TaskRequest, work: (handle: TaskHandle) => Promise<void>): string;
  /** Adds a task that has ended, for a history. */
  record(
    request: TaskRequest & {
      readonly starttime: number;
      readonly endtime: number;
      readonly exitstatus: string;
      readonly log?: readonly string[];
    },
  ): string;
  /** Ends a running task and waits for it; one that has ended is left alone. `reason` is its exit status then. */
  abort(upid: string, reason?: string): Promise<void>;
  close(): Promise<void>;
}

export interface ParsedUpid {
  readonly node: string;
  readonly pid: number;
  readonly pstart: number;
  readonly starttime: number;
  readonly type: string;
  readonly id: string;
  readonly user: string;
  readonly token?: string;
}

const upidPattern =
  /^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s]+):([^:\s]*):([^:\s!]+)(?:!([^:\s]+))?:$/i;

/** The parts of a UPID, or undefined. An API token's tasks carry `user!token`. */
export function parseUpid(upid: string): ParsedUpid | undefined {
  const [, node, pid, pstart, starttime, type, id, user, token] = upidPattern.exec(upid) ?? [];
  if (!node || !pid || !pstart || !starttime || !type || id === undefined || !user) return undefined;
  const hex = (text: string) => Number.parseInt(text, 16);
  return {
    node,
    pid: hex(pid),
    pstart: hex(pstart),
    starttime: hex(starttime),
    type,
    id,
    user,
    ...(token === undefined ? {} : { token }),
  };
}

const killedAtOnce = 'unexpected status';
/** The lock that a task of that kind leaves when it is killed. */
const locks: Readonly<Record<string, string>> = {
  snapshot: 'snapshot',
  delsnapshot: 'snapshot-delete',
  rollback: 'rollback',
  migrate: 'migrate',
  igrate: 'migrate',
  clone: 'clone',
  create: 'create',
  restore: 'create',
  suspend: 'suspending',
  dump: 'backup',
};

interface Placed {
  readonly faults: readonly TaskFault[];
  readonly release: (() => void) | undefined;
}

/** Runs and keeps tasks as Proxmox's workers do: asynchronous, with a log whose last line says how they ended. */
export function createTaskEngine(state: SimulatorState, faults?: Pick<Faults, 'ofTask'>): TaskEngine {
  const running = new Map<string, { readonly controller: AbortController; readonly done: Promise<void> }>();
  let pid = 1000;

  function add(request: TaskRequest, starttime: number): SimulatedTask {
    pid += 1;
    const pstart = 0x60000 + pid * 7;
    const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
    const { node, type, id, caller } = request;
    const upid = `UPID:${node}:${hex(pid)}:${hex(pstart)}:${hex(starttime)}:${type}:${id}:${caller.id}:`;
    const task: SimulatedTask = {
      upid,
      node,
      pid,
      pstart,
      starttime,
      type,
      id,
      user: caller.user,
      ...(caller.token === undefined ? {} : { token: caller.token }),
      log: [],
    };
    state.tasks.set(upid, task);
    return task;
  }

  async function run(
    task: SimulatedTask,
    signal: AbortSignal,
    work: (handle: TaskHandle) => Promise<void>,
    placed: Placed,
  ) {
    let warnings = 0;
    const warn = (line: string) => {
      warnings += 1;
      task.log.push(`WARN: ${line}`);
    };
    try {
      const without = (part: LeftOut) => placed.faults.some((fault) => fault.kind === 'without' && fault.part === part);
      const handle = { upid: task.upid, signal, log: (line: string) => task.log.push(line), warn, without };
      // A worker is killed, whatever it is at.
      await Promise.race([killed(signal), withFaults(task, handle, work, placed)]);
      task.exitstatus = warnings === 0 ? 'OK' : `WARNINGS: ${warnings}`;
      task.log.push(`TASK ${task.exitstatus}`);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      task.exitstatus = text.trim().replace(/\n/g, ' ');
      // Who is killed at once writes no last line.
      if (task.exitstatus !== killedAtOnce) task.log.push(`TASK ERROR: ${task.exitstatus}`);
    }
    task.endtime = unixTime();
    running.delete(task.upid);
  }

  /** The work, with what was made to go wrong in it. */
  async function withFaults(
    task: SimulatedTask,
    handle: TaskHandle,
    work: (handle: TaskHandle) => Promise<void>,
    { faults: own, release }: Placed,
  ): Promise<void> {
    const guest = state.guests.get(Number(task.id));
    for (const fault of own) {
      if (fault.kind === 'task-slow') {
        // One that is aborted takes back what it has begun with.
        await sleep(fault.delayMs, undefined, { signal: handle.signal }).catch((error: unknown) => {
          release?.();
          throw error;
        });
      }
      if (fault.kind === 'task-killed') {
        if (guest) guest.lock = locks[task.type.replace(/^(qm|vz)/, '')] ?? 'backup';
        throw new Error(killedAtOnce);
      }
      if (fault.kind === 'silent') {
        release?.();
        return sleep(20, undefined, { signal: handle.signal });
      }
      const isFirst = (fault.kind === 'task-hangs' || fault.kind === 'task-fails') && fault.after !== 'work';
      if (isFirst && fault.kind === 'task-fails') {
        release?.();
        throw new Error(fault.exitstatus);
      }
      if (isFirst) {
        if (guest) guest.lockedBy = task.upid;
        handle.signal.addEventListener('abort', () => release?.(), { once: true });
        await new Promise(() => undefined);
      }
    }
    await work(handle);
    for (const fault of own) {
      if (fault.kind === 'task-fails') throw new Error(fault.exitstatus);
      if (fault.kind === 'task-hangs') await new Promise(() => undefined);
    }
  }

  async function abort(upid: string, reason = 'interrupted by signal'): Promise<void> {
    const work = running.get(upid);
    work?.controller.abort(new Error(reason));
    await work?.done;
  }

  return {
    start(request, work) {
      const task = add(request, unixTime());
      const controller = new AbortController();
      const placed = { faults: faults?.ofTask(request) ?? [], release: request.release };
      // The work starts after the UPID is known, as a forked worker does.
      const done = Promise.resolve().then(() => run(task, controller.signal, work, placed));
      running.set(task.upid, { controller, done });
      return task.upid;
    },
    record(request) {
      const task = add(request, request.starttime);
      task.log.push(
        ...(request.log ?? []),
        `TASK ${request.exitstatus === 'OK' ? 'OK' : `ERROR: ${request.exitstatus}`}`,
      );
      task.endtime = request.endtime;
      task.exitstatus = request.exitstatus;
      return task.upid;
    },
    abort,
    async close() {
      await Promise.all([...running.keys()].map((upid) => abort(upid)));
    },
  };
}

function killed(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const kill = () => reject(signal.reason);
    if (signal.aborted) kill();
    else signal.addEventListener('abort', kill, { once: true });
  });
}
