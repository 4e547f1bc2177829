import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import { type SimulatedGuest, unixTime } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { found, type GuestType, guestAt, noConfiguration, nodeOf, refuseRootOnly, root, words } from './asked-guest.ts';
import { disksOf, setOption } from './configuration.ts';
import { assertUnlocked, assertWritable, guestTask, later, withLock, withLockFile } from './guest-tasks.ts';
import { allocate, free, volumeAt } from './volumes.ts';

export type PowerAction = 'start' | 'stop' | 'shutdown' | 'reboot';

const defaultTimeoutSeconds = 60;
const tickMs = 5;
let lastPid = 20_000;

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
  refuseRootOnly(call, ['skiplock', 'keepActive', 'migratedfrom']);
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
  const { parameters, state } = call;
  if (action === 'start') return startGuest(call, guest, task);
  // Of a VM that is off already nothing more is looked at.
  if (guest.status === 'stopped') return;
  assertUnlocked(guest);
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
  if (action === 'reboot' && guest.type === 'lxc') await startGuest(call, guest, task);
}

/** Starts a guest within a task that has its lock file. */
export async function startGuest(
  { state }: Pick<Call, 'state'>,
  guest: SimulatedGuest,
  task: TaskHandle,
): Promise<void> {
  const { name } = words[guest.type];
  if (guest.template) throw new Error(`you can't start a ${guest.type === 'qemu' ? 'vm' : 'CT'} if it's a template`);
  const wasSuspended = guest.lock === 'suspended';
  if (!wasSuspended) assertUnlocked(guest);
  if (guest.status === 'running') throw new Error(`${name} ${guest.vmid} already running`);
  applyPending(guest);
  for (const { option, volid } of disksOf(guest.type, guest.config ?? {})) {
    if (!option.startsWith('unused') && !volumeAt(state, guest.node, volid)) {
      throw new Error(`volume '${volid}' does not exist`);
    }
  }
  const { startMs = 20, startsWhen, startError, startWarnings = [], diesAfterMs } = guest.behaviour ?? {};
  await sleep(startMs, undefined, { signal: task.signal });
  await startsWhen;
  if (startError !== undefined) throw new Error(startError);
  for (const line of startWarnings) task.warn(line);
  if (wasSuspended) wake(state, guest, task);
  comeUp(guest);
  const { pid } = guest;
  if (diesAfterMs !== undefined) later(diesAfterMs, () => guest.pid === pid && goOff(guest));
}

/** The memory that was kept on disk is read, and needed no more. */
function wake(state: Call['state'], guest: SimulatedGuest, task: TaskHandle): void {
  const volid = String(guest.config?.vmstate ?? '');
  task.log('Resuming suspended VM');
  const kept = volumeAt(state, guest.node, volid);
  if (kept) free(state, kept);
  setOption(guest, 'vmstate', null);
  delete guest.lock;
  task.log('Resumed VM, removing state');
}

/** From now on it runs, as a new process. */
export function comeUp(guest: SimulatedGuest): void {
  lastPid += 1;
  Object.assign(guest, { status: 'running', startedAt: unixTime(), pid: lastPid });
}

/** Tells the guest and waits. It goes off by itself, also when the task that told it is gone by then. */
export async function shutDown(guest: SimulatedGuest, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const { pid, behaviour: { ignoresShutdown, stopMs } = {} } = guest;
  if (!ignoresShutdown) later(stopMs ?? 20, () => guest.pid === pid && goOff(guest));
  const until = Date.now() + timeoutMs;
  while (guest.status === 'running' && Date.now() < until) await sleep(tickMs, undefined, { signal });
  // On a machine that was busy until then the guest's own timer is late, too.
  if (guest.status === 'running') await sleep(tickMs, undefined, { signal });
  return guest.status === 'stopped';
}

/** From now on it is off; what waited for that in its configuration becomes true. */
export function goOff(guest: SimulatedGuest): void {
  guest.status = 'stopped';
  delete guest.startedAt;
  delete guest.pid;
  delete guest.paused;
  applyPending(guest);
}

function applyPending(guest: SimulatedGuest): void {
  for (const [option, value] of Object.entries(guest.pending ?? {})) setOption(guest, option, value);
  delete guest.pending;
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
  const { tasks, caller } = call;
  const { name } = words[guest.type];
  const of = { node: nodeOf(call), id: String(guest.vmid) };
  return tasks.start({ ...of, type: `ha${wanted}`, caller }, async (task) => {
    task.log(`Requesting HA ${wanted} for ${name} ${guest.vmid}`);
    guest.ha = { ...guest.ha, ...haRequest(wanted) };
    haCarriesOut(call, guest, wanted);
  });
}

function haRequest(wanted: 'start' | 'stop'): { state: string; requested: string } {
  if (wanted === 'start') return { state: 'started', requested: 'started' };
  return { state: 'request_stop', requested: 'stopped' };
}

