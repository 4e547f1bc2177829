import { ServiceError } from '../../errors.ts';
import {
  guestSettings,
  proxmoxArchives,
  proxmoxFacts,
  proxmoxServices,
} from '../../hosts/commands/check-health/proxmox.ts';
import type { Host, Hosts, RunOptions } from '../../hosts/host.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { apiReader, firstThen, type ProxmoxReader, type ReadName, readAnswer } from '../../proxmox/reader.ts';

/** By which ways a host is looked at, of those that are configured for it. */
export interface Ways {
  readonly commands: boolean;
  readonly api: boolean;
}

/** The ways that are configured for a host. */
export function waysOf(proxmox: Pick<ProxmoxApis, 'hosts'>, host: string): Ways {
  const config = proxmox.hosts.find(({ name }) => name === host);
  return {
    commands: config === undefined || config.ssh !== undefined || config.local !== undefined,
    api: config?.api !== undefined,
  };
}

/**
 * Reads a host's Proxmox VE: by its API for what that can, and by commands for the rest. `undefined`: there is none of
 * these ways.
 */
export function proxmoxReader(
  { hosts, proxmox }: { readonly hosts: Hosts; readonly proxmox: ProxmoxApis },
  host: string,
  ways: Ways,
  options: RunOptions,
): ProxmoxReader | undefined {
  const api = ways.api ? apiReader(proxmox, host, { ...options, timeoutMs: 20_000 }) : undefined;
  const commands = ways.commands ? commandReader(hosts.get(host), options) : undefined;
  return api !== undefined && commands !== undefined ? firstThen(api, commands) : (api ?? commands);
}

const facts = {
  version: 'version',
  cluster: 'cluster',
  storages: 'storages',
  machines: 'machines',
  containers: 'containers',
  'backup-tasks': 'backup-tasks',
} as const satisfies Partial<Record<ReadName, string>>;

/** Reads by commands on the host, which need no right of Proxmox VE's own. */
export function commandReader(host: Host, options: RunOptions): ProxmoxReader {
  let settings: Promise<readonly GuestSettings[]> | undefined;
  /** Of all guests at once: one by one they would take a second each. */
  async function settingsOf(type: 'qemu' | 'lxc', vmid: string): Promise<unknown> {
    settings ??= host.run(guestSettings, {}, options);
    return (await settings).find((guest) => guest.type === type && String(guest.vmid) === vmid) ?? {};
  }

  async function ask(name: ReadName, of = ''): Promise<unknown> {
    if (name in facts)
      return dataOf(await host.run(proxmoxFacts, { fact: facts[name as keyof typeof facts] }, options));
    switch (name) {
      case 'archives':
        return dataOf(await host.run(proxmoxArchives, { storage: of }, options));
      case 'services':
        return (await host.run(proxmoxServices, {}, options)).map((unit) => ({
          service: unit.name,
          state: unit.sub,
          'active-state': unit.active,
          'unit-state': unit.isThere ? 'enabled' : 'not-found',
        }));
      case 'machine-config':
        return await settingsOf('qemu', of);
      case 'container-config':
        return await settingsOf('lxc', of);
      default:
        throw new ServiceError({
          code: 'configuration',
          message: `${host.name} tells its ${name} only by its Proxmox API`,
          remedy: 'Configure its API token (docs/configuration.md).',
        });
    }
  }

  function dataOf(answer: { readonly proxmox: 'absent' } | { readonly proxmox: 'there'; readonly data: unknown }) {
    if (answer.proxmox === 'there') return answer.data;
    throw new ServiceError({
      code: 'not-found',
      message: `There is no Proxmox VE on ${host.name}`,
      remedy: 'Ask a host that has it.',
      details: { host: host.name },
    });
  }

  return {
    host: host.name,
    way: 'commands',
    read: async (name, of) => readAnswer(name, host.name, await ask(name, of)),
    hiding: async () => [],
  };
}

interface GuestSettings {
  readonly type: 'qemu' | 'lxc';
  readonly vmid: number;
}
