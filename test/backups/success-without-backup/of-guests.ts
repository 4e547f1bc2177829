import { writeFileSync } from 'node:fs';
import type { BackupServerState, StoredSnapshot } from '../../../lab/backup-server/simulator.ts';
import type { Fault } from '../../../lab/proxmox/faults.ts';
import type { ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import type { SimulatedArchive, SimulatedGuest } from '../../../lab/proxmox/state.ts';
import type { Way } from './ways.ts';

/** What a way is made of: a node with guests and their backups of the last nights, and a backup server with the same. */
export interface GuestSite {
  readonly simulator: ProxmoxSimulator;
  readonly server: BackupServerState;
  /** The service has another fingerprint of the backup server than the one that answers. */
  otherServer: boolean;
}

export interface GuestWay extends Way {
  /** It happens between the plan and the backup. */
  readonly isLater?: true;
  readonly made: (site: GuestSite) => void;
  /** The same means, and no harm. */
  readonly twin: (site: GuestSite) => void;
}

/** The VM that each way is about, and the container. */
export const vm = 100;
export const container = 103;
export const day = 86_400;
export const nights = [0.25, 1.25, 2.25, 3.25] as const;
const unixTime = () => Math.floor(Date.now() / 1000);

export function guestOf({ simulator }: GuestSite, vmid = vm): SimulatedGuest {
  const guest = simulator.state.guests.get(vmid);
  if (guest === undefined) throw new Error(`no guest ${vmid}`);
  return guest;
}

/** A backup of so many days ago. */
export function archive(vmid: number, days: number, more: Partial<SimulatedArchive> = {}): SimulatedArchive {
  const type = vmid === 102 || vmid === container ? 'lxc' : 'qemu';
  return {
    ...{ storage: 'local', node: 'pve1', vmid, type, takenAt: Math.floor(unixTime() - days * day), size: 300 },
    ...more,
  };
}

export function snapshot(days: number, more: Partial<StoredSnapshot> = {}): StoredSnapshot {
  return { type: 'vm', id: String(vm), time: unixTime() - days * day, verification: 'ok', ...more };
}

/** What the backup that is made now leaves in place of its archive. */
const written = (change: (one: SimulatedArchive) => SimulatedArchive | undefined) => (site: GuestSite) => {
  guestOf(site).behaviour = { backupWritten: change };
};
const behaves = (behaviour: NonNullable<SimulatedGuest['behaviour']>) => (site: GuestSite) => {
  guestOf(site).behaviour = behaviour;
};
const faulty = (fault: Fault, task: string) => (site: GuestSite) => {
  site.simulator.inject(fault, { task });
};
const configured = (options: Readonly<Record<string, string>>) => (site: GuestSite) => {
  Object.assign(guestOf(site).config ?? {}, options);
};
/** Of the guest's archives each becomes what `change` makes of it, the newest first. */
const archived =
  (change: (one: SimulatedArchive, index: number) => SimulatedArchive | undefined) =>
  ({ simulator }: GuestSite) => {
    const all = simulator.state.archives;
    const own = all.filter(({ vmid }) => vmid === vm).toSorted((a, b) => b.takenAt - a.takenAt);
    const others = all.filter(({ vmid }) => vmid !== vm);
    all.splice(0, all.length, ...others, ...own.flatMap((one, index) => change(one, index) ?? []));
  };
const job =
  (change: Readonly<Record<string, unknown>>) =>
  ({ simulator }: GuestSite) => {
    Object.assign(simulator.state.configuration.backupJobs.get('nightly') ?? {}, change);
  };
/** The guest's backups lie on a backup server that Proxmox VE knows as a storage. */
const onServer =
  (status: 'available' | 'unknown', more: Partial<SimulatedArchive> = {}) =>
  (site: GuestSite) => {
    const { storages } = site.simulator.state;
    const storage = { storage: 'server', node: 'pve1', plugin: 'pbs', content: 'backup', shared: true };
    storages.push({ ...storage, status, total: 100, used: 1 });
    archived((one) => ({ ...one, storage: 'server', ...more }))(site);
  };
const key = Array(4).fill('12:ab:56:78:9a:bc:de:f0').join(':');
/** They are encrypted by that key, and their storage has this one. */
const encryptedBy = (storages: string) => (site: GuestSite) => {
  onServer('available', { encrypted: key })(site);
  site.simulator.state.storageDefinitions.set('server', { 'encryption-key': storages });
};
const stored =
  (...more: readonly StoredSnapshot[]) =>
  ({ server }: GuestSite) => {
    server.snapshots.get('main')?.push(...more);
  };
const serverJob =
  (id: string, change: Readonly<Record<string, unknown>>) =>
  ({ server }: GuestSite) => {
    const at = server.jobs.findIndex((one) => one.id === id);
    const [known] = server.jobs.splice(at, 1);
    if (known !== undefined) server.jobs.push({ ...known, ...change });
  };

/** What becomes of a guest while the one that is backed up is. */
const meanwhile = (change: (site: GuestSite) => void) => (site: GuestSite) =>
  written((one) => {
    change(site);
    return one;
  })(site);
const goesOff = (vmid: number) =>
  meanwhile((site) => {
    guestOf(site, vmid).status = 'stopped';
  });
const staysLocked = (vmid: number) =>
  meanwhile((site) => {
    setTimeout(() => {
      guestOf(site, vmid).lock = 'backup';
    }, 1);
  });
const movesAway = (vmid: number) => (site: GuestSite) => {
  guestOf(site, vmid).node = 'pve2';
};

/** A backup that is made now, by vzdump: its task ends well. */
const madeNow: readonly GuestWay[] = [
  {
    way: 'vzdump says OK and has done nothing',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'has only older archives' },
    made: faulty({ kind: 'silent' }, 'vzdump'),
    twin: faulty({ kind: 'silent' }, 'qmstart'),
  },
  {
    way: 'its archive is gone at once: somebody prunes it',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'has only older archives' },
    made: written(() => undefined),
    twin: written((one) => one),
  },
  {
    way: 'its archive is empty',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'is empty' },
    made: written((one) => ({ ...one, size: 0 })),
    twin: written((one) => ({ ...one, size: 200 })),
  },
  {
    way: 'its archive is one that a backup server has not finished',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'not finished' },
    made: written((one) => ({ ...one, size: 1 })),
    twin: written((one) => ({ ...one, size: 201 })),
  },
  {
    way: 'the new archive is of somebody else’s run',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'does not name this run' },
    made: written((one) => ({ ...one, notes: 'Proxmox MCP: back-up-guest/x/1' })),
    twin: written((one) => ({ ...one, notes: `${one.notes}, as always` })),
  },
  {
    way: 'the new archive has no notes, so nobody knows whose it is',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'does not name this run' },
    made: written(({ notes: _, ...one }) => one),
    twin: written(({ protected: _, ...one }) => one),
  },
  {
    way: 'its archive holds other disks than the guest has',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'does not hold the disk scsi0' },
    made: written((one) => {
      const content = { type: 'qemu', config: {}, text: 'name: mail\nmemory: 512\n', disks: [] };
      writeFileSync(String(one.file), `simulated vzdump archive\n${JSON.stringify(content)}`);
      return one;
    }),
    twin: written((one) => {
      const text = 'scsi0: local:100/vm-100-disk-0.qcow2,size=16G\n#qmdump#map:scsi0:drive-scsi0::\n';
      const content = { type: 'qemu', config: {}, text, disks: [] };
      writeFileSync(String(one.file), `simulated vzdump archive\n${JSON.stringify(content)}`);
      return one;
    }),
  },
  {
    way: 'its archive can’t be read',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'corrupt' },
    made: written((one) => ({ ...one, file: '/dev/null' })),
    twin: written((one) => ({ ...one, file: String(one.file) })),
  },
  {
    way: 'the guest is left locked, so that the next one fails',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'left locked (backup)' },
    made: staysLocked(vm),
    twin: staysLocked(120),
  },
  {
    way: 'the guest is on another node, and vzdump here says OK',
    ...{ by: 'back-up-guest', check: 'Back up', says: 'is on pve2' },
    isLater: true,
    made: movesAway(vm),
    twin: movesAway(120),
  },
  {
    way: 'a disk is kept out of backups (`backup=0`)',
    ...{ by: 'back-up-guest', check: 'Not in the archive', says: 'scsi1 is kept out of backups (backup=0)' },
    made: configured({ scsi1: 'local:100/vm-100-disk-1.qcow2,backup=0,size=4G' }),
    twin: configured({ scsi1: 'local:100/vm-100-disk-1.qcow2,backup=1,size=4G' }),
  },
  {
    way: 'a disk isn’t attached to the guest',
    ...{ by: 'back-up-guest', check: 'Not in the archive', says: 'unused0 is not used by the guest' },
    made: configured({ unused0: 'local:100/vm-100-disk-7.qcow2' }),
    twin: configured({ scsi2: 'local:100/vm-100-disk-7.qcow2,size=1G' }),
  },
  {
    way: 'a disk is the guest’s only from its next start',
    ...{ by: 'back-up-guest', check: 'Not in the archive', says: 'sata0 is the guest' },
    made: (site) => {
      guestOf(site).pending = { sata0: 'local:100/vm-100-disk-7.qcow2,size=1G' };
    },
    twin: (site) => {
      guestOf(site).pending = { memory: 1024 };
    },
  },
  {
    way: 'a container’s mount point isn’t marked (`backup=1`)',
    ...{ by: 'back-up-guest', check: 'Not in the archive', says: 'mp0 is not marked for backups (backup=1): /data' },
    made: (site) => isContainer(site, { mp0: 'local:103/vm-103-disk-1.raw,mp=/data,size=4G' }),
    twin: (site) => isContainer(site, { mp0: 'local:103/vm-103-disk-1.raw,mp=/data,backup=1,size=4G' }),
  },
  {
    way: 'a container’s data is a folder of the node',
    ...{ by: 'back-up-guest', check: 'Not in the archive', says: 'mp1 is a folder or a device of the node' },
    made: (site) => isContainer(site, { mp1: '/srv/films,mp=/films' }),
    twin: (site) => isContainer(site, { mp1: 'local:103/vm-103-disk-2.raw,mp=/films,backup=1,size=4G' }),
  },
  {
    way: 'its task ends with warnings: a volume could not be read',
    ...{ by: 'back-up-guest', check: 'Log', says: 'Its log has 1 errors or warnings' },
    made: behaves({ backupWarnings: ['a volume could not be read'] }),
    twin: behaves({ backupLog: ['INFO: a volume could be read'] }),
  },
  {
    way: 'the guest agent did not freeze: it is as after a power cut',
    ...{ by: 'back-up-guest', check: 'File systems at rest', says: 'as after a power cut' },
    made: behaves({ backupLog: ["ERROR: VM 100 qmp command 'guest-fsfreeze-freeze' failed - got timeout"] }),
    twin: behaves({ backupLog: ["INFO: issuing guest-agent 'fs-freeze' command"] }),
  },
  {
    way: 'it is less than half of the last ones',
    ...{ by: 'back-up-guest', check: 'Size', says: 'the last ones had 300 bytes' },
    made: written((one) => ({ ...one, size: 100 })),
    twin: written((one) => ({ ...one, size: 160 })),
  },
  {
    way: 'the guest went off meanwhile',
    ...{ by: 'back-up-guest', check: 'State', says: 'ran before, and is off now' },
    made: goesOff(vm),
    twin: goesOff(120),
  },
  {
    way: 'an older one is dated after it: what prunes by age takes the new one',
    ...{ by: 'back-up-guest', check: 'Time', says: 'are dated after it' },
    made: ({ simulator }) => simulator.state.archives.push(archive(vm, -30)),
    twin: ({ simulator }) => simulator.state.archives.push(archive(vm, 30)),
  },
];

