import { z } from 'zod';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { momentOf } from '../../moment.ts';
import { hostName } from '../../operations/inputs.ts';
import { timeframes } from '../../proxmox/metrics.ts';
import { hostSubjects, readHost } from '../../proxmox/read-host.ts';
import type { NodeFacts } from '../../proxmox/reads.ts';
import { contents } from '../../proxmox/storage-reads.ts';
import { cleanLine } from '../../reports/clean.ts';
import { quoteNotice } from '../../reports/quote.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { limits } from '../host-text.ts';
import { answerOf } from '../reading-text.ts';

/** A configured host as clients may see it: no users, key paths or tokens. */
function publicHost(config: HostConfig) {
  const address = config.ssh?.host ?? config.api?.host;
  return {
    name: config.name,
    reachedBy: [
      ...(config.ssh === undefined ? [] : ['ssh' as const]),
      ...(config.local === undefined ? [] : ['local' as const]),
      ...(config.api === undefined ? [] : ['proxmox-api' as const]),
    ],
    ...(address === undefined || config.local !== undefined ? {} : { address }),
    installation: config.layout.installation,
    timeZone: config.timeZone,
  };
}

const text = () => z.string().min(1).max(100).optional();

const listHosts = defineTool({
  name: 'list_hosts',
  title: 'List hosts',
  description:
    'Hosts: the configured Proxmox VE hosts (nodes, servers), with how each is reached, its address and time zone. Their names are what the other tools take as host. Reads only the configuration; get_host asks the host itself.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({}),
  async handler(_input, { config }) {
    return { data: { hosts: config.hosts.map(publicHost) } };
  },
});

const getHost = defineTool({
  name: 'get_host',
  title: 'Get host',
  description:
    "A host's node or its cluster now, read from its API. status: is it up, version, uptime, CPU, load, memory, disk space of root (bytes, cpu 0 to 1), and how it is configured here; what gives other subjects: volumes are storage contents (backups, ISOs, templates, disks), rights what the API token may do and lacks. Verdicts: check_health.",
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.object({
    host: hostName(),
    what: z.enum(['status', ...hostSubjects]).default('status'),
    node: text().describe('Another node of its cluster'),
    of: z
      .string()
      .min(1)
      .max(300)
      .optional()
      .describe(
        'journal: text in a line; disks: device (SMART); volumes: storage; tasks: type; task_log: UPID; pools: pool',
      ),
    content: z.enum(contents).optional(),
    vmid: z.int().min(100).max(999_999_999).optional().describe('Of volumes, tasks'),
    errors: z.boolean().optional().describe('Only failed tasks'),
    since: text().describe('tasks, journal: 2h, yesterday, 2026-11-25 02:00'),
    timeframe: z.enum(timeframes).optional().describe('metrics'),
    limit: z.int().min(1).max(500).default(50),
    cursor: z.string().max(500).optional(),
  }),
  async handler({ host: name, what, since, ...rest }, { config, reads }, { signal }) {
    const found = config.hosts.find((candidate) => candidate.name === name);
    if (found === undefined) {
      throw new ServiceError({
        code: 'not-found',
        message: `There is no host "${name}"`,
        remedy: `The configured hosts are ${config.hosts.map((one) => one.name).join(', ') || 'none'}.`,
        details: { field: 'host' },
      });
    }
    if (what !== 'status') {
      const request = { ...rest, what, since: since === undefined ? undefined : secondsOf(since, found.timeZone) };
      return answerOf(await readHost(reads.apis, name, request, { signal }), { host: name, what });
    }
    const node = await reads.node(name, signal);
    if (node === undefined) return { data: publicHost(found) };
    return { data: { note: quoteNotice, ...publicHost(found), node: shown(node) } };
  },
});

/** As the API has it. */
function secondsOf(since: string, timeZone: string): number {
  return Math.floor(Date.parse(momentOf(since, 'since', timeZone)) / 1_000);
}

/** What its API said, in the length that an honest one has. */
function shown(node: NodeFacts): NodeFacts {
  return {
    ...node,
    node: cleanLine(node.node, limits.name),
    version: cleanLine(node.version, limits.name),
    loadAverage: node.loadAverage.slice(0, 3),
  };
}

/** The tools that look at hosts without starting a run. */
export const hostTools: readonly AnyTool[] = [listHosts, getHost];
