import { z } from 'zod';
import { apiRead, type Refusal } from './api-change.ts';
import { said, some } from './said.ts';

// Nodes and storages of a cluster, and where in it a guest is, as any of its nodes says.

/** Proxmox's rule for names of nodes. */
export function nodeName() {
  return z.string().regex(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/, 'expected the name of a node, e.g. pve2');
}

const nodes = () => z.array(z.object({ node: z.string(), status: z.string().optional() }));

/** The nodes of the cluster, and whether they are online. */
export function readNodes() {
  return apiRead({ template: '/nodes', values: [], schema: nodes() });
}

/** Why a node can't take part; undefined: it can. */
export function refuseNode(seen: z.output<ReturnType<typeof nodes>>, node: string, field: string): Refusal | undefined {
  const found = seen.find((one) => one.node === node);
  const online = seen.filter(({ status }) => status === 'online').map((one) => one.node);
  if (found?.status === 'online') return undefined;
  return {
    refused: {
      code: found === undefined ? 'not-found' : 'conflict',
      message: `${found === undefined ? `The cluster has no node ${node}` : `The node ${node} is ${said(found.status ?? 'away', 20)}`}, and nothing was done`,
      remedy: `Name a node that is online: ${some(online)}.`,
      field,
    },
  };
}

/** Where a guest is, as the whole cluster says; none while it is nowhere. */
export function readWhere(vmid: number) {
  return apiRead({
    template: '/cluster/resources',
    values: [],
    parameters: { type: 'vm' },
    schema: z
      .array(z.object({ vmid: z.number().optional(), node: z.string().optional(), status: z.string().optional() }))
      .transform((all) =>
        all.filter((one) => one.vmid === vmid).map(({ node = '', status = '' }) => ({ node, status })),
      ),
  });
}

/** The storages of one node, without asking that node itself. */
export function readStoragesOf(node: string) {
  return apiRead({
    template: '/cluster/resources',
    values: [],
    parameters: { type: 'storage' },
    schema: z
      .array(
        z.object({
          node: z.string().optional(),
          storage: z.string().optional(),
          status: z.string().optional(),
          content: z.string().optional(),
          plugintype: z.string().optional(),
          maxdisk: z.number().optional(),
          disk: z.number().optional(),
        }),
      )
      .transform((all) =>
        all
          .filter((one) => one.node === node && one.storage !== undefined)
          .map(({ storage = '', status, content = '', plugintype: type = '', maxdisk, disk }) => ({
            storage,
            type,
            content,
            active: status === 'available' ? 1 : 0,
            ...(maxdisk !== undefined && disk !== undefined && { avail: Math.max(0, maxdisk - disk) }),
          })),
      ),
  });
}
