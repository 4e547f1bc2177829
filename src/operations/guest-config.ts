import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal, refuse, runMark } from './api-change.ts';
import { some } from './said.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// What several declared operations read of a guest.

/** Enough of a guest's place for a call. */
type Address = Pick<GuestPlace, 'node' | 'type' | 'vmid'>;

/** A guest's configuration, key by key as the API has it; numbers become text. */
export const guestConfig = () =>
  z.record(z.string(), z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]).catch(''));

export type GuestConfig = z.output<ReturnType<typeof guestConfig>>;

export function readConfig(guest: Address): ApiRead<ReturnType<typeof guestConfig>> {
  return apiRead({ ...guestPath(guest, '/config'), schema: guestConfig() });
}

/** As it runs, and as a backup of it has it: without what takes effect at its next start. */
export function readConfigAsItRuns(guest: Address): ApiRead<ReturnType<typeof guestConfig>> {
  return apiRead({ ...guestPath(guest, '/config'), parameters: { current: true }, schema: guestConfig() });
}

/** Of a guest that may be gone: then it has none. */
export function readConfigIfAny(guest: Address): ApiRead<ReturnType<typeof guestConfig>> {
  return { ...readConfig(guest), absent: {} };
}

const state = () =>
  z.object({
    status: z.enum(['running', 'stopped']),
    qmpstatus: z.string().optional(),
    lock: z.string().optional(),
    // They tell a guest that was stopped and started from one that ran on.
    pid: z.number().optional(),
    uptime: z.number().optional(),
    template: z.union([z.number(), z.boolean(), z.string()]).transform(Number).optional(),
    ha: z.object({ managed: z.union([z.number(), z.boolean(), z.string()]).transform(Number) }).optional(),
  });

export type GuestState = z.output<ReturnType<typeof state>>;

export function readState(guest: Address): ApiRead<ReturnType<typeof state>> {
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

/** A guest's state in a word or three: a VM that is paused counts as running, and one suspended to disk as stopped. */
export function powerState({ status, qmpstatus, lock }: GuestState): string {
  if (lock === 'suspended') return 'suspended to disk';
  return status === 'running' && qmpstatus === 'paused' ? 'paused' : status;
}

/** Of a guest that may be gone: then it is off. */
export function readStateIfAny(guest: Address): ApiRead<ReturnType<typeof state>> {
  return { ...readState(guest), absent: { status: 'stopped' } };
}

/** The one named `current` is the guest as it is now. */
export function readSnapshots(guest: Address): ApiRead<ReturnType<typeof snapshots>> {
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
  return refuse(
    'proxmox-locked',
    `${TheGuest(guest)} is locked (${lock}), so nothing was done to it`,
    'Wait until its backup, migration or snapshot has ended; if none runs any more, an administrator unlocks it on the node (qm unlock, pct unlock).',
  );
}

/** Where the HA stack decides what runs, what is done beside it is undone by it. */
export function refuseManaged(guest: GuestPlace, { ha }: Pick<GuestState, 'ha'>, what: string): Refusal | undefined {
  if (ha?.managed !== 1) return undefined;
  return refuse(
    'conflict',
    `${TheGuest(guest)} is managed by the HA stack, which would not let it be ${what}`,
    'Take it out of HA first (change-ha), then start this again.',
  );
}

/** Another one of the guest's options, snapshots or disks than there is. */
export function refuseMissing(what: string, field: string, known: readonly string[]): Refusal {
  return refuse(
    'not-found',
    `There is no ${what}, and nothing was done`,
    known.length === 0 ? 'There is none at all.' : `There are: ${some(known, 20)}.`,
    field,
  );
}

/** A call on a guest: `*`s of the rest of the template are filled with the further values. */
export function guestPath({ node, type, vmid }: Address, rest: string, ...values: readonly string[]) {
  return { template: `/nodes/*/${type}/*${rest}`, values: [node, String(vmid), ...values] };
}

/** A task that works on a guest; `types` of a VM and of a container. */
export function guestTask({ node, type, vmid }: Address, types: { readonly qemu: string; readonly lxc: string }) {
  return { node, id: String(vmid), types: [types[type]] };
}

/** A description that names the run that has made the thing. */
export function marked(description: string): string {
  return `${description.trimEnd()}${description.trim() === '' ? '' : '\n'}Proxmox MCP: ${runMark}`;
}

/** The run that has made it, by its description; nothing where no run has, or it isn't the name of one. */
export function madeBy(description: string | undefined): string | undefined {
  return /^Proxmox MCP: ([a-z0-9][\w./:@,-]{0,299})$/m.exec(description ?? '')?.[1];
}

/** Without the line by which a run has marked the source itself; Proxmox takes 8 KiB. */
export function withoutMark(description: string): string {
  return description.replace(/^Proxmox MCP: .*$\n?/gm, '').slice(0, 7_800);
}
