import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal } from './api-change.ts';
import { type GuestState, TheGuest } from './guest-config.ts';
import type { GuestPlace } from './target.ts';

// Files in VMs, by the guest agent. Proxmox has no such thing for containers.

/** What is kept of a file in a run: more has no place in its history. */
export const mostBytes = 46_080;

/** A path in a guest: of Linux, or of Windows. */
export function guestFile() {
  return z
    .string()
    .max(1000)
    .regex(/^(\/|[A-Za-z]:[\\/])[^\0\r\n]*[^\0\r\n\\/]$/, 'expected the whole path of a file, e.g. /etc/hosts');
}

const file = () =>
  z
    .object({ content: z.string(), truncated: z.union([z.number(), z.boolean()]).transform(Boolean).optional() })
    .nullable();

/** The start of a file; null where there is none. One character for each byte. */
export function readGuestFile(
  guest: GuestPlace,
  path: string,
  count: number,
  offset = 0,
): ApiRead<ReturnType<typeof file>> {
  return apiRead({
    template: '/nodes/*/qemu/*/agent/file-read',
    values: [guest.node, String(guest.vmid)],
    parameters: { file: path, count, ...(offset > 0 && { offset }) },
    schema: file(),
    absent: null,
  });
}

/** Why the agent can't be asked; undefined: it may answer. */
export function refuseWithoutAgent(
  guest: GuestPlace,
  { status }: Pick<GuestState, 'status'>,
  config: Readonly<Record<string, string>>,
): Refusal | undefined {
  const refuse = (why: string, remedy: string): Refusal => ({
    refused: { code: 'conflict', message: `${TheGuest(guest)} ${why}, so nothing was done`, remedy },
  });
  if (guest.type === 'lxc') {
    return refuse(
      'is a container, and files go through the agent of VMs',
      'Use run-in-guest, or pct push and pct pull on its node.',
    );
  }
  if (status !== 'running') return refuse('does not run', 'Start it first (control-guest).');
  if (!/^(1|enabled=1)|,enabled=1/.test(config.agent ?? '')) {
    return refuse(
      'has no agent switched on',
      'Switch it on (configure-guest, set {"agent": "1"}), install qemu-guest-agent in it, then stop and start it.',
    );
  }
  return undefined;
}
