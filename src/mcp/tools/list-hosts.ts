import { z } from 'zod';
import type { HostConfig } from '../../config.ts';
import { defineTool } from '../define-tool.ts';

const host = z.object({
  name: z.string(),
  reachedBy: z.array(z.enum(['ssh', 'local', 'proxmox-api'])).describe('How the service reaches it'),
  address: z.string().optional().describe('SSH or Proxmox API address; absent for this machine'),
  installation: z.string().describe('Folder of the installation on the host'),
  timeZone: z.string().describe('Schedules of this host are read in it'),
});

/** A configured host as clients may see it: no users, key paths or tokens. */
export function publicHost(config: HostConfig): z.infer<typeof host> {
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

/** The hosts that the other tools take as `host`. */
export const listHosts = defineTool({
  name: 'list_hosts',
  title: 'List hosts',
  description:
    'Hosts: the configured Proxmox VE hosts, with how each is reached, its address and time zone. Their names are what the other tools take as host. Reads only the configuration; get_host asks the host itself.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({}),
  output: z.object({ hosts: z.array(host) }),
  async handler(_input, { config }) {
    return { data: { hosts: config.hosts.map(publicHost) } };
  },
});
