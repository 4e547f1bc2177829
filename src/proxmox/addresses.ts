import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { GuestAddress, ProxmoxClient } from './client.ts';
import type { CallOptions } from './transport.ts';

/** One interface of a guest, as the guest itself has it. */
export interface GuestInterface {
  readonly name: string;
  readonly mac?: string;
  /** With the length of the network: `192.0.2.7/24`. */
  readonly addresses: readonly string[];
}

/** Where a guest can be reached. */
export interface GuestAddresses {
  /** Who said so: the agent in a VM, a container's own network, or only what is configured. */
  readonly from: 'guest agent' | 'container' | 'configuration';
  readonly interfaces: readonly GuestInterface[];
  /** Why the guest itself wasn't asked, and what to do. */
  readonly why?: string;
}

/** A guest may have as many as it likes. */
const most = { interfaces: 30, addresses: 20 } as const;

/** How long an agent may take; one that is enabled and absent answers after some seconds. Milliseconds. */
const agentMs = 10_000;

const ofAgent = z.object({
  result: z.array(
    z.looseObject({
      name: z.string(),
      'hardware-address': z.string().optional(),
      'ip-addresses': z
        .array(z.looseObject({ 'ip-address': z.string(), prefix: z.union([z.number(), z.string()]).optional() }))
        .optional(),
    }),
  ),
});

/** A container that doesn't run has none. */
const ofContainer = z
  .array(
    z.looseObject({
      name: z.string(),
      hwaddr: z.string().optional(),
      inet: z.string().optional(),
      inet6: z.string().optional(),
    }),
  )
  .nullable();

/** What of a configuration says how a guest is connected: `net0`, `ipconfig0`. */
export type ConfiguredNetwork = Readonly<Record<string, unknown>>;

/**
 * A guest's addresses: of the guest itself where it can say them, else those that are configured, with why.
 *
 * @throws ServiceError what the API throws, but for an agent that isn't there
 */
export async function readAddresses(
  client: ProxmoxClient,
  guest: GuestAddress,
  { config, running }: { readonly config: ConfiguredNetwork; readonly running: boolean },
  options: CallOptions = {},
): Promise<GuestAddresses> {
  const configured = configuredOnes(config);
  const only = (why: string): GuestAddresses => ({ from: 'configuration', interfaces: configured, why });
  const values = [guest.node, String(guest.vmid)];
  if (!running) return only('It is not running.');
  if (guest.type === 'lxc') {
    const seen = await client.read(ofContainer, '/nodes/*/lxc/*/interfaces', values, undefined, options);
    return {
      from: 'container',
      interfaces: (seen ?? [])
        .filter(({ name }) => name !== 'lo')
        .map(({ name, hwaddr, inet, inet6 }) => shown(name, hwaddr, [inet, inet6]))
        .slice(0, most.interfaces),
    };
  }
  const agent = String(config.agent ?? '0');
  if (!/^(enabled=)?1\b|\benabled=1\b/.test(agent)) {
    return only(
      'Its guest agent is not enabled (option agent), so the VM is not asked: install qemu-guest-agent in it, set agent=1 and restart it.',
    );
  }
  try {
    const { result } = await client.read(ofAgent, '/nodes/*/qemu/*/agent/network-get-interfaces', values, undefined, {
      ...options,
      timeoutMs: agentMs,
    });
    return {
      from: 'guest agent',
      interfaces: result
        .filter(({ name }) => name !== 'lo')
        .map((one) =>
          shown(
            one.name,
            one['hardware-address'],
            (one['ip-addresses'] ?? []).map((address) =>
              address.prefix === undefined ? address['ip-address'] : `${address['ip-address']}/${address.prefix}`,
            ),
          ),
        )
        .slice(0, most.interfaces),
    };
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    const isAway = /agent/i.test(error.message) && error.code !== 'proxmox-permission';
    const what = isAway
      ? 'Its guest agent does not answer: look whether qemu-guest-agent runs in the VM.'
      : `${cleanLine(error.message, 300)} ${cleanLine(error.remedy, 300)}`;
    return only(what);
  }
}

function shown(name: string, mac: string | undefined, addresses: readonly (string | undefined)[]): GuestInterface {
  return {
    name: cleanLine(name, 40),
    ...(mac && mac !== '00:00:00:00:00:00' && { mac: cleanLine(mac, 40) }),
    addresses: addresses
      .filter((one) => one !== undefined && one !== '')
      .slice(0, most.addresses)
      .map((one) => cleanLine(one ?? '', 60)),
  };
}

/** `net0: virtio=BC:24:…,bridge=vmbr0,ip=dhcp`, and a VM's `ipconfig0: ip=192.0.2.7/24`. */
function configuredOnes(config: ConfiguredNetwork): readonly GuestInterface[] {
  return Object.keys(config)
    .filter((key) => /^net\d+$/.test(key))
    .sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)))
    .slice(0, most.interfaces)
    .map((key) => {
      const card = String(config[key]);
      const also = String(config[`ipconfig${key.slice(3)}`] ?? '');
      const mac = /([0-9A-F]{2}(?::[0-9A-F]{2}){5})/i.exec(card)?.[1];
      const addresses = [...`${card},${also}`.matchAll(/(?:^|,)ip6?=([^,]+)/g)].map(([, address]) => address);
      return shown(key, mac, addresses);
    });
}
