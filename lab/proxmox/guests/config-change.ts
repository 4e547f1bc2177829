import { ApiFailure, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import { schemaMethod } from '../schema.ts';
import type { SimulatedGuest } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { atOnce, type GuestType, guestAt, listOf, refuseRootOnly } from './asked-guest.ts';
import {
  type ConfigValue,
  digestOf,
  type GuestConfig,
  isCdrom,
  isDiskOption,
  readConfig,
  setOption,
} from './configuration.ts';
import { checkDisks, detach, normalized, realizeDisk } from './disks.ts';
import { assertUnlocked, assertWritable, guestTask, takeTime } from './guest-tasks.ts';
import { requireOptionRights } from './option-rights.ts';
import { parseProperties } from './volumes.ts';

/** Parameters that say how, and not what. */
const aboutTheCall = new Set([
  'node',
  'vmid',
  'digest',
  'delete',
  'revert',
  'skiplock',
  'force',
  'background_delay',
  'import-working-storage',
]);
/** What a running guest takes over at once. */
const atOnceOf: Readonly<Record<GuestType, RegExp>> = {
  qemu: /^(description|hookscript|lock|migrate_downtime|migrate_speed|name|onboot|protection|shares|startup|tags|vmstatestorage|template|parent|vmstate|balloon|cpulimit|cpuunits|affinity|net\d+|scsi\d+|virtio\d+|unused\d+)$/,
  lxc: /^(description|onboot|startup|protection|hostname|hookscript|cores|tags|lock|template|parent|memory|swap|cpulimit|cpuunits|net\d+|mp\d+|unused\d+)$/,
};
const required: Readonly<Record<GuestType, readonly string[]>> = { qemu: [], lxc: ['rootfs'] };

/** The configuration as GET shows it: with what is pending, unless only what is true now is asked for. */
export function showConfig(call: Call, type: GuestType): Record<string, unknown> {
  const guest = guestAt(call, type);
  const { current, snapshot } = call.parameters;
  const digest = digestOf(guest);
  if (snapshot !== undefined) {
    const one = guest.snapshots?.find(({ name }) => name === snapshot);
    if (!one) throw new ApiFailure(500, `snapshot '${snapshot}' does not exist`);
    return { ...snapshotConfig(one, type), digest };
  }
  const config: Record<string, ConfigValue> = { ...readConfig(guest) };
  if (!current) {
    for (const [option, value] of Object.entries(guest.pending ?? {})) {
      if (value === null) delete config[option];
      else config[option] = value;
    }
  }
  return { ...withRawLines(masked(config)), digest };
}

/** A container's `lxc.*` lines are shown as one list. */
function withRawLines(config: GuestConfig): Record<string, unknown> {
  const raw = Object.entries(config).filter(([option]) => option.startsWith('lxc.'));
  if (raw.length === 0) return config;
  const rest = Object.entries(config).filter(([option]) => !option.startsWith('lxc.'));
  return { ...Object.fromEntries(rest), lxc: raw.map(([option, value]) => [option, String(value)]) };
}

/** A snapshot's own configuration, as it is read alone. */
export function snapshotConfig(
  { config, snaptime, description, parent, vmstate }: NonNullable<SimulatedGuest['snapshots']>[number],
  type: GuestType,
): Record<string, unknown> {
  const said = type === 'lxc' && description !== '' && !description.endsWith('\n') ? `${description}\n` : description;
  return {
    ...masked(config),
    snaptime,
    ...(said === '' ? {} : { description: said }),
    ...(parent === undefined ? {} : { parent }),
    ...(vmstate === undefined ? {} : { vmstate, runningmachine: 'pc-i440fx-10.0+pve1' }),
  };
}

function masked(config: GuestConfig): GuestConfig {
  return config.cipassword === undefined ? config : { ...config, cipassword: '**********' };
}

/** Each option with what it is, and what it will be. */
export function showPending(call: Call, type: GuestType): Record<string, unknown>[] {
  const guest = guestAt(call, type);
  const now = masked(readConfig(guest));
  const pending = guest.pending ?? {};
  const options = new Set([...Object.keys(now), ...Object.keys(pending)]);
  const entries = [...options].map((key) => {
    const next = pending[key];
    return {
      key,
      ...(now[key] === undefined ? {} : { value: now[key] }),
      ...(next === undefined
        ? {}
        : next === null
          ? { delete: 1 }
          : { pending: key === 'cipassword' ? '**********' : next }),
    };
  });
  return [...entries, { key: 'digest', value: digestOf(guest) }];
}

interface Change {
  readonly guest: SimulatedGuest;
  readonly set: Readonly<Record<string, ConfigValue>>;
  readonly remove: readonly string[];
  readonly revert: readonly string[];
  readonly force: boolean;
}

/** PUT …/config: everything is done when the answer comes. */
export function changeConfig(call: Call, type: GuestType): null {
  const change = atOnce(() => asked(call, type));
  atOnce(() => {
    assertChangeable(call, change);
    apply(call, change, () => undefined);
  });
  return null;
}

/** POST …/config of a VM: the same in a task. */
export function changeConfigInTask(call: Call): string {
  const change = atOnce(() => asked(call, 'qemu'));
  atOnce(() => assertChangeable(call, change));
  const { guest, set, remove } = change;
  const shown = [
    ...Object.entries(set).map(([option, value]) => `-${option} ${option === 'cipassword' ? '<hidden>' : value}`),
    ...(remove.length === 0 ? [] : [`-delete ${remove.join(',')}`]),
  ];
  return guestTask(call, guest, 'qmconfig', async (task: TaskHandle) => {
    task.log(`update VM ${guest.vmid}: ${shown.join(' ')}`);
    await takeTime(guest, task, 'qmconfig', 1);
    assertChangeable(call, change);
    apply(call, change, task.log);
  });
}

function asked(call: Call, type: GuestType): Change {
  const { parameters, state } = call;
  refuseRootOnly(call, ['skiplock']);
  const set = Object.fromEntries(Object.entries(parameters).filter(([name]) => !aboutTheCall.has(name)));
  const remove = listOf(parameters.delete);
  const revert = listOf(parameters.revert);
  if (Object.keys(set).length + remove.length + revert.length === 0) throw new Error('no options specified');
  for (const [list, name] of [
    [remove, 'delete'],
    [revert, 'revert'],
  ] as const) {
    const unknown = list.find((option) => !isKnownOption(type, option));
    if (unknown !== undefined) throw invalidParameters({ [name]: `unknown option '${unknown}'` });
  }
  const needed = required[type].find((option) => remove.includes(option));
  if (needed !== undefined) throw new Error(`unable to delete required option '${needed}'`);
  const vmid = Number(parameters.vmid);
  const options = [...Object.entries(set), ...[...remove, ...revert].map((option) => [option, ''] as const)];
  const guest = guestAt(call, type);
  requireOptionRights(
    call,
    type,
    vmid,
    options.map(([option, value]) => [option, String(value)]),
  );
  checkDisks(call, guest, set);
  if (state.guests.get(vmid)?.ha && remove.includes('template'))
    throw new Error('unable to remove template of an HA resource');
  return { guest, set, remove, revert, force: Boolean(parameters.force) };
}

function isKnownOption(type: GuestType, option: string): boolean {
  if (option === 'lock' || option === 'template') return true;
  const known = schemaMethod('PUT', `/nodes/{node}/${type}/{vmid}/config`)?.parameters ?? {};
  return (
    !aboutTheCall.has(option) && (Object.hasOwn(known, option) || Object.hasOwn(known, option.replace(/\d+$/, '[n]')))
  );
}

function assertChangeable({ state, parameters }: Call, { guest, remove }: Change): void {
  const { digest } = parameters;
  if (digest !== undefined && digest !== digestOf(guest)) {
    throw new Error(
      guest.type === 'qemu'
        ? 'checksum mismatch (file change by other user?)'
        : 'detected modified configuration - file changed by other user? Try again.',
    );
  }
  if (!(parameters.skiplock && remove.includes('lock'))) assertUnlocked(guest);
  assertWritable(state, guest);
}

function apply(call: Call, { guest, set, remove, revert, force }: Change, log: (line: string) => void): void {
  const isRunning = guest.status === 'running';
  const pending: Record<string, ConfigValue | null> = { ...guest.pending };
  for (const option of revert) delete pending[option];
  for (const option of remove) {
    const isSet = readConfig(guest)[option] !== undefined;
    delete pending[option];
    if (!isSet) continue;
    if (isRunning && !takesEffectAtOnce(guest, option, '')) pending[option] = null;
    else removeOption(call, guest, option, force, log);
  }
  for (const [option, given] of Object.entries(set)) {
    const value = isDiskOption(guest.type, option)
      ? realizeDisk(call, guest, option, String(given), log)
      : normalized(guest.type, option, given);
    const former = readConfig(guest)[option];
    delete pending[option];
    if (former === value) continue;
    if (isRunning && !takesEffectAtOnce(guest, option, String(value))) {
      pending[option] = value;
      continue;
    }
    if (former !== undefined && isDiskOption(guest.type, option) && !sameVolume(String(former), String(value))) {
      removeOption(call, guest, option, false, log);
    }
    setOption(guest, option, value);
  }
  forgetUsed(guest);
  if (Object.keys(pending).length > 0) guest.pending = pending;
  else delete guest.pending;
}

/** A volume that is in use again is no unused one any more. */
function forgetUsed(guest: SimulatedGuest): void {
  const entries = Object.entries(guest.config ?? {}).filter(([option]) => isDiskOption(guest.type, option));
  const volumeOf = (value: ConfigValue) => parseProperties(String(value)).first;
  const used = new Set(entries.flatMap(([option, value]) => (option.startsWith('unused') ? [] : [volumeOf(value)])));
  for (const [option, value] of entries) {
    if (option.startsWith('unused') && used.has(volumeOf(value))) setOption(guest, option, null);
  }
}

function removeOption(
  call: Call,
  guest: SimulatedGuest,
  option: string,
  force: boolean,
  log: (line: string) => void,
): void {
  if (isDiskOption(guest.type, option)) detach(call, guest, guest.config ?? {}, option, force, log);
  else setOption(guest, option, null);
}

function sameVolume(one: string, other: string): boolean {
  return parseProperties(one).first === parseProperties(other).first;
}

function takesEffectAtOnce(guest: SimulatedGuest, option: string, value: string): boolean {
  if (guest.type === 'qemu' && /^(ide|sata|scsi)\d+$/.test(option)) {
    const present = String(guest.config?.[option] ?? '');
    // A disc is changed in its drive; the drive itself isn't.
    if (isCdrom(present) && isCdrom(value)) return true;
    if (/^(ide|sata)\d+$/.test(option)) return false;
  }
  const hotplug = String(guest.config?.hotplug ?? 'network,disk,usb');
  if (guest.type === 'qemu' && /^net\d+$/.test(option)) return /network|^1$/.test(hotplug);
  if (guest.type === 'qemu' && /^(scsi|virtio)\d+$/.test(option)) return /disk|^1$/.test(hotplug);
  if (guest.type === 'qemu' && option === 'memory') return /memory/.test(hotplug);
  return atOnceOf[guest.type].test(option);
}
