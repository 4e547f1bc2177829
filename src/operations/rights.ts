// What operations need in the Proxmox API, said once: by each operation of itself. The roles that `host install` makes, what
// `doctor` looks for and the documentation are made from it.

/** Privileges of Proxmox VE 9, as far as operations need them. */
export type Privilege =
  | `Datastore.${'Allocate' | 'AllocateSpace' | 'AllocateTemplate' | 'Audit'}`
  | `Mapping.${'Audit' | 'Use'}`
  | `Pool.${'Allocate' | 'Audit'}`
  | `SDN.${'Audit' | 'Use'}`
  | `Sys.${'AccessNetwork' | 'Audit' | 'Modify' | 'PowerMgmt' | 'Syslog'}`
  | `VM.${'Allocate' | 'Audit' | 'Backup' | 'Clone' | 'Console' | 'Migrate' | 'PowerMgmt' | 'Replicate'}`
  | `VM.Config.${'CDROM' | 'CPU' | 'Cloudinit' | 'Disk' | 'HWType' | 'Memory' | 'Network' | 'Options'}`
  | `VM.GuestAgent.${'Audit' | 'FileRead' | 'FileSystemMgmt' | 'FileWrite' | 'Unrestricted'}`
  | `VM.Snapshot${'' | '.Rollback'}`;

/** What a privilege is needed on, and the path below which all of it is. */
export const rightPaths = {
  '/': '/',
  guest: '/vms',
  node: '/nodes',
  storage: '/storage',
  pool: '/pool',
  /** Bridges and virtual networks. */
  network: '/sdn/zones',
  /** PCI and USB devices and folders that guests are given. */
  mapping: '/mapping',
} as const;
export type RightOn = keyof typeof rightPaths;

/** `VM.PowerMgmt on guest`. What changes something is never needed on `/`: see {@link wideRights}. */
export type Right = `${Privilege} on ${Exclude<RightOn, '/'>}` | `${Privilege & `${string}.Audit`} on /`;

/** Rights that reach much further than what they are needed for: given only where an administrator asks for them by name. */
export const wideRights = {
  ha: {
    privilege: 'Sys.Console',
    path: '/',
    why: 'Proxmox VE asks for Sys.Console on / to change what HA manages, and to disarm HA for the whole cluster; below / it would open a shell on each node, so it is given on / alone',
  },
  'privileged-containers': {
    privilege: 'Sys.Modify',
    path: '/',
    why: 'root of a privileged container is root of its host, and Proxmox VE asks for Sys.Modify on / to make one: with it the settings of the whole cluster can be changed and disks of the nodes be wiped',
  },
} as const;
export type WideRight = keyof typeof wideRights;

/** What an operation, or a tool, needs in the Proxmox API. */
export interface ApiRights {
  /** To look, and to plan. */
  readonly reads: readonly Right[];
  /** To do what it does. */
  readonly changes?: readonly Right[];
  /** What it can't do, or a part of it, without a right that is given only where it is asked for. */
  readonly wide?: readonly WideRight[];
}

export function partsOf(right: Right): { readonly privilege: string; readonly on: RightOn } {
  const [privilege = '', on] = right.split(' on ');
  return { privilege, on: on as RightOn };
}
