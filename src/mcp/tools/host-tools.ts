import { z } from 'zod';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { hostName } from '../../operations/inputs.ts';
import type { NodeFacts } from '../../proxmox/reads.ts';
import { cleanLine } from '../../reports/clean.ts';
import { quoteNotice } from '../../reports/quote.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { limits } from '../host-text.ts';

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
    'Host status now: is the node up, its Proxmox VE version, uptime, CPU, load, memory, disk space of root (sizes in bytes, cpu 0 to 1), read directly from its API; and how it is configured here. Without node where no Proxmox API is configured. Whether it is healthy, with verdicts, check_health finds out.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.object({ host: hostName() }),
  async handler({ host: name }, { config, reads }, { signal }) {
    const found = config.hosts.find((candidate) => candidate.name === name);
    if (found === undefined) {
      throw new ServiceError({
        code: 'not-found',
        message: `There is no host "${name}"`,
        remedy: `The configured hosts are ${config.hosts.map((one) => one.name).join(', ') || 'none'}.`,
        details: { field: 'host' },
      });
    }
    const node = await reads.node(name, signal);
    if (node === undefined) return { data: publicHost(found) };
    return { data: { note: quoteNotice, ...publicHost(found), node: shown(node) } };
  },
});

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
