import { ApiFailure } from '../answer.ts';
import type { Call } from '../router.ts';
import { atOnce, guestAt } from './asked-guest.ts';
import { isCloudInit, readConfig, setOption } from './configuration.ts';
import { assertUnlocked, assertWritable } from './guest-tasks.ts';

const options =
  /^(ciuser|cipassword|citype|cicustom|ciupgrade|nameserver|searchdomain|sshkeys|name|net\d+|ipconfig\d+)$/;

/** GET …/cloudinit: what the drive says, and what it will say when it is written anew. */
export function showCloudInit(call: Call): Record<string, unknown>[] {
  const guest = guestAt(call, 'qemu');
  const config = readConfig(guest);
  const pending = guest.pending ?? {};
  const hidden = (key: string, value: unknown) => (key === 'cipassword' ? '**********' : value);
  return [...new Set([...Object.keys(config), ...Object.keys(pending)])]
    .filter((key) => options.test(key))
    .map((key) => ({
      key,
      ...(config[key] === undefined ? {} : { value: hidden(key, config[key]) }),
      ...(pending[key] === undefined
        ? {}
        : pending[key] === null
          ? { delete: 1 }
          : { pending: hidden(key, pending[key]) }),
    }));
}

/** PUT …/cloudinit: writes the drive anew; what waited for that is true then. */
export function regenerateCloudInit(call: Call): null {
  const guest = guestAt(call, 'qemu');
  atOnce(() => {
    assertUnlocked(guest);
    assertWritable(call.state, guest);
    if (!hasDrive(call)) throw new Error('no cloud-init drive found');
    for (const [option, value] of Object.entries(guest.pending ?? {})) {
      if (!options.test(option) || /^net\d+$/.test(option)) continue;
      setOption(guest, option, value);
      delete guest.pending?.[option];
    }
  });
  return null;
}

function hasDrive(call: Call): boolean {
  return Object.values(guestAt(call, 'qemu').config ?? {}).some((value) => isCloudInit(String(value)));
}

/** GET …/cloudinit/dump: what is on the drive, as text. */
export function dumpCloudInit(call: Call): string {
  const guest = guestAt(call, 'qemu');
  const config = readConfig(guest);
  const { ciuser = 'root', sshkeys, searchdomain, nameserver } = config;
  switch (call.parameters.type) {
    case 'user': {
      const keys = decodeURIComponent(String(sshkeys ?? ''))
        .split('\n')
        .filter((key) => key !== '');
      const lines = ['#cloud-config', `hostname: ${guest.name}`, 'manage_etc_hosts: true', `user: ${ciuser}`];
      if (keys.length > 0) lines.push('ssh_authorized_keys:', ...keys.map((key) => `  - ${key}`));
      return [...lines, 'chpasswd:', '  expire: False', 'users:', '  - default', 'package_upgrade: true', ''].join(
        '\n',
      );
    }
    case 'network': {
      const cards = Object.keys(config).filter((option) => /^net\d+$/.test(option));
      const lines = cards.flatMap((card) => {
        const number = card.slice(3);
        const ip = /(?:^|,)ip=([^,]*)/.exec(String(config[`ipconfig${number}`] ?? 'ip=dhcp'))?.[1] ?? 'dhcp';
        const subnet = ip === 'dhcp' ? ['    - type: dhcp4'] : ['    - type: static', `      address: '${ip}'`];
        return ['    - type: physical', `      name: eth${number}`, '      subnets:', ...subnet];
      });
      const resolver = [
        '    - type: nameserver',
        `      address: ['${nameserver ?? ''}']`,
        `      search: ['${searchdomain ?? ''}']`,
      ];
      return ['version: 1', 'config:', ...lines, ...resolver, ''].join('\n');
    }
    case 'meta':
      return `instance-id: ${String(config.vmgenid ?? guest.vmid)}\n`;
    default:
      throw new ApiFailure(500, 'unknown cloud-init type');
  }
}
