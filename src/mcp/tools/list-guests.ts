import { z } from 'zod';
import { clusterNamed, guestOrders, listGuests, notesOf } from '../../proxmox/guest-list.ts';
import type { ListedGuest } from '../../proxmox/inventory.ts';
import { quoteNotice } from '../../reports/quote.ts';
import { defineTool } from '../define-tool.ts';
import { tableText, withoutEmptyTables } from '../reading-text.ts';

const text = () => z.string().min(1).max(100).optional();

/** The guests of all clusters, asked of their APIs while the caller waits. */
export const listGuestsTool = defineTool({
  name: 'list_guests',
  title: 'List guests',
  description:
    'Guests (VMs, virtual machines, containers, CTs) of all clusters now: what runs where, with state, CPU, memory, disk, uptime, tags, pool. Filters hold together. Sizes in units of 1024.',
  searchHint: 'what runs on which host, servers',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.object({
    host: text().describe('All of its cluster; or a cluster'),
    node: text().describe('Only those on it'),
    state: text().describe('running, stopped, paused, template …'),
    kind: z.enum(['vm', 'container']).optional(),
    tag: text(),
    pool: text(),
    name: text().describe('Part of it, or with * and ?'),
    sort: z.enum(guestOrders).default('vmid').describe('Else the largest first'),
    limit: z.int().min(1).max(2_000).default(100),
    cursor: z.string().max(500).optional(),
  }),
  async handler({ host, limit, cursor, sort, ...filter }, { config, reads }, { signal }) {
    const names = config.hosts.map(({ name }) => name);
    const isHost = host !== undefined && names.includes(host);
    const inventory = await reads.inventory.read({ signal, ...(isHost && { host }) });
    const cluster = host === undefined || isHost ? undefined : clusterNamed(inventory, host, names);
    const { summary, ...page } = listGuests(inventory, { ...filter, cluster }, { limit, cursor, sort });
    const notes = [...otherNodes(inventory.guests, host, filter.node), ...notesOf(inventory.clusters)];
    const next = page.cursor === undefined ? [] : ['There are more: cursor gives the next.'];
    const said = [`${summary}.`, ...notes, ...next];
    return {
      data: { note: [...said, quoteNotice].join(' '), ...withoutEmptyTables({ ...page }) },
      text: [...said, quoteNotice, tableText(page)].join('\n'),
    };
  },
});

/** Who asks what runs on a host that is a node means that node, and is told where an answer about its cluster has more. */
function otherNodes(
  guests: readonly ListedGuest[],
  host: string | undefined,
  node: string | undefined,
): readonly string[] {
  const here = guests.filter((guest) => guest.node === host);
  if (host === undefined || node !== undefined || here.length === 0 || here.length === guests.length) return [];
  return [`These are of all nodes of its cluster; node: ${host} leaves those on ${host}.`];
}
