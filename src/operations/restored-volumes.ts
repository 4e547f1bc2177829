import { type Refusal, refuse } from './api-change.ts';
import type { Finding } from './finding.ts';
import { type ArchivedConfig, heldOf } from './guest-backup.ts';
import { type GuestConfig, TheGuest } from './guest-config.ts';
import { disksOf, type GuestDisk, isDiskKey, propertiesOf } from './guest-disks.ts';
import { said, some } from './said.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// What a restore brings back of a guest, and what it doesn't: by Proxmox's own sources (pve-container, qemu-server).

type Type = GuestPlace['type'];

/** The disks that a restore makes: of a VM those whose data is in the archive, of a container every volume. */
export function restoredDisks(
  type: Type,
  { config, data }: Pick<ArchivedConfig, 'config' | 'data'>,
  storage: string | undefined,
): readonly GuestDisk[] {
  const disks = disksOf(type, config).filter(({ key }) => data === undefined || data.includes(key));
  // A passed-through disk becomes a volume like any other.
  const passed = passedDisks(type, config).filter((key) => data?.includes(key) ?? true);
  return [
    ...disks,
    ...(storage === undefined ? [] : passed).flatMap((key) =>
      disksOf(type, { [key]: onStorage(config[key], storage ?? '') }),
    ),
  ];
}

function onStorage(line: string | undefined, storage: string): string {
  return (line ?? '').replace(/^[^,]*/, `${storage}:passed-through`);
}

/** The disks of the node itself that a VM has, which its archives hold, too. */
function passedDisks(type: Type, config: GuestConfig): readonly string[] {
  if (type === 'lxc') return [];
  return Object.keys(config).filter(
    (key) =>
      isDiskKey('qemu', key) &&
      propertiesOf(config[key] ?? '').first.startsWith('/') &&
      !/(^|,)(backup=0|media=cdrom)(,|$)/.test(config[key] ?? ''),
  );
}

/**
 * A container's volumes as its restore is told of them, each by itself: with a storage alone, or none, Proxmox makes all of them
 * on one, and without one on `local`.
 */
export function volumesAnew(
  disks: readonly GuestDisk[],
  into: (own: string) => string = (own) => own,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    disks.map(({ key, storage, line, size = 0 }) => {
      const { size: _, ...options } = propertiesOf(line).rest;
      // In GiB, in whole MiB.
      const volume = `${into(storage)}:${Math.ceil(size / 2 ** 20) / 1024}`;
      return [key, [volume, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(',')];
    }),
  );
}

/** A volume of which nothing says how big it was can't be made anew. */
export function refuseSizeless(type: Type, disks: readonly GuestDisk[], archive: string): Refusal | undefined {
  const sizeless = type === 'lxc' ? disks.find(({ size }) => size === undefined) : undefined;
  if (sizeless === undefined) return undefined;
  return refuse(
    'conflict',
    `The archive ${archive} does not say how big its ${sizeless.key} was, and nothing was done`,
    'Restore it by hand, and name the size (pct restore with --rootfs and --mp0 …).',
    'archive',
  );
}

/** A passed-through disk with no storage named: Proxmox would make it on `local`, whatever its size. */
export function refusePassed(type: Type, saved: GuestConfig, storage: string | undefined): Refusal | undefined {
  const [passed] = storage === undefined ? passedDisks(type, saved) : [];
  if (passed === undefined) return undefined;
  return refuse(
    'invalid-input',
    `The archive has ${passed}, which was a disk of the node itself (${said(propertiesOf(saved[passed] ?? '').first, 100)}), and nothing was done`,
    'Give storage: all disks are made there, that one as a volume.',
    'storage',
  );
}

