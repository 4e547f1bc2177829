import { type ApiStep, effect } from './api-change.ts';
import { type GuestConfig, guestPath, readConfigIfAny } from './guest-config.ts';
import { propertiesOf } from './guest-disks.ts';
import type { GuestPlace } from './target.ts';

// The network cards of a restored guest, so that it doesn't meet the one that it was.

/** The network cards of an archive as they are to be; none where they stay. */
export function networkOf(
  type: GuestPlace['type'],
  config: GuestConfig,
  {
    network,
    bridge,
    hasNewMac,
  }: { readonly network: 'unplugged' | 'kept'; readonly bridge: string | undefined; readonly hasNewMac: boolean },
): Readonly<Record<string, string>> {
  if (network === 'kept' && bridge === undefined) return {};
  const cards = Object.entries(config).filter(([key]) => /^net\d+$/.test(key));
  return Object.fromEntries(
    cards.map(([key, line]) => {
      const parts = line
        .split(',')
        .filter(
          (part) => !part.startsWith('link_down=') && !(hasNewMac && type === 'lxc' && part.startsWith('hwaddr=')),
        )
        // Proxmox makes a new address of a card without one.
        .map((part) =>
          hasNewMac && type === 'qemu' ? part.replace(/^(\w+)=(?:[0-9A-F]{2}:){5}[0-9A-F]{2}$/i, '$1') : part,
        )
        .map((part) => (bridge !== undefined && part.startsWith('bridge=') ? `bridge=${bridge}` : part));
      return [key, [...parts, ...(network === 'unplugged' ? ['link_down=1'] : [])].join(',')];
    }),
  );
}

/** Sets the network cards of a restored guest. */
export function configureStep(guest: GuestPlace, cards: Readonly<Record<string, string>>): ApiStep {
  return {
    title: 'Configure',
    call: { method: 'PUT', ...guestPath(guest, '/config'), parameters: cards },
    effect: effect({
      reads: { config: readConfigIfAny(guest) },
      lacks({ config }) {
        const lacking = Object.entries(cards).find(([card, line]) => {
          const wanted = propertiesOf(line).rest;
          const now = propertiesOf(config[card] ?? '').rest;
          return now.link_down !== wanted.link_down || now.bridge !== wanted.bridge;
        });
        return lacking === undefined ? undefined : `its network card ${lacking[0]} is not what was set`;
      },
    }),
  };
}
