import { z } from 'zod';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { type ApiReader, createApiReader } from './api-schema/api-reader.ts';
import { createProxmoxApis, type ProxmoxApis } from './connect.ts';
import { createInventory, type InventoryReader } from './inventory.ts';

const amount = z.object({ used: z.number(), total: z.number() }).describe('Bytes');

/** What a host's own Proxmox VE API says now. */
export const nodeFacts = z.object({
  node: z.string(),
  version: z.string().describe('Of Proxmox VE, e.g. 9.1.4'),
  uptimeSeconds: z.number(),
  cpu: z.number().describe('0 to 1'),
  loadAverage: z.array(z.number()).describe('Of the last 1, 5 and 15 minutes'),
  memory: amount,
  rootDisk: amount,
});
export type NodeFacts = z.infer<typeof nodeFacts>;

/** Plain reads of Proxmox, answered without a workflow because a reader waits for them. */
export interface Reads {
  /** Undefined where the host has no Proxmox API configured. Throws a `ServiceError` where it can't be read. */
  node(host: string, signal: AbortSignal): Promise<NodeFacts | undefined>;
  /** What the other reads ask. */
  readonly apis: ProxmoxApis;
  readonly inventory: InventoryReader;
  /** Whatever else the API has, by the schema that the host itself serves. */
  readonly api: ApiReader;
}

/** Plain reads of the hosts' Proxmox APIs, over connections that are kept. */
export function createReads(
  config: Pick<Config, 'hosts'> & Partial<Pick<Config, 'dataDir'>>,
  log: Log,
): Reads & { readonly close: () => Promise<void> } {
  const apis = createProxmoxApis(config, log);
  return {
    apis,
    inventory: createInventory(apis),
    api: createApiReader(apis),
    async node(host, signal) {
      if (!apis.has(host)) return undefined;
      // The node that answers, which in a cluster isn't the first of the list.
      const node = await apis.node(host, { signal });
      const status = await apis.get(host).nodeStatus(node, { signal });
      return {
        node,
        // `pve-manager/9.1.4/5ac30304265fbd8e`
        version: status.pveversion.split('/')[1] ?? status.pveversion,
        uptimeSeconds: status.uptime,
        cpu: status.cpu,
        loadAverage: status.loadavg,
        memory: { used: status.memory.used, total: status.memory.total },
        rootDisk: { used: status.rootfs.used, total: status.rootfs.total },
      };
    },
    close: apis.close,
  };
}
