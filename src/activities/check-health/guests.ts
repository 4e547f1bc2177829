import type { Finding } from '../../operations/finding.ts';
import { guestLabel } from '../../operations/target.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import type { ProxmoxNodeGuest } from '../../proxmox/schemas.ts';
import { cleanLine } from '../../reports/clean.ts';
import { finding } from './finding.ts';
import { guestsAsked } from './limits.ts';

/** A guest of the host's own node. */
export interface NodeGuest {
  readonly type: 'qemu' | 'lxc';
  readonly vmid: number;
  /** As people are told of it: `VM 100 (files)`. */
  readonly label: string;
  readonly isRunning: boolean;
  readonly isTemplate: boolean;
  readonly lock?: string;
}

export interface GuestSetting {
  readonly onboot: boolean;
  readonly lock?: string | undefined;
}

/** The guests of the host's own node, by number. */
export async function readGuests(reader: ProxmoxReader): Promise<readonly NodeGuest[]> {
  const [machines, containers] = await Promise.all([reader.read('machines'), reader.read('containers')]);
  return [...machines.map((one) => nodeGuest('qemu', one)), ...containers.map((one) => nodeGuest('lxc', one))].sort(
    (a, b) => a.vmid - b.vmid,
  );
}

function nodeGuest(type: 'qemu' | 'lxc', { vmid, name, status, template, lock }: ProxmoxNodeGuest): NodeGuest {
  const shown = cleanLine(name ?? '', 100) || String(vmid);
  return {
    type,
    vmid,
    label: guestLabel({ kind: 'guest', cluster: '', node: '', type, vmid, name: shown }),
    isRunning: status === 'running',
    isTemplate: template ?? false,
    ...(lock !== undefined && lock !== '' && { lock: cleanLine(lock, 40) }),
  };
}

/** Guests that should run with their host and don't, and those that a lock keeps from being started or backed up. */
export async function inspectGuests(reader: ProxmoxReader): Promise<readonly Finding[]> {
  const guests = await readGuests(reader);
  // Only of those that are off it matters whether they should be.
  const asked = guests.filter(({ isRunning, isTemplate }) => !isRunning && !isTemplate).slice(0, guestsAsked);
  const settings = new Map<number, GuestSetting>();
  const rest = [...asked];
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let guest = rest.shift(); guest !== undefined; guest = rest.shift()) {
        const read = guest.type === 'qemu' ? 'machine-config' : 'container-config';
        settings.set(guest.vmid, await reader.read(read, String(guest.vmid)));
      }
    }),
  );
  return judgeGuests(reader, guests, settings);
}

/** @param settings of the guests that are off */
export function judgeGuests(
  { host, way }: Pick<ProxmoxReader, 'host' | 'way'>,
  guests: readonly NodeGuest[],
  settings: ReadonlyMap<number, GuestSetting>,
): readonly Finding[] {
  const own = guests.filter(({ isTemplate }) => !isTemplate);
  if (own.length === 0) {
    const shown = way === 'api' ? ' that the API token may see' : '';
    return [finding('Guests', 'skipped', `There are no guests on this node${shown}.`)];
  }
  const off = own.filter(({ vmid, isRunning }) => !isRunning && settings.get(vmid)?.onboot === true);
  const down = off.map((guest) =>
    finding(guest.label, 'failed', `${guest.label} should run with its host, and is stopped.`, {
      remedy: `Start it: npx proxmox-mcp control-guest --host ${host} --vmid ${guest.vmid} --action start. If it is to stay off, run on the host: ${guest.type === 'qemu' ? 'qm' : 'pct'} set ${guest.vmid} --onboot 0`,
    }),
  );
  const locked = own.flatMap((guest) => {
    const lock = guest.lock ?? cleanLine(settings.get(guest.vmid)?.lock ?? '', 40);
    if (lock === '') return [];
    const tool = guest.type === 'qemu' ? 'qm' : 'pct';
    return [
      finding(guest.label, 'warning', `${guest.label} is locked (${lock}), so it can't be changed or backed up.`, {
        remedy: `If nothing of that is at work any more (see the node's tasks), run on the host: ${tool} unlock ${guest.vmid}`,
      }),
    ];
  });
  const running = own.filter(({ isRunning }) => isRunning).length;
  const stopped = own.length - running;
  const counts = `${running} of ${own.length} guests run${stopped - off.length > 0 ? `; ${stopped - off.length} are off and not started with the host` : ''}.`;
  return [...down, ...locked, ...(off.length === 0 ? [finding('Guests', 'ok', counts)] : [])];
}
