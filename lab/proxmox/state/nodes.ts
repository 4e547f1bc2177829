/** A disk of a node, as its list shows it, and what it says of its health. */
export interface SimulatedDisk {
  readonly devpath: string;
  readonly model: string;
  readonly serial: string;
  readonly size: number;
  readonly type: 'hdd' | 'ssd' | 'nvme';
  /** `PASSED`, `FAILED`, `UNKNOWN` */
  health: string;
  /** What it holds: `partitions`, `LVM`, `ZFS`. */
  used?: string;
  /** Percent of its life that is left, of an SSD. */
  wearout?: number;
  /** SMART attributes by name; of an NVMe disk they are a text. */
  readonly attributes: Record<string, number>;
}

export interface SimulatedPoolOfDisks {
  readonly name: string;
  size: number;
  alloc: number;
  health: string;
  frag: number;
  readonly devices: string[];
  /** Of the last check of everything that is in it. */
  scan?: string;
  errors?: string;
}

export interface JournalLine {
  /** Unix seconds. */
  readonly time: number;
  /** The program that wrote it. */
  readonly unit: string;
  readonly text: string;
}

/** What a node has beside its figures, its services and its updates. */
export interface NodeSite {
  dns: { search: string; dns1?: string; dns2?: string; dns3?: string };
  timezone: string;
  hosts: string;
  /** By name, as its file has them. */
  readonly network: Map<string, Record<string, string | number | readonly string[]>>;
  readonly disks: SimulatedDisk[];
  readonly zfs: SimulatedPoolOfDisks[];
  readonly volumeGroups: { readonly name: string; readonly size: number; free: number; readonly device: string }[];
  readonly thinPools: {
    readonly lv: string;
    readonly vg: string;
    readonly lv_size: number;
    used: number;
    readonly metadata_size: number;
    metadata_used: number;
  }[];
  readonly directories: { readonly path: string; readonly device: string; readonly type: string }[];
  readonly journal: JournalLine[];
  /** What the next refresh of the package lists finds. */
  readonly nextUpdates: { package: string; from: string; to: string; origin: string }[];
  /** Why the refresh fails. */
  refreshError?: string;
  /** Services that can't be started: how their task ends. */
  readonly brokenServices: Map<string, string>;
  /** Its certificate and the one that signed it, where known; a node's own is the one that it serves. */
  certificate?: { readonly certificate: string; readonly authority: string };
  subscription: 'notfound' | 'active' | 'expired';
}

/** By name; a node's is made when it is first asked for. */
export type NodeSites = Map<string, NodeSite>;

const gibibyte = 2 ** 30;

export function nodeSite(sites: NodeSites, name: string, ip = '192.0.2.10'): NodeSite {
  const known = sites.get(name);
  if (known) return known;
  const made = createNodeSite(name, ip);
  sites.set(name, made);
  return made;
}

function createNodeSite(name: string, address: string): NodeSite {
  const now = Math.floor(Date.now() / 1000);
  return {
    dns: { search: 'example.test', dns1: '192.0.2.1' },
    timezone: 'Etc/UTC',
    hosts: `127.0.0.1 localhost\n${address} ${name}.example.test ${name}\n`,
    network: new Map<string, Record<string, string | number | readonly string[]>>([
      [
        'eno1',
        { type: 'eth', active: 1, exists: 1, method: 'manual', method6: 'manual', families: ['inet'], priority: 3 },
      ],
      [
        'vmbr0',
        {
          type: 'bridge',
          active: 1,
          autostart: 1,
          method: 'static',
          method6: 'manual',
          families: ['inet'],
          priority: 4,
          address,
          netmask: '24',
          cidr: `${address}/24`,
          gateway: '192.0.2.1',
          bridge_ports: 'eno1',
          bridge_stp: 'off',
          bridge_fd: '0',
        },
      ],
    ]),
    disks: [
      {
        devpath: '/dev/nvme0n1',
        model: 'Simulated NVMe 1TB',
        serial: `SIM${name.toUpperCase()}0001`,
        size: 1_000_204_886_016,
        type: 'nvme',
        health: 'PASSED',
        used: 'partitions',
        wearout: 97,
        attributes: { 'Percentage Used': 3, 'Power On Hours': 9120, 'Media and Data Integrity Errors': 0 },
      },
      {
        devpath: '/dev/sda',
        model: 'Simulated HDD 4TB',
        serial: `SIM${name.toUpperCase()}0002`,
        size: 4_000_787_030_016,
        type: 'hdd',
        health: 'PASSED',
        used: 'ZFS',
        attributes: { Reallocated_Sector_Ct: 0, Power_On_Hours: 21_733, Temperature_Celsius: 34 },
      },
    ],
    zfs: [
      {
        name: 'tank',
        size: 3700 * gibibyte,
        alloc: 1200 * gibibyte,
        health: 'ONLINE',
        frag: 4,
        devices: ['sda'],
        scan: 'scrub repaired 0B in 05:12:44 with 0 errors',
      },
    ],
    volumeGroups: [{ name: 'pve', size: 930 * gibibyte, free: 16 * gibibyte, device: '/dev/nvme0n1p3' }],
    thinPools: [
      {
        lv: 'data',
        vg: 'pve',
        lv_size: 794 * gibibyte,
        used: 210 * gibibyte,
        metadata_size: 8 * gibibyte,
        metadata_used: gibibyte,
      },
    ],
    directories: [],
    journal: [
      { time: now - 7200, unit: 'systemd[1]', text: 'Started pvescheduler.service - Proxmox VE scheduler.' },
      { time: now - 3600, unit: 'pvedaemon[1501]', text: "<root@pam> successful auth for user 'root@pam'" },
      { time: now - 60, unit: 'pvestatd[1422]', text: 'status update time (5.120 seconds)' },
    ],
    nextUpdates: [],
    brokenServices: new Map(),
    subscription: 'notfound',
  };
}
