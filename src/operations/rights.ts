// What operations need in the Proxmox API is said once: by each operation of itself (`api` of its definition). Here is what that
// means on a host.

/** The path below which all of it is that a privilege is needed on. */
export const rightPaths = {
  root: '/',
  guest: '/vms',
  node: '/nodes',
  storage: '/storage',
  pool: '/pool',
  /** Bridges and virtual networks. */
  network: '/sdn/zones',
} as const;
export type RightOn = keyof typeof rightPaths;

/**
 * Rights to change something on `root`, which reach much further than what they are needed for: given only where an administrator
 * asks for them by name.
 */
export const wideRights = {
  ha: {
    privilege: 'Sys.Console',
    why: 'Proxmox VE asks for Sys.Console on / to change what HA manages, and to disarm HA for the whole cluster; below / it would open a shell on each node, so it is given on / alone',
  },
  'privileged-containers': {
    privilege: 'Sys.Modify',
    why: 'root of a privileged container is root of its host, and Proxmox VE asks for Sys.Modify on / to make one: with it the settings of the whole cluster can be changed and disks of the nodes be wiped',
  },
} as const;
export type WideRight = keyof typeof wideRights;

export const wideNames = Object.keys(wideRights) as readonly WideRight[];
