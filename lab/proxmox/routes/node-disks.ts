import { ApiFailure } from '../answer.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedDisk, SimulatedPoolOfDisks } from '../state/nodes.ts';
import { siteFor } from './nodes.ts';

const base = '/nodes/{node}/disks';

/** Disks, what is made of them, and how they are. */
export const nodeDiskRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: base,
    handle: () => ({
      data: ['list', 'initgpt', 'smart', 'lvm', 'lvmthin', 'directory', 'wipedisk', 'zfs'].map((name) => ({ name })),
    }),
  },
  {
    method: 'GET',
    path: `${base}/list`,
    handle: (call) => ({
      data: siteFor(call)
        .disks.filter((disk) => isWanted(disk, call))
        .map(entry),
    }),
  },
  {
    method: 'GET',
    path: `${base}/smart`,
    handle: (call) => {
      const disk = siteFor(call).disks.find(({ devpath }) => devpath === call.parameters.disk);
      if (!disk) throw new ApiFailure(500, 'not a valid block device');
      return { data: call.parameters.healthonly ? { health: disk.health } : smart(disk) };
    },
  },
  {
    method: 'GET',
    path: `${base}/lvm`,
    handle: (call) => {
      const children = siteFor(call).volumeGroups.map(({ name, size, free, device }) => ({
        name,
        size,
        free,
        leaf: 0,
        lvcount: 3,
        children: [{ name: device, size, free, leaf: 1 }],
      }));
      return { data: { leaf: 0, children } };
    },
  },
  {
    method: 'GET',
    path: `${base}/lvmthin`,
    handle: (call) => ({ data: siteFor(call).thinPools.map((pool) => ({ ...pool })) }),
  },
  { method: 'GET', path: `${base}/zfs`, handle: (call) => ({ data: siteFor(call).zfs.map(zpool) }) },
  {
    method: 'GET',
    path: `${base}/zfs/{name}`,
    handle: (call) => {
      const pool = siteFor(call).zfs.find(({ name }) => name === call.parameters.name);
      if (!pool) throw new ApiFailure(500, `command 'zpool status -P ${call.parameters.name}' failed: exit code 1`);
      return { data: zpoolStatus(pool) };
    },
  },
  {
    method: 'GET',
    path: `${base}/directory`,
    handle: (call) => ({
      data: siteFor(call).directories.map((one) => ({
        ...one,
        options: 'defaults',
        unitfile: `/etc/systemd/system/${one.path.slice(1).replaceAll('/', '-')}.mount`,
      })),
    }),
  },
];

function isWanted({ used, type }: SimulatedDisk, { parameters }: Call): boolean {
  if (parameters.type === 'unused') return used === undefined;
  return parameters.type !== 'journal_disks' || type !== 'hdd';
}

function entry({ devpath, model, serial, size, type, health, used, wearout }: SimulatedDisk) {
  return {
    devpath,
    model,
    serial,
    size,
    type,
    health,
    gpt: used === undefined ? 0 : 1,
    vendor: 'unknown',
    wwn: `0x5000${serial.length}${size % 10_000}`,
    by_id_link: `/dev/disk/by-id/${type === 'nvme' ? 'nvme' : 'ata'}-${model.replaceAll(' ', '_')}_${serial}`,
    rpm: type === 'hdd' ? 7200 : 0,
    wearout: wearout ?? 'N/A',
    osdid: -1,
    'osdid-list': null,
    ...(used === undefined ? {} : { used }),
  };
}

function smart({ type, health, attributes, wearout }: SimulatedDisk) {
  const lines = Object.entries(attributes);
  if (type === 'nvme') {
    const text = lines.map(([name, value]) => `${`${name}:`.padEnd(36)}${value}`).join('\n');
    return { health, type: 'text', wearout, text: `SMART/Health Information (NVMe Log 0x02)\n${text}\n` };
  }
  return {
    health,
    type: 'ata',
    attributes: lines.map(([name, raw], index) => ({
      id: String(index + 1).padStart(3),
      name,
      flags: '-O--CK',
      value: 100,
      worst: 100,
      threshold: 10,
      normalized: 100,
      fail: '-',
      raw: String(raw),
    })),
  };
}

function zpool({ name, size, alloc, health, frag }: SimulatedPoolOfDisks) {
  return { name, size, alloc, free: size - alloc, health, frag, dedup: 1 };
}

function zpoolStatus({ name, health, devices, scan, errors }: SimulatedPoolOfDisks) {
  const state = health;
  const good = { read: 0, write: 0, cksum: 0, msg: '' };
  const leaves = devices.map((device) => ({ name: `/dev/${device}`, state, leaf: 1, ...good }));
  return {
    name,
    state: health,
    ...(scan === undefined ? {} : { scan }),
    errors: errors ?? 'No known data errors',
    leaf: 0,
    children: [{ name, state, leaf: 0, ...good, children: leaves }],
  };
}
