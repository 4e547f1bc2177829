import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { hostName } from '../../operations/inputs.ts';
import { defineTool } from '../define-tool.ts';
import { publicHost } from './list-hosts.ts';

const amount = z.object({ used: z.number(), total: z.number() }).describe('Bytes');

/** One host, with what its Proxmox API says now. */
export const getHost = defineTool({
  name: 'get_host',
  title: 'Get host',
  description:
    'Host status now, read directly from its Proxmox VE API: version, node, uptime, CPU, load, memory, root disk; and how it is configured here. For a thorough check with verdicts use check_health.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.object({ host: hostName() }),
  output: z.object({
    name: z.string(),
    reachedBy: z.array(z.string()),
    address: z.string().optional(),
    installation: z.string(),
    timeZone: z.string(),
    node: z
      .object({
        node: z.string(),
        version: z.string(),
        uptimeSeconds: z.number(),
        cpu: z.number().describe('0 to 1'),
        loadAverage: z.array(z.number()),
        memory: amount,
        rootDisk: amount,
      })
      .optional()
      .describe('Absent where no Proxmox API is configured for the host'),
  }),
  async handler({ host }, { config, reads }, { signal }) {
    const found = config.hosts.find((candidate) => candidate.name === host);
    if (found === undefined) {
      throw new ServiceError({
        code: 'not-found',
        message: `There is no host "${host}"`,
        remedy: `The configured hosts are ${config.hosts.map(({ name }) => name).join(', ') || 'none'}.`,
        details: { field: 'host' },
      });
    }
    const node = await reads.node(host, signal);
    return {
      data: {
        ...publicHost(found),
        ...(node === undefined ? {} : { node: { ...node, loadAverage: [...node.loadAverage] } }),
      },
    };
  },
});
