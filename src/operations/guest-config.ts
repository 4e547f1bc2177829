import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal } from './api-change.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// What several declared operations read of a guest.

/** A guest's configuration, key by key as the API has it; numbers become text. */
export const guestConfig = () =>
  z.record(z.string(), z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]).catch(''));

export type GuestConfig = z.output<ReturnType<typeof guestConfig>>;

export function readConfig(guest: GuestPlace): ApiRead<ReturnType<typeof guestConfig>> {
  return apiRead({ ...guestPath(guest, '/config'), schema: guestConfig() });
}

const state = () =>
  z.object({
    status: z.enum(['running', 'stopped']),
    qmpstatus: z.string().optional(),
    lock: z.string().optional(),
    template: z.union([z.number(), z.boolean(), z.string()]).transform(Number).optional(),
    ha: z.object({ managed: z.union([z.number(), z.boolean(), z.string()]).transform(Number) }).optional(),
  });

export type GuestState = z.output<ReturnType<typeof state>>;

export function readState(guest: GuestPlace): ApiRead<ReturnType<typeof state>> {
  return apiRead({ ...guestPath(guest, '/status/current'), schema: state() });
}

/** The same where it may not be there: `absent`. */
export function readStateOr(guest: GuestPlace) {
  return apiRead({
    ...guestPath(guest, '/status/current'),
    schema: z.object({ status: z.enum(['running', 'stopped', 'absent']) }),
    absent: { status: 'absent' },
  });
}

const snapshots = () =>
  z.array(
    z.object({
      name: z.string(),
      parent: z.string().optional(),
      description: z.string().optional(),
      snaptime: z.number().optional(),
      vmstate: z.union([z.number(), z.boolean(), z.string()]).transform(Number).optional(),
    }),
  );

export type GuestSnapshots = z.output<ReturnType<typeof snapshots>>;

/** The one named `current` is the guest as it is now. */
export function readSnapshots(guest: GuestPlace): ApiRead<ReturnType<typeof snapshots>> {
  return apiRead({ ...guestPath(guest, '/snapshot'), schema: snapshots() });
}

/** `the VM 100 (mail) on pve1`, in the middle of a sentence. */
export function theGuest(guest: GuestPlace): string {
  return `the ${guestLabel(guest)} on ${guest.node}`;
}

/** The same at its start. */
export function TheGuest(guest: GuestPlace): string {
  return `T${theGuest(guest).slice(1)}`;
}

/** Proxmox would find out only in the task, or after it has changed something. */
export function refuseLocked(guest: GuestPlace, { lock }: Pick<GuestState, 'lock'>): Refusal | undefined {
  if (lock === undefined) return undefined;
  return {
    refused: {
      code: 'proxmox-locked',
      message: `${TheGuest(guest)} is locked (${lock}), so nothing was done to it`,
      remedy:
        'Wait until its backup, migration or snapshot has ended; if none runs any more, an administrator unlocks it on the node (qm unlock, pct unlock).',
    },
  };
}

/** A call on a guest: `*`s of the rest of the template are filled with the further values. */
export function guestPath({ node, type, vmid }: GuestPlace, rest: string, ...values: readonly string[]) {
  return { template: `/nodes/*/${type}/*${rest}`, values: [node, String(vmid), ...values] };
}

/** A task that works on a guest; `types` of a VM and of a container. */
export function guestTask({ node, type, vmid }: GuestPlace, types: { readonly qemu: string; readonly lxc: string }) {
  return { node, id: String(vmid), types: [types[type]] };
}
