import { z } from 'zod';
import { findGuest } from '../../proxmox/find-guests.ts';
import { timeframes } from '../../proxmox/metrics.ts';
import { guestSections, readGuest } from '../../proxmox/read-guest.ts';
import { quoteNotice } from '../../reports/quote.ts';
import { guestName } from '../../runs/name-guest.ts';
import { defineTool } from '../define-tool.ts';
import { boundedOutput } from '../host-text.ts';
import { withoutEmptyTables } from '../reading-text.ts';

/** One guest, asked of its cluster's API while the caller waits. */
export const getGuestTool = defineTool({
  name: 'get_guest',
  title: 'Get guest',
  description:
    "One guest (VM or container) now: state, node, CPU, memory, and what include asks for: configuration (hardware, network), changes pending a restart, snapshots, backups, IP addresses (of its agent, or the container's own), metrics over time, firewall, last tasks.",
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.object({
    guest: guestName(),
    host: z.string().min(1).max(63).optional().describe('Where several clusters have such a guest'),
    include: z.array(z.enum(guestSections)).max(guestSections.length).default(['config']),
    timeframe: z.enum(timeframes).default('hour').describe('Of metrics'),
  }),
  async handler({ guest, host, include, timeframe }, { reads }, { signal }) {
    const listed = await findGuest(reads.inventory, { guest, host }, { signal });
    const { guest: now, parts } = await readGuest(reads.apis, listed, { include, timeframe }, { signal });
    return { data: { note: quoteNotice, ...boundedOutput(withoutEmptyTables({ ...now, ...parts })) } };
  },
});
