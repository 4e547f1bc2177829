import { forbidden } from '../answer.ts';
import type { Call } from '../router.ts';
import type { GuestType } from './asked-guest.ts';

const ofMachine: readonly (readonly [options: RegExp, privilege: string])[] = [
  [/^(cores|cpu|cpulimit|cpuunits|affinity|numa|numa\d+|smp|sockets|vcpus)$/, 'VM.Config.CPU'],
  [/^(balloon|memory|shares|hugepages|keephugepages|allow-ksm)$/, 'VM.Config.Memory'],
  [
    /^(cicustom|cipassword|citype|ciuser|ciupgrade|nameserver|searchdomain|sshkeys|ipconfig\d+)$/,
    'VM.Config.Cloudinit',
  ],
  [/^net\d+$/, 'VM.Config.Network'],
  [
    /^(acpi|arch|audio0|bios|efidisk0|hostpci\d+|kvm|machine|scsihw|serial\d+|parallel\d+|usb\d+|vga|virtiofs\d+|watchdog|rng0|tpmstate0)$/,
    'VM.Config.HWType',
  ],
  [/^(scsi|virtio|sata|ide|unused)\d+$/, 'VM.Config.Disk'],
];
const ofContainer: readonly (readonly [options: RegExp, privilege: string])[] = [
  [/^(cores|cpulimit|cpuunits)$/, 'VM.Config.CPU'],
  [/^(memory|swap)$/, 'VM.Config.Memory'],
  [/^(net\d+|nameserver|searchdomain|hostname)$/, 'VM.Config.Network'],
  [/^(rootfs|mp\d+|unused\d+)$/, 'VM.Config.Disk'],
  [/^(features|unprivileged)$/, 'VM.Allocate'],
];
/** What reaches into the host itself. */
const forRoot: Readonly<Record<GuestType, RegExp>> = {
  qemu: /^(args|hookscript|lock|vmstate|runningmachine|amd-sev|intel-tdx)$/,
  lxc: /^(hookscript|lock|dev\d+)$/,
};

/** The privilege that changing an option takes. */
export function privilegeOf(type: GuestType, option: string, value: string): string {
  if (type === 'qemu' && /^(ide|sata|scsi)\d+$/.test(option) && /(^|,)media=cdrom(,|$)/.test(value))
    return 'VM.Config.CDROM';
  const known = (type === 'qemu' ? ofMachine : ofContainer).find(([options]) => options.test(option));
  return known?.[1] ?? 'VM.Config.Options';
}

/** Refuses what the caller may not change, as Proxmox does: option by option. */
export function requireOptionRights(
  { caller, permissions }: Pick<Call, 'caller' | 'permissions'>,
  type: GuestType,
  vmid: number,
  options: readonly (readonly [option: string, value: string])[],
): void {
  if (caller.id === 'root@pam') return;
  for (const [option, value] of options) {
    if (forRoot[type].test(option)) throw new Error(`only root can set '${option}' config`);
    const privilege = privilegeOf(type, option, value);
    if (!permissions.has(`/vms/${vmid}`, privilege)) throw forbidden(`/vms/${vmid}`, [privilege]);
  }
}