/** What only root@pam may bring back, so no API token: devices and folders of the node, and lines of LXC itself. */
function rootOnly(type: Type, config: GuestConfig): readonly string[] {
  return Object.entries(config).flatMap(([key, line]) => {
    const { first, rest } = propertiesOf(line);
    if (type === 'lxc') {
      if (key === 'lxc' || key.startsWith('lxc.')) return [key];
      return /^mp\d+$/.test(key) && first.startsWith('/') ? [`${key} (${said(first, 100)})`] : [];
    }
    const host = rest.host ?? first;
    return /^(usb|hostpci)\d+$/.test(key) && host !== '' && host.toLowerCase() !== 'spice'
      ? [`${key} (${said(host, 60)})`]
      : [];
  });
}

/** Devices by a mapping, which need a privilege of their own. */
export function mappedDevices(type: Type, ...configs: readonly GuestConfig[]): readonly string[] {
  if (type === 'lxc') return [];
  const mapped = configs.flatMap((config) =>
    Object.keys(config).filter(
      (key) => /^virtiofs\d+$/.test(key) || (/^(usb|hostpci)\d+$/.test(key) && /(^|,)mapping=/.test(config[key] ?? '')),
    ),
  );
  return [...new Set(mapped)];
}

/** Why an archive, or a guest that would have to be put back, is beyond an API token. */
export function refuseRootOnly(
  type: Type,
  {
    saved,
    present,
    old,
  }: { readonly saved: GuestConfig; readonly present: GuestConfig; readonly old?: GuestPlace | undefined },
): Refusal | undefined {
  const byHand = `${type === 'qemu' ? 'qmrestore' : 'pct restore'} as root on the node`;
  const inArchive = rootOnly(type, saved);
  // Of a new container they are only missing, which its plan says.
  if (inArchive.length > 0 && (type === 'qemu' || old !== undefined)) {
    return refuse(
      'conflict',
      `The archive has what only root may restore, and no API token: ${some(inArchive)}; nothing was done`,
      `Restore it by ${byHand}.`,
      'archive',
    );
  }
  if (old === undefined) return undefined;
  const now = [...rootOnly(type, present), ...passedDisks(type, present)];
  if (now.length === 0) return undefined;
  return refuse(
    'conflict',
    `${TheGuest(old)} has what an API token could not put back if the restore failed: ${some(now)}; nothing was done`,
    `Take these off first and give them back afterwards, restore into new, or use ${byHand}.`,
    'into',
  );
}

/** What the archive does not bring back of what its own configuration names. */
export function notRestored(type: Type, { config, data }: Pick<ArchivedConfig, 'config' | 'data'>): readonly string[] {
  const isEmpty = (key: string) => type === 'lxc' && /^mp\d+$/.test(key);
  const left = heldOf(type, config).left.flatMap(({ key, why }) => {
    if (key.startsWith('unused')) return [];
    if (!isEmpty(key)) return [`${key} does not come back: it ${why}`];
    return why.includes('of the node') ? [] : [`${key} comes back empty: it ${why}`];
  });
  const raw = rootOnly(type, config).map((what) => `${what} does not come back: only root may restore it`);
  const without = heldOf(type, config).held.filter((key) => data !== undefined && !data.includes(key));
  return [...left, ...raw, ...without.map((key) => `${key} does not come back: its data is not in the archive`)];
}

/** What the guest that is replaced has now, and would have no more. */
export function lostBy(
  guest: GuestPlace,
  present: GuestConfig,
  { config, data }: Pick<ArchivedConfig, 'config' | 'data'>,
): readonly string[] {
  const held = new Set(heldOf(guest.type, config).held.filter((key) => data === undefined || data.includes(key)));
  return heldOf(guest.type, present)
    .held.filter((key) => !held.has(key))
    .map(
      (key) =>
        `The ${guestLabel(guest)} has ${key} (${said(propertiesOf(present[key] ?? '').first, 100)}), of which the archive holds nothing: what is in it now is only in the safety copy`,
    );
}

/** The same for the report. */
export function notRestoredFindings(lines: readonly string[]): Finding[] {
  return lines.map((summary) => ({
    check: 'Not restored',
    verdict: 'warning',
    summary,
    remedy: 'Bring back what was in it from where it is kept, as root on the node.',
  }));
}
