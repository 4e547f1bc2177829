import { randomUUID } from 'node:crypto';
import type { SimulatedAgent } from './guests/agent.ts';
import { type ConfigValue, type GuestConfig, Guests, type SimulatedSnapshot } from './guests/configuration.ts';
import type { SimulatedVolume } from './guests/volumes.ts';
import { administrator, roles } from './roles.ts';
import { createSignIn, type SignInState, type SimulatedGroup, type SimulatedUser } from './state/access.ts';
import type { ApiViewerState } from './state/api-viewer.ts';
import { type ClusterConfiguration, createClusterConfiguration } from './state/cluster.ts';
import type { Firewalls } from './state/firewall.ts';
import type { NodeSites } from './state/nodes.ts';
import type { SimulatedPool } from './state/pools.ts';
import { createWeb, type FileRestore, type SimulatedWeb, type StorageDefinitions } from './state/storages.ts';

/** Who asks. `id` is what permissions and tasks are kept under: `user` or `user!token`. */
export interface Caller {
  readonly id: string;
  readonly user: string;
  readonly token?: string;
}

export interface SimulatedNode {
  readonly name: string;
  readonly id: number;
  ip: string;
  /** SHA-256 that the cluster knows for the node; the local node's is the simulator's own certificate. */
  fingerprint: string;
  /** Member of the cluster right now. */
  online: boolean;
  /** What the node that was asked finds when it passes a request on. */
  api: 'up' | 'refused' | 'unreachable';
  readonly cpus: number;
  readonly memory: number;
  readonly disk: number;
  memoryUsed: number;
  diskUsed: number;
  /** Share of all CPUs, 0 to 1. */
  load: number;
  /** Unix seconds. */
  bootedAt: number;
  /** Its services that aren't as the daemons of a well node are, by systemd's ActiveState. */
  readonly services: Map<string, string>;
  /** Packages of which there is a newer version. */
  readonly updates: SimulatedUpdate[];
}

export interface SimulatedUpdate {
  readonly package: string;
  readonly from: string;
  readonly to: string;
  readonly origin: string;
}

/** What a test makes a guest do. Times in ms. */
export interface GuestBehaviour {
  /** Doesn't hear that it should shut down, as one without ACPI. */
  ignoresShutdown?: boolean;
  /** Default 20. */
  startMs?: number;
  /** And until that has come about. */
  startsWhen?: Promise<unknown>;
  /** From being told to shut down, or stopped, to being off. Default 20. */
  stopMs?: number;
  /** Goes off by itself so long after each start. */
  diesAfterMs?: number;
  /** How its start ends instead. */
  startError?: string;
  /** Its start ends with `WARNINGS: n`. */
  startWarnings?: readonly string[];
  /** From a request to the HA stack until that acts. Default 40. */
  haMs?: number;
  /** What the agent in it is and answers; of a container only its addresses are asked. */
  agent?: SimulatedAgent;
  /** Why a backup of it fails. */
  backupError?: string;
  /** What a backup of it says beside; its task ends with `WARNINGS: n`. */
  backupWarnings?: readonly string[];
  /** Lines that a backup of it logs without being worse for it. */
  backupLog?: readonly string[];
  /** What becomes of the archive that a backup of it has written; undefined: it is gone. */
  backupWritten?: (archive: SimulatedArchive) => SimulatedArchive | undefined;
  /** How long its other tasks take, by their type: `{ qmsnapshot: 1000 }`. Default 20. */
  taskMs?: Readonly<Record<string, number>>;
}

/** How the HA stack has a guest: what it does with it, and what it was asked for. */
export interface SimulatedHa {
  state: string;
  requested?: string;
  comment?: string;
  max_restart?: number;
  max_relocate?: number;
  failback?: number;
}

