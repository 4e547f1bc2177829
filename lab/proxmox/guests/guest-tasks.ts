import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../router.ts';
import type { SimulatedGuest, SimulatorState } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { words } from './asked-guest.ts';

const lockFileSeconds = 10;

const tickMs = 5;

let lastTemporary = 3300;

/** Fails when the guest is locked by something else. */
export function assertUnlocked(guest: SimulatedGuest): void {
  if (guest.lock !== undefined) throw new Error(`${words[guest.type].name} is locked (${guest.lock})`);
}

/** Without a quorum the file system of the cluster takes no change. */
export function assertWritable(state: SimulatorState, guest: Pick<SimulatedGuest, 'type' | 'node' | 'vmid'>): void {
  if (state.cluster.quorate) return;
  lastTemporary += 1;
  const file = `/etc/pve/nodes/${guest.node}/${words[guest.type].folder}/${guest.vmid}.conf.tmp.${lastTemporary}`;
  throw new Error(`unable to open file '${file}' - Permission denied`);
}

/** What a guest's task takes by itself, in ms. */
export async function takeTime(
  guest: SimulatedGuest | undefined,
  task: TaskHandle,
  type: string,
  defaultMs = 20,
): Promise<void> {
  await sleep(guest?.behaviour?.taskMs?.[type] ?? defaultMs, undefined, { signal: task.signal });
}

/** Starts a task about a guest that has its lock file. */
export function guestTask(
  call: Call,
  guest: SimulatedGuest,
  type: string,
  work: (task: TaskHandle) => Promise<void>,
): string {
  const { state, tasks, caller } = call;
  return tasks.start({ node: guest.node, id: String(guest.vmid), type, caller }, (task) =>
    withLockFile(state, guest, task, () => work(task)),
  );
}

/** One task at a time works on a guest; another one waits for it, but not for long. */
export async function withLockFile(
  state: SimulatorState,
  guest: SimulatedGuest,
  task: TaskHandle,
  work: () => Promise<void>,
): Promise<void> {
  // A task that was killed holds nothing any more.
  const taken = () => guest.lockedBy !== undefined && state.tasks.get(guest.lockedBy)?.endtime === undefined;
  if (taken()) {
    task.log('trying to acquire lock...');
    const until = Date.now() + lockFileSeconds * state.pace.secondMs;
    while (taken()) {
      const file = `/var/lock/${words[guest.type].folder}/lock-${guest.vmid}.conf`;
      if (Date.now() >= until) throw new Error(`can't lock file '${file}' - got timeout`);
      await sleep(tickMs, undefined, { signal: task.signal });
    }
    task.log(' OK');
  }
  guest.lockedBy = task.upid;
  try {
    await work();
  } finally {
    if (guest.lockedBy === task.upid) delete guest.lockedBy;
  }
}

/** Sets the lock of a configuration for the time of a work, and takes it away whatever comes. */
export async function withLock(guest: SimulatedGuest, lock: string, work: () => Promise<void>): Promise<void> {
  guest.lock = lock;
  try {
    await work();
  } finally {
    if (guest.lock === lock) delete guest.lock;
  }
}

/** Happens by itself; the simulator needn't live for it. */
export function later(ms: number | undefined, what: () => void): void {
  setTimeout(what, ms ?? 40).unref();
}