/** Backups that jobs of Proxmox VE's own have made, or have not. */
const madeByJobs: readonly GuestWay[] = [
  {
    way: 'the guest is in no job',
    ...{ by: 'verify-backups', check: 'Guests without a job', says: '100 (files)' },
    made: job({ exclude: '100' }),
    twin: job({ exclude: '999' }),
  },
  {
    way: 'its only job is switched off',
    ...{ by: 'verify-backups', check: 'Jobs that are switched off', says: 'VM 100 (files)' },
    made: job({ enabled: 0 }),
    twin: job({ enabled: 1 }),
  },
  {
    way: 'there is none of it at all',
    ...{ by: 'verify-backups', check: 'Guests without a backup', says: 'VM 100 (files)' },
    made: archived(() => undefined),
    twin: archived((one, index) => (index === 0 ? one : undefined)),
  },
  {
    way: 'the last two nights made none',
    ...{ by: 'verify-backups', check: 'Backup of VM 100 (files)', says: '2 days 6 h old' },
    made: archived((one) => ({ ...one, takenAt: one.takenAt - 2 * day })),
    twin: archived((one) => ({ ...one, takenAt: one.takenAt - day / 2 })),
  },
  {
    way: 'those of the last two nights are of another guest’s number',
    ...{ by: 'verify-backups', check: 'Backup of VM 100 (files)', says: '2 days 6 h old' },
    made: archived((one, index) => (index < 2 ? { ...one, vmid: 120 } : one)),
    twin: archived((one, index) => (index > 2 ? { ...one, vmid: 120 } : one)),
  },
  {
    way: 'those of the last two nights are empty',
    ...{ by: 'verify-backups', check: 'Backup of VM 100 (files)', says: '2 days 6 h old' },
    made: archived((one, index) => (index < 2 ? { ...one, size: 0 } : one)),
    twin: archived((one, index) => (index < 2 ? { ...one, size: 290 } : one)),
  },
  {
    way: 'the newest ones are dated in the future: the node’s clock',
    ...{ by: 'verify-backups', check: 'Backup of VM 100 (files)', says: '2 days 6 h old' },
    made: archived((one, index) => (index < 2 ? { ...one, takenAt: one.takenAt + 30 * day } : one)),
    twin: archived((one, index) => (index < 2 ? { ...one, takenAt: one.takenAt + 300 } : one)),
  },
  {
    way: 'the last one is a tenth of what is usual, and its job says OK',
    ...{ by: 'verify-backups', check: 'Sizes of guest backups', says: 'VM 100 (files): 30 B' },
    made: archived((one, index) => (index === 0 ? { ...one, size: 30 } : one)),
    twin: archived((one, index) => (index === 0 ? { ...one, size: 200 } : one)),
  },
  {
    way: 'the storage with all of them is not there',
    ...{ by: 'verify-backups', check: 'Backups in server', says: 'nothing is known of the backups in it' },
    made: onServer('unknown'),
    twin: onServer('available'),
  },
  {
    way: 'a backup server has found it damaged',
    ...{ by: 'verify-backups', check: 'Damaged backups of guests', says: 'server:backup/' },
    made: onServer('available', { verification: 'failed' }),
    twin: onServer('available', { verification: 'ok' }),
  },
  {
    way: 'they are encrypted, and their storage lost its key',
    ...{ by: 'verify-backups', check: 'Keys of encrypted backups', says: 'server has no key' },
    made: onServer('available', { encrypted: key }),
    twin: encryptedBy(key),
  },
  {
    way: 'they are encrypted, and their storage was given another key',
    ...{ by: 'verify-backups', check: 'Keys of encrypted backups', says: 'server has another key' },
    made: encryptedBy(key.replace('12', '34')),
    twin: encryptedBy(key.toUpperCase()),
  },
  {
    way: 'they are encrypted, and nothing says by which key',
    ...{ by: 'verify-backups', check: 'Keys of encrypted backups', says: 'nothing says' },
    made: encryptedBy('1'),
    twin: encryptedBy(key),
  },
];

