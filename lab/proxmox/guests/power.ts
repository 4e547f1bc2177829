import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import { type Caller, type SimulatedGuest, type SimulatorState, unixTime } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';

export type GuestType = SimulatedGuest['type'];
export type PowerAction = 'start' | 'stop' | 'shutdown' | 'reboot';

/** What differs between `qm` and `pct` beside what they do. */
const words = {
  qemu: { prefix: 'qm', name: 'VM', folder: 'qemu-server' },
  lxc: { prefix: 'vz', name: 'CT', folder: 'lxc' },
} as const;

/** The HA stack and what follows a reboot act as this one. */
const root: Caller = { id: 'root@pam', user: 'root@pam' };
const defaultTimeoutSeconds = 60;
const lockFileSeconds = 10;
const tickMs = 5;
let lastPid = 20_000;

/** The guest whose configuration is on the node that is asked, else the error that Proxmox has for it. */
export function guestAt(call: Call, type: GuestType): SimulatedGuest {
  const guest = found(call, type);
  if (guest) return guest;
  throw new ApiFailure(500, noConfiguration(call, type));
}

/**
 * What POST …/status/{action} does: refuses at once what Proxmox refuses at once, and starts the task. VMs and
 * containers differ in which is which.
 */
export function changePower(call: Call, type: GuestType, action: PowerAction): string {
  const { state, tasks, caller, parameters } = call;
  const { prefix, name } = words[type];
  const vmid = Number(parameters.vmid);
  const node = nodeOf(call);
  const guest = found(call, type);
  refuseRootOnly(call);
  if (action === 'start' && !state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  refuseByState(call, type, action, guest);
  const of = { node, id: String(vmid) };
  if (guest?.ha && action !== 'reboot') {
    if (parameters['overrule-shutdown']) {
      throw invalidParameters({ 'overrule-shutdown': 'Not applicable for HA resources.' });
    }
    return requestHa(call, guest, action === 'start' ? 'start' : 'stop');
  }
  return tasks.start({ ...of, type: `${prefix}${action}`, caller }, async (task) => {
    if (action === 'stop' && parameters['overrule-shutdown']) await overrule(call, task, `${prefix}shutdown`);
    if (!guest) {
      const unfound = `unable to find configuration file for ${name} ${vmid} on node '${node}'`;
      throw new Error(type === 'qemu' && action === 'stop' ? unfound : noConfiguration(call, type));
    }
    await withLockFile(state, guest, task, () => act(call, guest, action, task));
    // The new process is started by what watches VMs, in a task of its own.
    if (action === 'reboot' && type === 'qemu') later(guest.behaviour?.haMs, () => startAsRoot(call, guest));
  });
}

function refuseRootOnly({ caller, parameters }: Call): void {
  const rootOnly = ['skiplock', 'keepActive', 'migratedfrom'].filter((name) => parameters[name]);
  if (rootOnly.length === 0 || caller.id === 'root@pam') return;
  throw invalidParameters(Object.fromEntries(rootOnly.map((name) => [name, 'Only root may use this option.'])));
}

function refuseByState(call: Call, type: GuestType, action: PowerAction, guest: SimulatedGuest | undefined): void {
  const vmid = Number(call.parameters.vmid);
  const running = guest?.status === 'running';
  if (type === 'lxc' && action === 'start' && running) throw new ApiFailure(500, `CT ${vmid} already running`);
  if (type === 'lxc' && (action === 'stop' || action === 'shutdown') && !running) {
    throw new ApiFailure(500, `CT ${vmid} not running`);
  }
  // Of a container it says the same.
  if (action === 'reboot' && !running) throw new ApiFailure(500, `VM ${vmid} not running`);
  if (type === 'qemu' && action === 'shutdown' && guest?.paused && !call.parameters.forceStop) {
    throw new ApiFailure(500, 'VM is paused - cannot shutdown');
  }
}

async function act(call: Call, guest: SimulatedGuest, action: PowerAction, task: TaskHandle): Promise<void> {
  const { name } = words[guest.type];
  const { parameters, state } = call;
  if (action === 'start') return start(guest, task);
  // Of a VM that is off already nothing more is looked at.
  if (guest.status === 'stopped') return;
  if (guest.lock !== undefined) throw new Error(`${name} is locked (${guest.lock})`);
  if (action === 'stop') {
    await sleep(guest.behaviour?.stopMs ?? 20, undefined, { signal: task.signal });
    return goOff(guest);
  }
  const timeoutMs = Number(parameters.timeout ?? defaultTimeoutSeconds) * state.pace.secondMs;
  // A container that is to reboot is killed when it doesn't go off in time; a VM isn't.
  const force = parameters.forceStop || (action === 'reboot' && guest.type === 'lxc');
  if (!(await shutDown(guest, timeoutMs, task.signal))) {
    if (!force)
      throw new Error(guest.type === 'qemu' ? 'VM quit/powerdown failed - got timeout' : 'container did not stop');
    if (guest.type === 'qemu') task.log('VM still running - terminating now with SIGTERM');
    goOff(guest);
  }
  if (action === 'reboot' && guest.type === 'lxc') await start(guest, task);
}

async function start(guest: SimulatedGuest, task: TaskHandle): Promise<void> {
  const { name } = words[guest.type];
  if (guest.template) throw new Error(`you can't start a ${guest.type === 'qemu' ? 'vm' : 'CT'} if it's a template`);
  if (guest.lock !== undefined) throw new Error(`${name} is locked (${guest.lock})`);
  if (guest.status === 'running') throw new Error(`${name} ${guest.vmid} already running`);
  const { startMs = 20, startError, startWarnings = [], diesAfterMs } = guest.behaviour ?? {};
  await sleep(startMs, undefined, { signal: task.signal });
  if (startError !== undefined) throw new Error(startError);
  for (const line of startWarnings) task.warn(line);
  lastPid += 1;
  const pid = lastPid;
  Object.assign(guest, { status: 'running', startedAt: unixTime(), pid });
  if (diesAfterMs !== undefined) later(diesAfterMs, () => guest.pid === pid && goOff(guest));
}

/** Tells the guest and waits. It goes off by itself, also when the task that told it is gone by then. */
async function shutDown(guest: SimulatedGuest, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const { pid, behaviour: { ignoresShutdown, stopMs } = {} } = guest;
  if (!ignoresShutdown) later(stopMs ?? 20, () => guest.pid === pid && goOff(guest));
  const until = Date.now() + timeoutMs;
  while (guest.status === 'running' && Date.now() < until) await sleep(tickMs, undefined, { signal });
  return guest.status === 'stopped';
}

function goOff(guest: SimulatedGuest): void {
  guest.status = 'stopped';
  delete guest.startedAt;
  delete guest.pid;
  delete guest.paused;
}

/** One task at a time works on a guest; another one waits for it, but not for long. */
async function withLockFile(
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

async function overrule({ state, tasks, parameters }: Call, task: TaskHandle, type: string): Promise<void> {
  const active = [...state.tasks.values()].filter(
    (other) => other.type === type && other.id === String(parameters.vmid) && other.endtime === undefined,
  );
  for (const { upid } of active) await tasks.abort(upid, 'received interrupt');
  if (active.length > 0) task.log(`overruled ${type} tasks: ${active.map(({ upid }) => upid).join(', ')}`);
}

/** The task only asks for it; the guest changes some time after it has ended, in a task of root's. */
function requestHa(call: Call, guest: SimulatedGuest, wanted: 'start' | 'stop'): string {
  const { tasks, caller, state } = call;
  const { prefix, name } = words[guest.type];
  const of = { node: nodeOf(call), id: String(guest.vmid) };
  return tasks.start({ ...of, type: `ha${wanted}`, caller }, async (task) => {
    task.log(`Requesting HA ${wanted} for ${name} ${guest.vmid}`);
    guest.ha = { state: wanted === 'start' ? 'started' : 'request_stop' };
    later(guest.behaviour?.haMs, () => {
      if (wanted === 'start') return startAsRoot(call, guest);
      tasks.start({ ...of, node: guest.node, type: `${prefix}shutdown`, caller: root }, async (own) => {
        const timeoutMs = defaultTimeoutSeconds * state.pace.secondMs;
        if (!(await shutDown(guest, timeoutMs, own.signal))) goOff(guest);
        guest.ha = { state: 'stopped' };
      });
    });
  });
}

function startAsRoot({ state, tasks }: Call, guest: SimulatedGuest): void {
  const of = { node: guest.node, id: String(guest.vmid), type: `${words[guest.type].prefix}start`, caller: root };
  tasks.start(of, (task) => withLockFile(state, guest, task, () => start(guest, task)));
}

/** Happens by itself; the simulator needn't live for it. */
function later(ms: number | undefined, what: () => void): void {
  setTimeout(what, ms ?? 40).unref();
}

function found(call: Call, type: GuestType): SimulatedGuest | undefined {
  const guest = call.state.guests.get(Number(call.parameters.vmid));
  return guest?.type === type && guest.node === nodeOf(call) ? guest : undefined;
}

function noConfiguration(call: Call, type: GuestType): string {
  return `Configuration file 'nodes/${nodeOf(call)}/${words[type].folder}/${call.parameters.vmid}.conf' does not exist`;
}

function nodeOf({ state, parameters }: Call): string {
  return parameters.node === 'localhost' ? state.localNode : String(parameters.node);
}
