import { z } from 'zod';
import { upidPattern } from './upid.ts';

// Unknown fields are kept: versions and plugins add theirs. Known ones are held to what is relied on.

/** Perl gives some numbers as text, and which ones changes between versions. */
export const figure = z.union([
  z.number(),
  z
    .string()
    .regex(/^-?\d+(\.\d+)?$/)
    .transform(Number),
]);
export const flag = z
  .union([z.literal([0, 1, '0', '1']), z.boolean()])
  .transform((value) => value === true || Number(value) === 1);
const usage = z.looseObject({ total: figure, used: figure, free: figure });

export const versionSchema = z.looseObject({ version: z.string(), release: z.string(), repoid: z.string() });

const nodeSchema = z.looseObject({
  node: z.string(),
  status: z.enum(['online', 'offline', 'unknown']),
  /** SHA-256, `AA:BB:…` */
  ssl_fingerprint: z.string().optional(),
  /** Share of all CPUs, 0 to 1. This and the following: only with Sys.Audit, and only while it is online. */
  cpu: figure.optional(),
  maxcpu: figure.optional(),
  /** Bytes. */
  mem: figure.optional(),
  maxmem: figure.optional(),
  /** Bytes, of the root file system. */
  disk: figure.optional(),
  maxdisk: figure.optional(),
  /** Seconds. */
  uptime: figure.optional(),
});

export const nodeStatusSchema = z.looseObject({
  /** Seconds. */
  uptime: figure,
  /** Share of all CPUs, 0 to 1. */
  cpu: figure,
  /** Of the last 1, 5 and 15 minutes. */
  loadavg: z.array(figure),
  /** All in bytes. */
  memory: usage,
  swap: usage,
  rootfs: usage.extend({ avail: figure }),
  pveversion: z.string(),
  kversion: z.string(),
  cpuinfo: z.looseObject({ cpus: figure, model: z.string() }),
});

const resourceSchema = z.looseObject({
  /** `qemu/100`, `node/pve1`, `storage/pve1/local` … */
  id: z.string(),
  type: z.string(),
  node: z.string().optional(),
  status: z.string().optional(),
  name: z.string().optional(),
  vmid: figure.optional(),
  template: flag.optional(),
  storage: z.string().optional(),
  tags: z.string().optional(),
  cpu: figure.optional(),
  maxcpu: figure.optional(),
  mem: figure.optional(),
  maxmem: figure.optional(),
  disk: figure.optional(),
  maxdisk: figure.optional(),
  uptime: figure.optional(),
});

/** An entry of type `qemu` or `lxc`: what there is of a guest without asking its node. */
const guestSchema = z.looseObject({
  type: z.enum(['qemu', 'lxc']),
  vmid: figure,
  node: z.string(),
  name: z.string().optional(),
  /** `running`, `stopped`; `unknown` while its node is away. */
  status: z.string().optional(),
  template: flag.optional(),
  /** Separated by `;`, in older versions by `,` or spaces. */
  tags: z.string().optional(),
  pool: z.string().optional(),
});

export const guestStatusSchema = z.looseObject({
  /** A VM that is paused is `running`. */
  status: z.enum(['running', 'stopped']),
  /** Only of a VM: `running`, `paused`, `stopped` … */
  qmpstatus: z.string().optional(),
  name: z.string().optional(),
  /** The lock of its configuration: `backup`, `migrate`, `snapshot` … */
  lock: z.string().optional(),
  ha: z.looseObject({ managed: flag, state: z.string().optional() }).optional(),
  template: flag.optional(),
  /** Process that it runs in; another one after each start. */
  pid: figure.optional(),
  /** Seconds. */
  uptime: figure,
});

const memberSchema = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('cluster'), name: z.string(), nodes: figure, quorate: flag, version: figure }),
  z.looseObject({
    type: z.literal('node'),
    name: z.string(),
    nodeid: figure.optional(),
    ip: z.string().optional(),
    online: flag,
    local: flag,
  }),
]);

/** Path → privilege → whether it reaches below the path. */
export const permissionsSchema = z.record(z.string(), z.record(z.string(), flag));

/** A storage as one node sees it. */
const storageSchema = z.looseObject({
  storage: z.string(),
  /** `dir`, `pbs`, `zfspool` … */
  type: z.string(),
  /** `backup,iso,vztmpl` */
  content: z.string(),
  /** Not switched off in its definition. */
  enabled: flag.default(true),
  /** The node can use it now. */
  active: flag.default(false),
  shared: flag.default(false),
  /** Bytes; 0 or absent while it isn't active. */
  total: figure.optional(),
  used: figure.optional(),
  avail: figure.optional(),
});

/** What a storage holds of type `backup`. */
const archiveSchema = z.looseObject({
  volid: z.string(),
  /** Absent of archives whose names say no guest. */
  vmid: figure.optional(),
  /** Unix seconds. */
  ctime: figure.optional(),
  /** Bytes. */
  size: figure.optional(),
  /** `qemu` or `lxc`. */
  subtype: z.string().optional(),
  /** The first line. */
  notes: z.string().optional(),
  protected: flag.optional(),
  /** Only of a Proxmox Backup Server that has verified it. */
  verification: z.looseObject({ state: z.string() }).optional(),
  /** Only of a Proxmox Backup Server: the fingerprint of the key it was encrypted by, or `1` where that isn't known. */
  encrypted: z.union([z.string(), z.number()]).optional(),
});

