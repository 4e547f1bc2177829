import { forbidden, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import type { GuestType } from './asked-guest.ts';
import { type ConfigValue, type GuestConfig, isCdrom, isCloudInit, isDiskOption } from './configuration.ts';
import {
  allocate,
  formatSize,
  free,
  newMac,
  parseProperties,
  parseSize,
  printProperties,
  type SimulatedVolume,
  storageAt,
  storageOf,
  usableStorage,
  volumeAt,
} from './volumes.ts';

const gibibyte = 2 ** 30;
const cloudInitSize = 4 * 2 ** 20;
/** `local:32`: a new disk of so many GiB; `local:0,import-from=…`: of as many as the image has. */
const newDisk = /^([A-Za-z][\w.-]*):(\d+(?:\.\d+)?)$/;

type Log = (line: string) => void;
type Place = Pick<SimulatedGuest, 'vmid' | 'type' | 'node'>;

/** What can be said against disks before anything is done: storages that aren't there, volumes that don't exist. */
export function checkDisks(
  call: Pick<Call, 'state' | 'permissions' | 'caller'>,
  place: Place,
  values: Readonly<Record<string, ConfigValue>>,
): void {
  const { state, permissions, caller } = call;
  for (const [option, given] of Object.entries(values)) {
    if (!isDiskOption(place.type, option)) continue;
    const { first, rest } = parseProperties(String(given));
    if (first === 'none' || first === 'cdrom') continue;
    if (first.startsWith('/')) {
      if (caller.id !== 'root@pam') throw forbidden();
      continue;
    }
    if (!first.includes(':')) {
      const problem = `unable to parse volume ID '${first}'`;
      throw invalidParameters({
        [option]: `invalid format - format error\n${option}.file: invalid format - ${problem}\n\n`,
      });
    }
    const storage = storageOf(first);
    const makes = newDisk.test(first) || /:cloudinit$/.test(first);
    usableStorage(state, place.node, storage);
    const needed = makes
      ? ['Datastore.AllocateSpace']
      : ['Datastore.AllocateSpace', 'Datastore.Audit', 'Datastore.Allocate'];
    if (!permissions.has(`/storage/${storage}`, ...needed)) throw forbidden(`/storage/${storage}`, [needed[0] ?? '']);
    const source = rest['import-from'];
    if (source !== undefined && !volumeAt(state, place.node, source))
      throw new Error(`volume '${source}' does not exist`);
    if (!makes && !volumeAt(state, place.node, first)) throw new Error(`volume '${first}' does not exist`);
  }
}

/** Makes what a disk's value asks for, and gives the value that is kept in the configuration. */
export function realizeDisk(call: Pick<Call, 'state'>, place: Place, option: string, given: string, log: Log): string {
  const { state } = call;
  const { first, rest } = parseProperties(given);
  if (first === 'none' || first === 'cdrom' || first.startsWith('/')) return given;
  if (/:cloudinit$/.test(first)) return cloudInitDrive(call, place, storageOf(first), log);
  const [, storage, gibibytes] = newDisk.exec(first) ?? [];
  const { format, size: _, 'import-from': source, ...kept } = rest;
  if (storage === undefined || gibibytes === undefined) {
    const volume = volumeAt(state, place.node, first);
    if (!volume) throw new Error(`volume '${first}' does not exist`);
    return printProperties({ first, rest: { ...kept, size: formatSize(volume.size) } });
  }
  const origin = source === undefined ? undefined : volumeAt(state, place.node, source);
  if (source !== undefined && !origin) throw new Error(`volume '${source}' does not exist`);
  const size = virtualSize(origin) ?? fixedSize(option) ?? Math.round(Number(gibibytes) * gibibyte);
  if (origin) log(`importing disk '${source}' to VM ${place.vmid} ...`);
  const { vmid, type, node } = place;
  const volume = allocate(
    state,
    { node, vmid, type, storage, size, format, ...(origin ? { used: origin.used } : {}) },
    log,
  );
  if (origin) log(`transferred ${formatSize(size)} of ${formatSize(size)} (100.00%)`);
  const value = printProperties({ first: volume.volid, rest: { ...kept, size: formatSize(size) } });
  if (type === 'qemu') log(`${option}: successfully created disk '${value}'`);
  return value;
}

/** An image of a cloud is a small file of a disk with some room. */
function virtualSize(origin: SimulatedVolume | undefined): number | undefined {
  if (origin?.content !== 'import') return origin?.size;
  return Math.max(3, Math.ceil(origin.size / gibibyte)) * gibibyte;
}

/** Those of firmware have the size that it needs. */
function fixedSize(option: string): number | undefined {
  if (option === 'efidisk0') return 528 * 1024;
  return option === 'tpmstate0' ? 4 * 2 ** 20 : undefined;
}

/** The drive with what cloud-init reads; of one guest there is one name for it. */
function cloudInitDrive(
  { state }: Pick<Call, 'state'>,
  { node, vmid, type }: Place,
  storage: string,
  log: Log,
): string {
  const isFile = !['zfspool', 'lvm', 'lvmthin', 'rbd'].includes(storageAt(state, node, storage)?.plugin ?? '');
  const format = isFile ? 'qcow2' : undefined;
  const volume = allocate(state, { node, vmid, type, storage, size: cloudInitSize, format, role: 'cloudinit' }, log);
  return `${volume.volid},media=cdrom,size=4M`;
}

/** A value as the configuration keeps it: a network card gets an address, a note of a container a line's end. */
export function normalized(type: GuestType, option: string, value: ConfigValue): ConfigValue {
  const text = String(value);
  if (/^net\d+$/.test(option)) return type === 'qemu' ? machineCard(text) : containerCard(text);
  if (option === 'description' && type === 'lxc' && !text.endsWith('\n')) return `${text}\n`;
  if (option === 'cipassword') return `$5$simulated$${Buffer.from(text).toString('base64url').slice(0, 43)}`;
  if (option === 'tags')
    return text
      .split(/[\s,;]+/)
      .filter(Boolean)
      .join(';');
  return value;
}

function machineCard(text: string): string {
  const { first, rest } = parseProperties(text);
  // The model is a name with the address as its value, or stands alone.
  const models = ['virtio', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3', 'ne2k_pci', 'i82551', 'pcnet'];
  const named = models.find((model) => model in rest);
  const { model = named ?? first, macaddr, ...more } = rest;
  const address = (named === undefined ? macaddr : rest[named]) ?? newMac();
  const others = Object.fromEntries(Object.entries(more).filter(([name]) => name !== named));
  return printProperties({ first: '', rest: { [model]: address, ...others } });
}

function containerCard(text: string): string {
  const { name = 'eth0', ...rest } = parseProperties(text).rest;
  const whole: Record<string, string> = { hwaddr: newMac(), type: 'veth', ...rest };
  const sorted = Object.fromEntries(Object.entries(whole).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return printProperties({ first: '', rest: { name, ...sorted } });
}

/** Takes a disk off a guest: what it held stays as `unused0`, a CD drive is just gone. */
export function detach(
  { state }: Pick<Call, 'state'>,
  guest: SimulatedGuest,
  config: GuestConfig,
  option: string,
  force: boolean,
  log: Log = () => undefined,
): void {
  const value = config[option];
  if (value === undefined) return;
  const { first } = parseProperties(String(value));
  const volume = volumeAt(state, guest.node, first);
  delete config[option];
  if (isCdrom(String(value)) && !isCloudInit(String(value))) return;
  if (option.startsWith('unused') || force || isCloudInit(String(value))) {
    assertNoSnapshot(guest, first);
    if (volume?.vmid === guest.vmid) free(state, volume);
    return;
  }
  if (volume === undefined) return;
  const unused = freeOption(config, 'unused');
  config[unused] = first;
  log(`detached ${option} as ${unused}`);
}

function assertNoSnapshot({ snapshots = [] }: SimulatedGuest, volid: string): void {
  const holding = snapshots.find(({ config }) =>
    Object.values(config).some((value) => parseProperties(String(value)).first === volid),
  );
  if (holding) throw new Error(`unable to delete '${volid}' - volume is still in use (snapshot?)`);
}

/** The first number that nothing of the kind has: `unused1`, `scsi2`. */
export function freeOption(config: GuestConfig, kind: string): string {
  for (let number = 0; ; number += 1) if (!(`${kind}${number}` in config)) return `${kind}${number}`;
}

/** Sets what a disk's line says of its size, and the volume's own. */
export function setDiskSize(config: GuestConfig, option: string, volume: SimulatedVolume, bytes: number): void {
  const { first, rest } = parseProperties(String(config[option]));
  config[option] = printProperties({ first, rest: { ...rest, size: formatSize(bytes) } });
  volume.size = bytes;
}

/** The size that a line names. */
export function sizeOf(value: string): number {
  return parseSize(parseProperties(value).rest.size ?? '') ?? 0;
}