export interface SimulatedGuest {
  readonly vmid: number;
  readonly type: 'qemu' | 'lxc';
  name: string;
  node: string;
  status: 'running' | 'stopped';
  cpus: number;
  memory: number;
  disk: number;
  template: boolean;
  tags?: string;
  /** Unix seconds, when running. */
  startedAt?: number;
  /** When running: another one after each start. */
  pid?: number;
  /** A VM that is paused counts as running. */
  paused?: boolean;
  /** The lock of its configuration: `backup`, `migrate` … */
  lock?: string;
  protection?: boolean;
  /** It is started with its node. */
  onboot?: boolean;
  /** There when the HA stack manages it. */
  ha?: SimulatedHa;
  /** UPID of the task that holds its lock file now. */
  lockedBy?: string;
  /** Its configuration, but for what has a field here. Name, CPUs, memory and disk are views of it. */
  config?: GuestConfig;
  /** What a running one takes over when it starts the next time; null takes an option away. */
  pending?: Record<string, ConfigValue | null>;
  /** Oldest first. */
  snapshots?: SimulatedSnapshot[];
  /** The snapshot that its present state comes from. */
  parent?: string;
  behaviour?: GuestBehaviour;
}

export interface SimulatedStorage {
  readonly storage: string;
  readonly node: string;
  readonly plugin: string;
  readonly content: string;
  readonly shared: boolean;
  status: 'available' | 'unknown';
  total: number;
  used: number;
  /** Switched off in its definition. */
  disabled?: boolean;
}

/** A backup of a guest in a storage. */
export interface SimulatedArchive {
  readonly storage: string;
  /** Of a storage that isn't shared: whose. */
  readonly node: string;
  readonly vmid: number;
  readonly type: 'qemu' | 'lxc';
  /** Unix seconds. */
  readonly takenAt: number;
  readonly size: number;
  /** How its file's name ends. Default `vma.zst` or `tar.zst`. */
  readonly format?: string;
  notes?: string;
  protected?: boolean;
  /** What a Proxmox Backup Server found when it verified it. */
  verification?: 'ok' | 'failed';
  /** On a Proxmox Backup Server: the fingerprint of the key by which it is encrypted, or `1`. */
  readonly encrypted?: string;
  /** Where it really is, of one that was made here. */
  readonly file?: string;
}

export interface SimulatedToken {
  readonly user: string;
  readonly name: string;
  secret: string;
  separated: boolean;
  /** Unix seconds; 0 is never. */
  expire: number;
  comment?: string;
}

export interface SimulatedTask {
  readonly upid: string;
  readonly node: string;
  readonly pid: number;
  readonly pstart: number;
  readonly starttime: number;
  readonly type: string;
  readonly id: string;
  readonly user: string;
  readonly token?: string;
  readonly log: string[];
  /** Both there once it has ended. */
  endtime?: number;
  exitstatus?: string;
}

export interface AccessEntry {
  readonly path: string;
  /** `user@realm`, `user@realm!token` or `@group` */
  readonly subject: string;
  readonly role: string;
  readonly propagate: boolean;
}

/** Everything the simulated cluster knows. Handlers and tests change it in place. */
export interface SimulatorState {
  readonly version: { readonly version: string; readonly release: string; readonly repoid: string };
  /** Without a name the one node is in no cluster. */
  readonly cluster: { name?: string; readonly version: number; quorate: boolean };
  /** The node that answers. */
  readonly localNode: string;
  /** The daemon that is root on the node that answers: without it only what the proxy does itself is there. */
  daemon: 'up' | 'down';
  /** How long a second lasts in which a task waits for a guest (to go off, to be unlocked). */
  readonly pace: { secondMs: number };
  readonly nodes: Map<string, SimulatedNode>;
  readonly guests: Map<number, SimulatedGuest>;
  readonly storages: SimulatedStorage[];
  readonly archives: SimulatedArchive[];
  /** The folder with the files of archives, once there is one. */
  readonly dumps: { folder?: string };
  /** What a backup server lets out of its backups, file by file. */
  readonly fileRestore: FileRestore;
  /** Everything in storages but backups: disks of guests, images, templates, ISOs. */
  readonly volumes: SimulatedVolume[];
  readonly users: Map<string, SimulatedUser>;
  readonly groups: Map<string, SimulatedGroup>;
  readonly signIn: SignInState;
  readonly pools: Map<string, SimulatedPool>;
  /** By `user!name`. */
  readonly tokens: Map<string, SimulatedToken>;
  readonly roles: Map<string, readonly string[]>;
  readonly acl: AccessEntry[];
  /** By UPID, oldest first. */
  readonly tasks: Map<string, SimulatedTask>;
  readonly apiViewer: ApiViewerState;
  readonly configuration: ClusterConfiguration;
  readonly firewalls: Firewalls;
  readonly nodeSites: NodeSites;
  readonly storageDefinitions: StorageDefinitions;
  readonly web: SimulatedWeb;
}

