import { randomUUID } from 'node:crypto';
import { ApiFailure, forbidden, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import { type SimulatedGuest, unixTime } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { atOnce, type GuestType, nodeOf, refuseRootOnly, words } from './asked-guest.ts';
import { type GuestConfig, isCdrom, isDiskOption, setOption } from './configuration.ts';
import { checkDisks, normalized, realizeDisk } from './disks.ts';
import { later, takeTime, withLockFile } from './guest-tasks.ts';
import { startGuest } from './power.ts';
import { restoreContainer, restoreMachine } from './restore.ts';
import { fileSystemLines, free, pathOf, storageAt, storageOf, usableStorage, volumeAt } from './volumes.ts';

/** Parameters of a creation that aren't options of what is made. */
const notOptions = new Set([
  'node',
  'vmid',
  'archive',
  'storage',
  'force',
  'unique',
  'pool',
  'bwlimit',
  'start',
  'live-restore',
  'import-working-storage',
  'ha-managed',
  'ostemplate',
  'restore',
  'password',
  'ssh-public-keys',
  'ignore-unpack-errors',
  'skiplock',
]);

/** POST …/qemu: a new VM, or one out of an archive. */
export function createMachine(call: Call): string {
  const { state, parameters } = call;
  const vmid = Number(parameters.vmid);
  const isRestore = parameters.archive !== undefined;
  mayAllocate(call, vmid);
  refuseRootOnly(call, ['skiplock']);
  const doing = isRestore ? 'restore' : 'create';
  const present = state.guests.get(vmid);
  if (isRestore) return restoreMachine(call, present);
  for (const name of ['force', 'unique'] as const) {
    if (parameters[name] && !isRestore) throw invalidParameters({ [name]: `missing parameter 'archive'` });
  }
  if (!state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  if (present) throw new ApiFailure(500, `unable to ${doing} VM ${vmid} - ${existing(present)}`);
  const options = optionsOf(parameters);
  const place = { vmid, type: 'qemu', node: nodeOf(call) } as const;
  atOnce(() => checkDisks(call, place, options));
  const guest = reserve(call, 'qemu', vmid);
  return createTask(call, guest, 'qmcreate', async (task) => {
    fillMachine(call, guest, options, task);
  });
}

function fillMachine(call: Call, guest: SimulatedGuest, options: GuestConfig, task: TaskHandle): void {
  for (const [option, given] of Object.entries(options)) {
    if (!isDiskOption('qemu', option)) setOption(guest, option, normalized('qemu', option, given));
    else if (!task.without('disk')) setOption(guest, option, realizeDisk(call, guest, option, String(given), task.log));
  }
  setOption(guest, 'meta', `creation-qemu=10.0.13,ctime=${unixTime()}`);
  if (options.smbios1 === undefined) setOption(guest, 'smbios1', `uuid=${randomUUID()}`);
  if (options.vmgenid === undefined) setOption(guest, 'vmgenid', randomUUID());
  if (options.boot === undefined) setOption(guest, 'boot', bootOrder(guest.config ?? {}));
}

/** The first disk of each kind in Proxmox's order, a CD drive, the first network card. */
function bootOrder(config: GuestConfig): string {
  const disk = ['scsi0', 'virtio0', 'sata0', 'ide0'].find(
    (option) => option in config && !isCdrom(String(config[option])),
  );
  const disc = Object.keys(config).find(
    (option) =>
      /^(ide|sata|scsi)\d+$/.test(option) &&
      isCdrom(String(config[option])) &&
      !/cloudinit/.test(String(config[option])),
  );
  const card = Object.keys(config).find((option) => /^net\d+$/.test(option));
  const order = [disk, disc, card].filter((option) => option !== undefined);
  return order.length === 0 ? ' ' : `order=${order.join(';')}`;
}

/** POST …/lxc: a new container from a template, or one out of an archive. */
export function createContainer(call: Call): string {
  const { state, parameters } = call;
  const vmid = Number(parameters.vmid);
  mayAllocate(call, vmid);
  const source = String(parameters.ostemplate);
  const present = state.guests.get(vmid);
  if (!state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  const force = Boolean(parameters.force) && Boolean(parameters.restore) && present?.type === 'lxc';
  if (present && !force) throw new ApiFailure(500, existing(present));
  if (parameters.restore) return restoreContainer(call, present);
  if (!/^[^:]+:vztmpl\//.test(source)) {
    throw new ApiFailure(500, `unable to use volume ${source} - content type needs to be 'vztmpl'`);
  }
  const node = nodeOf(call);
  const storage = String(parameters.storage ?? 'local');
  const options = { rootfs: `${storage}:4`, ...optionsOf(parameters) };
  atOnce(() => {
    usableStorage(state, node, storageOf(source));
    checkDisks(call, { vmid, type: 'lxc', node }, options);
  });
  const guest = reserve(call, 'lxc', vmid);
  return createTask(call, guest, 'vzcreate', async (task) => {
    for (const [option, given] of Object.entries(containerDefaults(vmid, source, options))) {
      if (!isDiskOption('lxc', option)) setOption(guest, option, normalized('lxc', option, given));
      else if (!task.without('disk'))
        setOption(guest, option, realizeDisk(call, guest, option, String(given), task.log));
    }
    for (const line of fileSystemLines(guest.disk)) task.log(line);
    const template = volumeAt(state, node, source);
    if (!template) {
      task.log(`volume '${source}' does not exist`);
      throw new Error(`volume '${source}' does not exist`);
    }
    task.log(`extracting archive '${pathOf(storageAt(state, node, storageOf(source)), source)}'`);
    task.log(`Total bytes read: ${template.size} (${(template.size / 2 ** 20).toFixed(1)}MiB, 252MiB/s)`);
    if (parameters.arch === undefined && guest.config?.ostype === 'unmanaged') {
      task.log('Falling back to amd64.');
      task.log('Use `pct set VMID --arch ARCH` to change.');
    }
  });
}

function containerDefaults(vmid: number, source: string, options: GuestConfig): GuestConfig {
  const known = /vztmpl\/(debian|ubuntu|alpine|archlinux|centos|fedora|opensuse|gentoo|nixos)/.exec(source)?.[1];
  const unprivileged = options.unprivileged === undefined || options.unprivileged === 0 ? {} : { unprivileged: 1 };
  const { unprivileged: _, ...rest } = options;
  return {
    arch: 'amd64',
    hostname: `CT${vmid}`,
    memory: 512,
    swap: 512,
    ostype: known ?? 'unmanaged',
    ...rest,
    ...unprivileged,
  };
}

/** What is asked of the configuration itself. */
export function optionsOf(parameters: Call['parameters']): GuestConfig {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => !notOptions.has(name)));
}

/** `VM 301 already exists on node 'pve1'` */
export function existing({ type, vmid, node }: SimulatedGuest): string {
  return `${words[type].name} ${vmid} already exists on node '${node}'`;
}

/** On the guest's own path, or on the pool that it comes into. */
export function mayAllocate({ permissions, parameters }: Pick<Call, 'permissions' | 'parameters'>, vmid: number): void {
  const inPool = parameters.pool !== undefined && permissions.has(`/pool/${parameters.pool}`, 'VM.Allocate');
  if (!inPool && !permissions.has(`/vms/${vmid}`, 'VM.Allocate')) throw forbidden(`/vms/${vmid}`, ['VM.Allocate']);
}

/** Takes the id at once, with an empty configuration that is locked until the task has ended. */
export function reserve(
  { state, parameters }: Pick<Call, 'state' | 'parameters'>,
  type: GuestType,
  vmid: number,
  node?: string,
): SimulatedGuest {
  const pool = parameters.pool === undefined ? undefined : state.pools.get(String(parameters.pool));
  if (parameters.pool !== undefined && !pool) throw new ApiFailure(500, `pool '${parameters.pool}' does not exist`);
  const on = node ?? (parameters.node === 'localhost' ? state.localNode : String(parameters.node));
  const guest = {
    vmid,
    type,
    node: on,
    status: 'stopped',
    template: false,
    lock: 'create',
    config: {},
  } as unknown as SimulatedGuest;
  state.guests.set(vmid, guest);
  return guest;
}

/** Runs what makes a guest; when that fails there is nothing of it any more. */
export function createTask(
  call: Call,
  guest: SimulatedGuest,
  type: string,
  work: (task: TaskHandle) => Promise<void>,
  onNode: string = guest.node,
): string {
  const { state, tasks, caller, parameters } = call;
  const { vmid } = guest;
  const undo = () => {
    for (const volume of state.volumes.filter((one) => one.vmid === vmid)) free(state, volume);
    if (state.guests.get(vmid) === guest) state.guests.delete(vmid);
  };
  const of = { node: onNode, id: String(vmid), type, caller, release: undo };
  return tasks.start(of, (task) =>
    withLockFile(state, guest, task, async () => {
      try {
        await work(task);
        await takeTime(guest, task, type);
      } catch (error) {
        undo();
        const text = error instanceof Error ? error.message : String(error);
        throw new Error(task.signal.aborted ? text : `unable to create ${words[guest.type].name} ${vmid} - ${text}`);
      }
      delete guest.lock;
      if (parameters.pool !== undefined) state.pools.get(String(parameters.pool))?.vms.add(vmid);
      if (parameters.start) later(1, () => startOwn(call, guest));
    }),
  );
}

/** What was made is started in a task of its own, by the same caller. */
export function startOwn(call: Call, guest: SimulatedGuest): void {
  const of = {
    node: guest.node,
    id: String(guest.vmid),
    type: `${words[guest.type].prefix}start`,
    caller: call.caller,
  };
  call.tasks.start(of, (task) => withLockFile(call.state, guest, task, () => startGuest(call, guest, task)));
}
