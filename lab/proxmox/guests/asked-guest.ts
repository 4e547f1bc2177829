import { ApiFailure, forbidden, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import type { Caller, SimulatedGuest } from '../state.ts';

export type GuestType = SimulatedGuest['type'];

/** What differs between `qm` and `pct` beside what they do. */
export const words = {
  qemu: { prefix: 'qm', name: 'VM', folder: 'qemu-server' },
  lxc: { prefix: 'vz', name: 'CT', folder: 'lxc' },
} as const;

/** The HA stack and what follows a reboot act as this one. */
export const root: Caller = { id: 'root@pam', user: 'root@pam' };

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
