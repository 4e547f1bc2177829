import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Reads } from '../mcp/dependencies.ts';
import { createProxmoxApis } from './connect.ts';

/** Plain reads of the hosts' Proxmox APIs, over connections that are kept. */
export function createReads(config: Config, log: Log): Reads & { readonly close: () => Promise<void> } {
  const apis = createProxmoxApis(config, log);
  return {
    async node(host, signal) {
      if (!apis.has(host)) return undefined;
      // The node that answers, which in a cluster isn't the first of the list.
      const { node } = await apis.member(host, { signal });
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