/** A guest of one node, as that node itself sees it. */
const nodeGuestSchema = z.looseObject({
  vmid: figure,
  name: z.string().optional(),
  /** `running` or `stopped`. */
  status: z.string(),
  template: flag.optional(),
  /** The lock of its configuration: `backup`, `migrate` … */
  lock: z.string().optional(),
});

/** What of a guest's configuration says whether it runs with its host. */
export const guestConfigSchema = z.looseObject({
  onboot: flag.default(false),
  template: flag.default(false),
  lock: z.string().optional(),
});

const serviceSchema = z.looseObject({
  service: z.string(),
  /** systemd's SubState. */
  state: z.string(),
  /** systemd's ActiveState; versions before 8 don't tell it. */
  'active-state': z.string().optional(),
  'unit-state': z.string().optional(),
});

/** A package of which there is a newer version. */
const updateSchema = z.looseObject({
  Package: z.string(),
  Version: z.string().optional(),
  OldVersion: z.string().optional(),
  Origin: z.string().optional(),
});

const taskSchema = z.looseObject({
  upid: z.string(),
  node: z.string(),
  type: z.string(),
  /** What it works on; may be empty. */
  id: z.string(),
  user: z.string(),
  tokenid: z.string().optional(),
  /** Unix seconds. */
  starttime: figure,
  endtime: figure.optional(),
  /** `RUNNING`, `OK`, `WARNINGS: n` or what went wrong. */
  status: z.string().optional(),
});

/** As a Proxmox Backup Server lists them; one that runs has no end there. */
export const backupServerTasksSchema = z.array(
  z
    .looseObject({
      upid: z.string(),
      node: z.string(),
      worker_type: z.string(),
      worker_id: z.string().nullish(),
      user: z.string(),
      starttime: figure,
      endtime: figure.optional(),
      status: z.string().optional(),
    })
    .transform(({ worker_type: type, worker_id: id, status, endtime, ...task }) => ({
      ...task,
      type,
      id: id ?? '',
      ...(endtime === undefined ? { status: 'RUNNING' } : { endtime, ...(status !== undefined && { status }) }),
    })),
);

export const taskStatusSchema = z.looseObject({
  upid: z.string(),
  node: z.string(),
  type: z.string(),
  id: z
    .string()
    .nullish()
    .transform((id) => id ?? ''),
  user: z.string(),
  tokenid: z.string().optional(),
  starttime: figure,
  status: z.enum(['running', 'stopped']),
  /** Once stopped: `OK`, `WARNINGS: n` (both successes) or what went wrong. */
  exitstatus: z.string().optional(),
});

/** What a call answers that starts something. Some answer another text where they started nothing. */
export const upidSchema = z.string().regex(upidPattern, 'not the id of a task (UPID)');

export const taskLogSchema = z.array(z.looseObject({ n: figure, t: z.string() }));

export const nodesSchema = z.array(nodeSchema);
export const resourcesSchema = z.array(resourceSchema);
export const guestsSchema = z.array(guestSchema);
export const clusterStatusSchema = z.array(memberSchema);
export const tasksSchema = z.array(taskSchema);
export const storagesSchema = z.array(storageSchema);
export const archivesSchema = z.array(archiveSchema);
export const nodeGuestsSchema = z.array(nodeGuestSchema);
/** Jobs under Datacenter > Backup. */
export const backupJobsSchema = z.array(
  z.looseObject({
    id: z.string(),
    enabled: flag.optional(),
    schedule: z.string().optional(),
    storage: z.string().optional(),
    mode: z.string().optional(),
    all: flag.optional(),
    vmid: z.union([z.string(), z.number()]).optional(),
    pool: z.string().optional(),
    exclude: z.string().optional(),
    node: z.string().optional(),
    'next-run': figure.optional(),
    'prune-backups': z.unknown().optional(),
    comment: z.string().optional(),
  }),
);
/** Storages as the cluster defines them, for all nodes. */
export const storageDefinitionsSchema = z.array(
  z.looseObject({
    storage: z.string(),
    type: z.string(),
    /** The fingerprint of the key by which a backup server's backups are encrypted here, or `1` where the key names none. */
    'encryption-key': z.union([z.string(), z.number()]).optional(),
  }),
);
export const uncoveredGuestsSchema = z.array(z.looseObject({ vmid: figure, name: z.string().optional() }));
export const servicesSchema = z.array(serviceSchema);
export const updatesSchema = z.array(updateSchema);

export type ProxmoxVersion = z.infer<typeof versionSchema>;
export type ProxmoxNode = z.infer<typeof nodeSchema>;
export type ProxmoxNodeStatus = z.infer<typeof nodeStatusSchema>;
export type ProxmoxResource = z.infer<typeof resourceSchema>;
export type ProxmoxGuest = z.infer<typeof guestSchema>;
export type ProxmoxGuestStatus = z.infer<typeof guestStatusSchema>;
export type ProxmoxClusterStatus = z.infer<typeof memberSchema>;
export type ProxmoxPermissions = z.infer<typeof permissionsSchema>;
export type ProxmoxTask = z.infer<typeof taskSchema>;
export type ProxmoxStorage = z.infer<typeof storageSchema>;
export type ProxmoxArchive = z.infer<typeof archiveSchema>;
export type ProxmoxNodeGuest = z.infer<typeof nodeGuestSchema>;
export type ProxmoxService = z.infer<typeof serviceSchema>;
export type ProxmoxUpdate = z.infer<typeof updateSchema>;
export type ProxmoxTaskStatus = z.infer<typeof taskStatusSchema>;
