import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure, forbidden, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import type { Caller, SimulatedGuest, SimulatorState } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';

export type GuestType = SimulatedGuest['type'];

/** What differs between `qm` and `pct` beside what they do. */
export const words = {
  qemu: { prefix: 'qm', name: 'VM', folder: 'qemu-server' },
  lxc: { prefix: 'vz', name: 'CT', folder: 'lxc' },
} as const;

/** The HA stack and what follows a reboot act as this one. */
export const root: Caller = { id: 'root@pam', user: 'root@pam' };
const lockFileSeconds = 10;
const tickMs = 5;
let lastTemporary = 3300;

/** The guest whose configuration is on the node that is asked, else the error that Proxmox has for it. */
export function guestAt(call: Call, type: GuestType): SimulatedGuest {
  const guest = found(call, type);
  if (guest) return guest;
  throw new ApiFailure(500, noConfiguration(call, type));
}

/** The same without an error. */
export function found(call: Call, type: GuestType): SimulatedGuest | undefined {
  const guest = call.state.guests.get(Number(call.parameters.vmid));
  return guest?.type === type && guest.node === nodeOf(call) ? guest : undefined;
}

export function noConfiguration(call: Call, type: GuestType): string {
  return `Configuration file 'nodes/${nodeOf(call)}/${words[type].folder}/${call.parameters.vmid}.conf' does not exist`;
}

/** The node that answers. */
export function nodeOf({ state, parameters }: Call): string {
  return parameters.node === 'localhost' ? state.localNode : String(parameters.node);
}

/** Options that a person at the host may use and nobody else. */
export function refuseRootOnly({ caller, parameters }: Call, names: readonly string[]): void {
  const given = names.filter((name) => parameters[name]);
  if (given.length === 0 || caller.id === 'root@pam') return;
  throw invalidParameters(Object.fromEntries(given.map((name) => [name, 'Only root may use this option.'])));
}

/** 403 unless the caller has all of the privileges on the path. */
export function requireAll(call: Call, path: string, ...privileges: readonly string[]): void {
  for (const one of privileges) if (!call.permissions.has(path, one)) throw forbidden(path, [one]);
}

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

/** What fails in it is refused at once, with the same words as a task would end with. */
export function atOnce<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw error instanceof ApiFailure
      ? error
      : new ApiFailure(500, error instanceof Error ? error.message : String(error));
  }
}

/** A list as parameters have it: with commas, semicolons, spaces, or as a repeated key. */
export function listOf(value: string | number | undefined): string[] {
  return String(value ?? '')
    .split(/[\s,;\0]+/)
    .filter((one) => one !== '');
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
