import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure, forbidden, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import { type SimulatedArchive, type SimulatedGuest, unixTime } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { archiveAt, archiveVolid, formatFor, readArchive, removeArchive, writeArchive } from './archives.ts';
import { listOf, nodeOf, words } from './asked-guest.ts';
import { disksOf } from './configuration.ts';
import { assertUnlocked, assertWritable, takeTime, withLockFile } from './guest-tasks.ts';
import { comeUp, shutDown } from './power.ts';
import { canSnapshot, freeBytes, pathOf, storageAt, usableStorage } from './volumes.ts';

const placeholders = ['cluster', 'guestname', 'node', 'vmid'];
/** Who backs up on which node: one at a time. */
const holders = new WeakMap<object, Map<string, string>>();

/** POST …/vzdump: guests of one node, one after the other, into archives that are files. */
export function backUp(call: Call): string {
  const { state, tasks, caller, parameters, permissions } = call;
  const node = nodeOf(call);
  refuseOptions(call);
  const asked = listOf(parameters.vmid).map(Number);
  const storage = String(parameters.storage ?? 'local');
  // An unknown one is only found in the task.
  if (
    state.storages.some((one) => one.storage === storage) &&
    !permissions.has(`/storage/${storage}`, 'Datastore.AllocateSpace')
  ) {
    throw forbidden(`/storage/${storage}`, ['Datastore.AllocateSpace']);
  }
  const exclude = new Set(listOf(parameters.exclude).map(Number));
  const wholePool = state.pools.get(String(parameters.pool ?? ''))?.vms;
  const isAll = Boolean(parameters.all) || wholePool !== undefined;
  const here = [...state.guests.values()].filter((guest) => guest.node === node);
  const guests = isAll
    ? here
        .map(({ vmid }) => vmid)
        .filter(
          (vmid) =>
            (wholePool?.has(vmid) ?? true) && !exclude.has(vmid) && permissions.has(`/vms/${vmid}`, 'VM.Backup'),
        )
    : asked.filter((vmid) => !state.guests.has(vmid) || state.guests.get(vmid)?.node === node);
  if (!isAll && guests.length === 0) return 'OK';
  const id = !isAll && asked.length === 1 ? String(asked[0]) : '';
  return tasks.start({ node, id, type: 'vzdump', caller }, async (task) => {
    await withNode(state, node, task, async () => {
      const problem = storageProblem(call, node, storage);
      if (problem !== undefined) {
        const unknown = `could not get storage information for '${storage}': ${problem}`;
        throw new Error(`could not activate storage '${storage}': ${problem} ${unknown}`);
      }
      task.log(`INFO: starting new backup job: vzdump ${jobLine(parameters, node, storage)}`);
      const denied = guests.find((vmid) => state.guests.has(vmid) && !permissions.has(`/vms/${vmid}`, 'VM.Backup'));
      if (denied !== undefined) throw new Error(`403 Permission check failed (/vms/${denied}, VM.Backup)`);
      let failed = 0;
      for (const vmid of guests) if (!(await backUpOne(call, vmid, storage, task))) failed += 1;
      task.log(`INFO: Backup job finished ${failed === 0 ? 'successfully' : 'with errors'}`);
      if (failed > 0) throw new Error('job errors');
    });
  });
}

function refuseOptions({ parameters, caller, permissions }: Call): void {
  const hasWhat = parameters.vmid !== undefined || parameters.all || parameters.pool !== undefined;
  if (!hasWhat && !parameters.stop) throw invalidParameters({ vmid: 'property is missing' });
  if (parameters.vmid !== undefined && parameters.all)
    throw invalidParameters({ all: `option conflicts with option 'vmid'` });
  for (const name of ['dumpdir', 'script', 'tmpdir', 'job-id']) {
    if (parameters[name] !== undefined && caller.id !== 'root@pam')
      throw invalidParameters({ [name]: 'Only root may set this option.' });
  }
  if (parameters.bwlimit !== undefined && !permissions.has('/', 'Sys.Modify')) throw forbidden('/', ['Sys.Modify']);
  if (
    parameters['prune-backups'] !== undefined &&
    !permissions.has(`/storage/${parameters.storage ?? 'local'}`, 'Datastore.Allocate')
  ) {
    throw forbidden(`/storage/${parameters.storage ?? 'local'}`, ['Datastore.Allocate']);
  }
  const unknown = listOf(parameters['prune-backups'])
    .map((part) => part.split('=')[0] ?? '')
    .find((key) => !/^keep-(all|last|hourly|daily|weekly|monthly|yearly)$/.test(key));
  if (unknown !== undefined) {
    const problem = 'property is not defined in schema and the schema does not allow additional properties';
    throw invalidParameters({
      'prune-backups': `invalid format - format error\nprune-backups.${unknown}: ${problem}\n`,
    });
  }
  for (const [, name = ''] of String(parameters['notes-template'] ?? '').matchAll(/\{\{(\w+)\}\}/g)) {
    if (!placeholders.includes(name))
      throw invalidParameters({ 'notes-template': `found unknown: variable '${name}' at char 4\n` });
  }
}