/** The HA stack starts or stops a guest some time after it was told, in a task of root's. */
export function haCarriesOut(call: Call, guest: SimulatedGuest, wanted: 'start' | 'stop'): void {
  const { tasks, state } = call;
  later(guest.behaviour?.haMs, () => {
    if (wanted === 'start') return startAsRoot(call, guest);
    const type = `${words[guest.type].prefix}shutdown`;
    tasks.start({ node: guest.node, id: String(guest.vmid), type, caller: root }, async (own) => {
      const timeoutMs = defaultTimeoutSeconds * state.pace.secondMs;
      if (!(await shutDown(guest, timeoutMs, own.signal))) goOff(guest);
      guest.ha = { ...guest.ha, state: 'stopped' };
    });
  });
}

function startAsRoot(call: Call, guest: SimulatedGuest): void {
  const { state, tasks } = call;
  const of = { node: guest.node, id: String(guest.vmid), type: `${words[guest.type].prefix}start`, caller: root };
  tasks.start(of, (task) => withLockFile(state, guest, task, () => startGuest(call, guest, task)));
}

/** Keeps a VM where it is, in memory, or with `todisk` on disk, where it is off then. A container can't be kept. */
export function suspend(call: Call, type: GuestType): string {
  const { state, parameters } = call;
  const guest = guestAt(call, type);
  refuseRootOnly(call, ['skiplock']);
  const { name } = words[type];
  if (guest.status !== 'running') throw new ApiFailure(500, `${name} ${guest.vmid} not running`);
  if (type === 'lxc') {
    return guestTask(call, guest, 'vzsuspend', async () => {
      assertUnlocked(guest);
      const command = `lxc-checkpoint -n ${guest.vmid} -s -D /var/lib/vz/dump`;
      throw new Error(`command '${command}' failed: exit code 1`);
    });
  }
  if (!parameters.todisk) {
    return guestTask(call, guest, 'qmpause', async () => {
      assertUnlocked(guest);
      guest.paused = true;
    });
  }
  const storage = String(parameters.statestorage ?? guest.config?.vmstatestorage ?? firstImageStorage(call, guest));
  return guestTask(call, guest, 'qmsuspend', async (task) => {
    assertUnlocked(guest);
    assertWritable(state, guest);
    await withLock(guest, 'suspending', async () => {
      const kept = saveMemory(call, guest, storage, `suspend-${new Date().toISOString().slice(0, 10)}`, task);
      await sleep(guest.behaviour?.taskMs?.qmsuspend ?? 20, undefined, { signal: task.signal });
      setOption(guest, 'vmstate', kept);
    });
    goOff(guest);
    guest.lock = 'suspended';
  });
}

/** Lets a VM go on; one that was kept on disk is started with its memory. */
export function resume(call: Call, type: GuestType): string {
  const guest = guestAt(call, type);
  refuseRootOnly(call, ['skiplock', 'nocheck']);
  if (type === 'lxc') {
    return guestTask(call, guest, 'vzresume', async (task) => {
      const asked = 'criu_version_ok: 767 Connection refused - execing criu failed, is it installed?';
      task.log(`lxc-checkpoint: ${guest.vmid}: ../src/lxc/criu.c: ${asked}`);
      const said = `restore_finalize: 203 Restoring ${guest.vmid} failed`;
      task.log(`lxc-checkpoint: ${guest.vmid}: ../src/lxc/tools/lxc_checkpoint.c: ${said}`);
      const command = `lxc-checkpoint -n ${guest.vmid} -r --foreground -D /var/lib/vz/dump`;
      throw new Error(`command '${command}' failed: exit code 1`);
    });
  }
  const isOnDisk = guest.lock === 'suspended';
  if (guest.status !== 'running' && !isOnDisk) throw new ApiFailure(500, `VM ${guest.vmid} not running`);
  return guestTask(call, guest, 'qmresume', async (task) => {
    if (isOnDisk) return startGuest(call, guest, task);
    assertUnlocked(guest);
    delete guest.paused;
  });
}

/** As the button of a machine: it goes on, with nothing in memory. */
export function reset(call: Call): string {
  const guest = guestAt(call, 'qemu');
  refuseRootOnly(call, ['skiplock']);
  if (guest.status !== 'running') throw new ApiFailure(500, `VM ${guest.vmid} not running`);
  return guestTask(call, guest, 'qmreset', async (task) => {
    assertUnlocked(guest);
    await sleep(guest.behaviour?.taskMs?.qmreset ?? 20, undefined, { signal: task.signal });
    guest.startedAt = unixTime();
  });
}

/** Writes a VM's memory into a volume, and gives back which. */
export function saveMemory(
  { state }: Pick<Call, 'state'>,
  guest: SimulatedGuest,
  storage: string,
  name: string,
  task: TaskHandle,
): string {
  const size = guest.memory * 2 + 500 * 2 ** 20;
  const used = Math.floor(guest.memory / 4);
  const { node, vmid } = guest;
  const volume = allocate(state, { node, vmid, type: 'qemu', storage, size, used, role: `state-${name}` }, task.log);
  task.log(`saving VM state and RAM using storage '${storage}'`);
  task.log(`completed saving the VM state in 0s, saved ${(used / 2 ** 20).toFixed(2)} MiB`);
  return volume.volid;
}

/** Where a VM's memory goes when nobody says: beside its first disk. */
export function firstImageStorage({ state }: Pick<Call, 'state'>, guest: SimulatedGuest): string {
  const [first] = disksOf(guest.type, guest.config ?? {});
  return volumeAt(state, guest.node, first?.volid ?? '')?.storage ?? 'local';
}