export const gibibyte = 2 ** 30;

/** Now, in the API's unit. */
export function unixTime(): number {
  return Math.floor(Date.now() / 1000);
}

/** A small cluster of two nodes with four guests, three users and an API token of each kind. */
export function createState(): SimulatorState {
  const node = (name: string, id: number, load: number): [string, SimulatedNode] => [
    name,
    {
      name,
      id,
      ip: `192.0.2.${10 + id}`,
      fingerprint: '',
      online: true,
      api: 'up',
      cpus: 8,
      memory: 32 * gibibyte,
      disk: 94 * gibibyte,
      memoryUsed: 11 * gibibyte,
      diskUsed: 17 * gibibyte,
      load,
      bootedAt: unixTime() - 12 * 86_400,
      services: new Map(),
      updates: [],
    },
  ];
  const guest = (vmid: number, type: 'qemu' | 'lxc', name: string, on: string, running: boolean) =>
    [
      vmid,
      {
        vmid,
        type,
        name,
        node: on,
        status: running ? 'running' : 'stopped',
        cpus: 2,
        memory: 2 * gibibyte,
        disk: 16 * gibibyte,
        template: false,
        ...(running ? { startedAt: unixTime() - 3 * 86_400, pid: 800 + vmid } : {}),
      },
    ] as [number, SimulatedGuest];
  const local = (on: string): SimulatedStorage => ({
    storage: 'local',
    node: on,
    plugin: 'dir',
    content: 'backup,images,import,iso,rootdir,snippets,vztmpl',
    shared: false,
    status: 'available',
    total: 94 * gibibyte,
    used: 17 * gibibyte,
  });
  const nodes = new Map([node('pve1', 1, 0.12), node('pve2', 2, 0.04)]);
  const storages = [local('pve1'), local('pve2')];
  const volumes: SimulatedVolume[] = [];
  const guests = new Guests({ nodes, storages, volumes });
  for (const [vmid, one] of [
    guest(100, 'qemu', 'files', 'pve1', true),
    guest(101, 'lxc', 'dns', 'pve2', true),
    guest(102, 'lxc', 'proxy', 'pve1', false),
    guest(120, 'qemu', 'workstation', 'pve1', false),
  ]) {
    guests.set(vmid, one);
  }
  return {
    version: { version: '9.1.7', release: '9.1', repoid: '5a1b2c3d4e5f6071' },
    cluster: { name: 'homelab', version: 2, quorate: true },
    localNode: 'pve1',
    daemon: 'up',
    pace: { secondMs: 1000 },
    nodes,
    guests,
    storages,
    archives: [],
    dumps: {},
    fileRestore: { files: new Map(), notInTime: 0, download: 'whole' },
    volumes,
    users: new Map(
      ['root@pam', 'mcp@pve', 'audit@pve'].map((name) => [name, { enabled: true, expire: 0 } as SimulatedUser]),
    ),
    groups: new Map(),
    signIn: createSignIn(),
    pools: new Map(),
    tokens: new Map([
      token('mcp@pve', 'full', false),
      token('mcp@pve', 'limited', true),
      token('audit@pve', 'read', false),
    ]),
    roles: new Map(Object.entries(roles)),
    acl: [
      { path: '/', subject: 'mcp@pve', role: administrator, propagate: true },
      { path: '/', subject: 'audit@pve', role: 'PVEAuditor', propagate: true },
    ],
    tasks: new Map(),
    apiViewer: { file: 'there' },
    configuration: createClusterConfiguration(),
    firewalls: new Map(),
    nodeSites: new Map(),
    storageDefinitions: new Map([['local', { path: '/var/lib/vz', 'prune-backups': 'keep-all=1' }]]),
    web: createWeb(),
  };
}

/** A new API token with a random secret, as an entry of `state.tokens`. */
export function token(user: string, name: string, separated: boolean): [string, SimulatedToken] {
  return [`${user}!${name}`, { user, name, secret: randomUUID(), separated, expire: 0 }];
}