function jobLine(parameters: Call['parameters'], node: string, storage: string): string {
  const { vmid, node: _, ...rest } = parameters;
  const quoted = (value: string | number) => (/^[\w.,/-]+$/.test(String(value)) ? String(value) : `'${value}'`);
  const options = Object.entries({ ...rest, node, storage }).map(([name, value]) => `--${name} ${quoted(value)}`);
  return [...listOf(vmid), ...options].join(' ');
}

function storageProblem({ state }: Call, node: string, name: string): string | undefined {
  try {
    const storage = usableStorage(state, node, name);
    return storage.content.split(',').includes('backup') ? undefined : `storage '${name}' does not support backups`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function withNode(
  state: Call['state'],
  node: string,
  task: TaskHandle,
  work: () => Promise<void>,
): Promise<void> {
  const held = holders.get(state.tasks) ?? new Map<string, string>();
  holders.set(state.tasks, held);
  const taken = () => {
    const by = held.get(node);
    return by !== undefined && state.tasks.get(by)?.endtime === undefined;
  };
  if (taken()) {
    task.log('INFO: trying to get global lock - waiting...');
    while (taken()) await sleep(5, undefined, { signal: task.signal });
    task.log('INFO: got global lock');
  }
  held.set(node, task.upid);
  try {
    await work();
  } finally {
    if (held.get(node) === task.upid) held.delete(node);
  }
}

async function backUpOne(call: Call, vmid: number, storage: string, task: TaskHandle): Promise<boolean> {
  const { state } = call;
  const node = nodeOf(call);
  const clock = () => new Date().toISOString().slice(0, 19).replace('T', ' ');
  const guest = state.guests.get(vmid);
  if (!guest || guest.node !== node) {
    task.log(`ERROR: Backup of VM ${vmid} failed - unable to find VM '${vmid}'`);
    task.log(`INFO: Failed at ${clock()}`);
    return false;
  }
  const began = Date.now();
  task.log(`INFO: Starting Backup of VM ${vmid} (${guest.type})`);
  task.log(`INFO: Backup started at ${clock()}`);
  task.log(`INFO: status = ${guest.status}`);
  let archive: SimulatedArchive | undefined;
  try {
    assertUnlocked(guest);
    assertWritable(state, guest);
    if (guest.behaviour?.backupError !== undefined) throw new Error(guest.behaviour.backupError);
    for (const line of guest.behaviour?.backupLog ?? []) task.log(line);
    for (const line of guest.behaviour?.backupWarnings ?? []) task.warn(line);
    archive = await dump(call, guest, storage, task);
    finish(call, guest, archive, task);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (task.signal.aborted) {
      task.log('ERROR: interrupted by signal');
      task.log('INFO: aborting backup job');
    }
    task.log(`ERROR: Backup of VM ${vmid} failed - ${text}`);
    task.log(`INFO: Failed at ${clock()}`);
    if (archive) removeArchive(state, archive);
    if (task.signal.aborted) throw error;
    return false;
  }
  task.log(`INFO: Finished Backup of VM ${vmid} (${new Date(Date.now() - began).toISOString().slice(11, 19)})`);
  task.log(`INFO: Backup finished at ${clock()}`);
  return true;
}

/** The archive's file, with the guest stopped, paused or as it is. */
async function dump(call: Call, guest: SimulatedGuest, storage: string, task: TaskHandle): Promise<SimulatedArchive> {
  const { state, parameters } = call;
  const { type, node } = guest;
  const wasRunning = guest.status === 'running';
  const { mode, lines } = modeOf(call, guest);
  for (const line of lines) task.log(`INFO: ${line}`);
  const about = {
    storage,
    node,
    takenAt: freeSecond(call, guest, storage),
    format: formatFor(type, String(parameters.compress ?? '0')),
  };
  const where = storageAt(state, node, storage);
  const path = pathOf(where, archiveVolid({ ...about, vmid: guest.vmid, type }, where?.plugin ?? 'dir'));
  let archive: SimulatedArchive | undefined;
  await withLockFile(state, guest, task, async () => {
    guest.lock = 'backup';
    try {
      if (mode === 'stop' && wasRunning) {
        task.log('INFO: stopping virtual guest');
        const waitMs = Number(parameters.stopwait ?? 10) * 60 * state.pace.secondMs;
        if (!(await shutDown(guest, waitMs, task.signal))) throw new Error('VM quit/powerdown failed - got timeout');
      }
      if (mode === 'suspend' && wasRunning) {
        pause(guest, path, task);
      }
      task.log(`INFO: creating vzdump archive '${path}'`);
      if (type === 'qemu') tellBegin(guest, mode, wasRunning, task);
      await takeTime(guest, task, 'vzdump');
      if (where && freeBytes(where) === 0) throw new Error('vma_queue_write: write error - No space left on device');
      archive = writeArchive(state, guest, about);
      if (where) where.used += archive.size;
      tellEnd(guest, mode, wasRunning, archive, task);
    } finally {
      if (guest.lock === 'backup') delete guest.lock;
      if (mode === 'suspend' && wasRunning) delete guest.paused;
      if (mode === 'stop' && wasRunning && guest.status === 'stopped') comeUp(guest);
    }
  });
  if (!archive) throw new Error('no archive was written');
  return archive;
}

/** How it is done: of a guest that is off nothing runs on, and a container is paused where nothing makes a snapshot. */
function modeOf(
  { state, parameters }: Call,
  guest: SimulatedGuest,
): { readonly mode: string; readonly lines: readonly string[] } {
  const { type, node, status } = guest;
  const disks = disksOf(type, guest.config ?? {}).filter(({ option }) => !option.startsWith('unused'));
  const what = disks.map(({ option, volid, value }) =>
    type === 'qemu' && /(^|,)backup=0(,|$)/.test(value)
      ? `exclude disk '${option}' '${volid}' (backup=no)`
      : type === 'qemu'
        ? `include disk '${option}' '${volid}' ${/size=([^,]*)/.exec(value)?.[1] ?? ''}`
        : `including mount point ${option} ('${option === 'rootfs' ? '/' : (/mp=([^,]*)/.exec(value)?.[1] ?? '')}') in backup`,
  );
  const about = [`${words[type].name} Name: ${guest.name}`, ...what];
  const chosen = (mode: string) => [`backup mode: ${mode}`, 'ionice priority: 7'];
  if (status === 'stopped') return { mode: 'stop', lines: [...chosen('stop'), ...about] };
  const asked = String(parameters.mode ?? 'snapshot');
  const can = type === 'qemu' || disks.every(({ volid }) => canSnapshot(state, node, volid, type));
  if (asked === 'snapshot' && !can) {
    const why = ['mode failure - some volumes do not support snapshots', "trying 'suspend' mode instead"];
    return { mode: 'suspend', lines: [...about, ...why, ...chosen('suspend'), ...about] };
  }
  return { mode: asked, lines: asked === 'snapshot' ? [...about, ...chosen(asked)] : [...chosen(asked), ...about] };
}

function pause(guest: SimulatedGuest, path: string, task: TaskHandle): void {
  if (guest.type === 'qemu') {
    task.log('INFO: suspending guest');
    guest.paused = true;
    return;
  }
  const folder = path.replace(/\.tar(\.\w+)?$/, '.tmp');
  task.log(`INFO: starting first sync /proc/${guest.pid}/root/ to ${folder}`);
  task.log('INFO: first sync finished - transferred 2.02M bytes in 0s');
  task.log('INFO: suspending guest');
  task.log(`INFO: starting final sync /proc/${guest.pid}/root/ to ${folder}`);
  task.log('INFO: final sync finished - transferred 0 bytes in 0s');
  task.log('INFO: resuming guest');
  task.log('INFO: guest is online again after <1 seconds');
}

function tellBegin(guest: SimulatedGuest, mode: string, wasRunning: boolean, task: TaskHandle): void {
  const hasAgent = /^(1|enabled=1)/.test(String(guest.config?.agent ?? ''));
  if (mode === 'stop') task.log('INFO: starting kvm to execute backup task');
  else if (hasAgent) {
    task.log("INFO: issuing guest-agent 'fs-freeze' command");
    task.log("INFO: issuing guest-agent 'fs-thaw' command");
  } else task.log("INFO: skipping guest-agent 'fs-freeze', agent not configured in VM options");
  task.log('INFO: starting backup via QMP command');
  task.log(`INFO: started backup task '${randomUUID()}'`);
  if (wasRunning) task.log(mode === 'snapshot' ? 'INFO: resuming VM again' : 'INFO: resuming VM again after 1 seconds');
}

function tellEnd(
  guest: SimulatedGuest,
  mode: string,
  wasRunning: boolean,
  archive: SimulatedArchive,
  task: TaskHandle,
): void {
  const size = `${(guest.disk / 2 ** 30).toFixed(1)} GiB`;
  if (guest.type === 'qemu') {
    task.log(`INFO: 100% (${size} of ${size}) in 1s, read: ${size}/s, write: 0 B/s`);
    task.log(`INFO: backup is sparse: ${size} (100%) total zero data`);
    task.log(`INFO: transferred ${size} in 1 seconds (${size}/s)`);
    if (mode === 'stop' && !wasRunning) task.log('INFO: stopping kvm after backup task');
  } else {
    task.log(`INFO: Total bytes written: ${archive.size} (${(archive.size / 2 ** 20).toFixed(1)}MiB, 173MiB/s)`);
  }
  task.log(`INFO: archive file size: ${Math.ceil(archive.size / 1024)}KB`);
  if (guest.type === 'qemu' && mode === 'suspend' && wasRunning) task.log('INFO: resume vm');
  if (guest.type === 'lxc' && mode === 'stop' && wasRunning) {
    task.log('INFO: restarting vm');
    task.log('INFO: guest is online again after 5 seconds');
  }
}

/** Archives are named by the second: a second one waits for the next. */
function freeSecond({ state }: Call, guest: SimulatedGuest, storage: string): number {
  let second = unixTime();
  while (state.archives.some((one) => one.storage === storage && one.vmid === guest.vmid && one.takenAt === second))
    second += 1;
  return second;
}

function finish(call: Call, guest: SimulatedGuest, written: SimulatedArchive, task: TaskHandle): void {
  const { state, parameters } = call;
  const template = parameters['notes-template'];
  const archive: SimulatedArchive = { ...written };
  if (template !== undefined) {
    const values: Readonly<Record<string, string>> = {
      cluster: state.cluster.name ?? 'standalone node',
      guestname: guest.name,
      node: guest.node,
      vmid: String(guest.vmid),
    };
    archive.notes = String(template)
      .replace(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? '')
      .replaceAll('\\n', '\n')
      .replaceAll('\\\\', '\\');
    task.log('INFO: adding notes to backup');
    if (archive.file !== undefined) writeFileSync(`${archive.file}.notes`, archive.notes);
  }
  if (parameters.protected) {
    task.log('INFO: marking backup as protected');
    archive.protected = true;
  }
  if (archive.file !== undefined)
    writeFileSync(`${archive.file}.log`, `${(state.tasks.get(task.upid)?.log ?? []).join('\n')}\n`);
  const { backupWritten } = guest.behaviour ?? {};
  const kept = backupWritten === undefined ? archive : backupWritten(archive);
  if (kept !== undefined) state.archives.push(kept);
  const keep = /keep-last=(\d+)/.exec(String(parameters['prune-backups'] ?? ''))?.[1];
  if (keep === undefined || Number(keep) === 0) return;
  task.log(`INFO: prune older backups with retention: keep-last=${keep}`);
  const own = state.archives
    .filter(
      (one) =>
        one.storage === archive.storage && one.vmid === archive.vmid && one.type === archive.type && !one.protected,
    )
    .toSorted((a, b) => b.takenAt - a.takenAt);
  const old = own.slice(Number(keep)).toReversed();
  const plugin = storageAt(state, archive.node, archive.storage)?.plugin ?? 'dir';
  for (const one of old) {
    task.log(`INFO: removing backup '${archiveVolid(one, plugin)}'`);
    removeArchive(state, one);
  }
  task.log(`INFO: pruned ${old.length} backup(s) not covered by keep-retention policy`);
}

/** GET …/vzdump/extractconfig: the configuration that an archive holds, as a file. */
export function extractConfig(call: Call): string {
  const volid = String(call.parameters.volume);
  if (!volid.includes(':')) {
    throw new ApiFailure(
      500,
      'Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.',
    );
  }
  const archive = archiveAt(call.state, nodeOf(call), volid);
  if (!archive) throw new ApiFailure(500, `volume '${volid}' does not exist`);
  return readArchive(call.state, archive).text;
}

/** GET …/vzdump/defaults */
export function backupDefaults({ parameters }: Call): Record<string, unknown> {
  return {
    remove: 1,
    quiet: 0,
    stop: 0,
    zstd: 1,
    all: 0,
    stdexcludes: 1,
    bwlimit: 0,
    ionice: 7,
    mailnotification: 'always',
    performance: { 'pbs-entries-max': 1_048_576, 'max-workers': 16 },
    stopwait: 10,
    lockwait: 180,
    dumpdir: '/var/lib/vz/dump',
    fleecing: { enabled: 0 },
    compress: '0',
    mode: 'snapshot',
    'prune-backups': 'keep-all=1',
    'notification-mode': 'auto',
    storage: String(parameters.storage ?? 'local'),
    pigz: 0,
  };
}