const onBackupServer: readonly GuestWay[] = [
  {
    way: 'a snapshot failed its verification',
    ...{ by: 'check-backup-server', check: 'Damaged in main', says: '1 snapshots were found damaged' },
    made: stored(snapshot(4, { verification: 'failed' })),
    twin: stored(snapshot(4)),
  },
  {
    way: 'the same in a namespace',
    ...{ by: 'check-backup-server', check: 'Damaged in main', says: 'site/pve1' },
    made: stored(snapshot(1, { ns: 'site/pve1' }), snapshot(2, { ns: 'site/pve1', verification: 'failed' })),
    twin: stored(snapshot(1, { ns: 'site/pve1' }), snapshot(2, { ns: 'site/pve1' })),
  },
  {
    way: 'a guest’s snapshots were never verified',
    ...{ by: 'check-backup-server', check: 'Verified in main', says: '1 groups have no verified snapshot' },
    made: stored({ type: 'vm', id: '7', time: unixTime() - day }),
    twin: stored(snapshot(1, { id: '7' })),
  },
  {
    way: 'a guest’s snapshots stopped coming',
    ...{ by: 'check-backup-server', check: 'Age in main', says: 'no backup for more than 8 days' },
    made: stored(snapshot(9, { id: '7' })),
    twin: stored(snapshot(7, { id: '7' })),
  },
  {
    way: 'a guest’s only snapshot was cut off',
    ...{ by: 'check-backup-server', check: 'Unfinished in main', says: 'nothing finished at all' },
    made: stored(snapshot(0, { id: '7', isUnfinished: true })),
    twin: stored(snapshot(0, { id: '7' })),
  },
  {
    way: 'the sync to a second server only warned',
    ...{ by: 'check-backup-server', check: 'Sync job s-1 of main', says: 'Some groups were not synced' },
    made: serverJob('s-1', { 'last-run-state': 'WARNINGS: 2' }),
    twin: serverJob('s-1', { 'last-run-state': 'OK' }),
  },
  {
    way: 'the job that verifies is overdue',
    ...{ by: 'check-backup-server', check: 'Verify job v-1 of main', says: 'overdue' },
    made: serverJob('v-1', { 'next-run': unixTime() - 3 * day }),
    twin: serverJob('v-1', { 'next-run': unixTime() + 3 * day }),
  },
  {
    way: 'another server answers at its address',
    ...{ by: 'check-backup-server', check: 'Look', says: 'certificate' },
    made: (site) => {
      site.otherServer = true;
    },
    twin: (site) => {
      site.otherServer = false;
    },
  },
];

export const waysOfGuests: readonly GuestWay[] = [...madeNow, ...madeByJobs, ...onBackupServer];

/** There is a container on the node, with a root disk, which is what is backed up. */
function isContainer({ simulator }: GuestSite, more: Readonly<Record<string, string>>): void {
  const guest = { vmid: container, type: 'lxc', name: 'mail', node: 'pve1', status: 'stopped' } as const;
  simulator.state.guests.set(container, { ...guest, cpus: 1, memory: 2 ** 29, disk: 2 ** 32, template: false });
  Object.assign(simulator.state.guests.get(container)?.config ?? {}, more);
}
