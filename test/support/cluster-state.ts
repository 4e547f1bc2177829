import { expect } from 'vitest';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { ApiChangeLab, Carried } from './api-change.ts';

/** All that a simulated cluster holds of guests, comparable; without processes and times. */
export function asItIs({ simulator: { state } }: ApiChangeLab): string {
  const guests = [...state.guests.values()].map(({ pid: _, startedAt: __, ...guest }) => ({
    ...guest,
    config: Object.fromEntries(Object.entries(guest.config ?? {}).toSorted()),
    pending: guest.pending && Object.keys(guest.pending).length > 0 ? guest.pending : undefined,
    snapshots: guest.snapshots?.length ? guest.snapshots : undefined,
  }));
  return JSON.stringify(
    {
      guests: guests.toSorted((a, b) => a.vmid - b.vmid),
      volumes: state.volumes.map(({ ctime: _, ...volume }) => volume).toSorted((a, b) => (a.volid < b.volid ? -1 : 1)),
      pools: [...state.pools].map(([name, { vms }]) => [name, [...vms]]),
    },
    null,
    1,
  );
}

/** Carries out what takes a finished run back, after its plan was compared with what that run left. */
export async function takeBackRun(
  lab: ApiChangeLab,
  operation: OperationName,
  input: Readonly<Record<string, unknown>>,
  output: Readonly<Record<string, unknown>>,
): Promise<Carried> {
  const { undo } = catalogue[operation];
  const way = undo?.reverse({ host: 'pve1', ...input }, output);
  if (way === undefined || 'why' in way) return expect.unreachable(way?.why);
  const back = (way.operation ?? operation) as OperationName;
  const { plan } = await lab.look(back, way.input);
  for (const line of way.expects) expect(plan.state).toContainEqual(line);
  return await lab.carryOut(back, way.input);
}

/** A cloud image, an installer's ISO, a container template and a second storage, as a cluster that is in use has them. */
export function furnish({ simulator: { state } }: Pick<ApiChangeLab, 'simulator'>): void {
  const volume = { storage: 'local', node: 'pve1', used: 300 * 2 ** 20, size: 300 * 2 ** 20, ctime: 1_700_000_000 };
  state.volumes.push(
    { ...volume, volid: 'local:import/debian-13.qcow2', content: 'import', format: 'qcow2', size: 3 * 2 ** 30 },
    { ...volume, volid: 'local:iso/debian-13.iso', content: 'iso', format: 'iso' },
    { ...volume, volid: 'local:vztmpl/debian-13_amd64.tar.zst', content: 'vztmpl', format: 'tzst' },
  );
  state.pools.set('web', { vms: new Set(), storages: new Set() });
}

/** One more storage on both nodes. */
export function addStorage(
  { simulator: { state } }: ApiChangeLab,
  storage: string,
  more: {
    readonly plugin?: string;
    readonly content?: string;
    readonly shared?: boolean;
    readonly total?: number;
  } = {},
): void {
  for (const node of state.nodes.keys()) {
    state.storages.push({
      storage,
      node,
      plugin: 'lvmthin',
      content: 'images,rootdir',
      shared: false,
      status: 'available',
      total: 100 * 2 ** 30,
      used: 0,
      ...more,
    });
  }
}

/** Puts the disk of a container onto a storage that can take snapshots; the one that it has can't. */
export function letSnapshot(lab: ApiChangeLab, vmid: number): void {
  const { state } = lab.simulator;
  if (!state.storages.some(({ storage }) => storage === 'thin')) addStorage(lab, 'thin');
  const guest = state.guests.get(vmid);
  const at = state.volumes.findIndex((one) => one.vmid === vmid);
  const volume = state.volumes[at];
  if (guest?.config === undefined || volume === undefined) throw new Error(`no container ${vmid}`);
  const volid = `thin:vm-${vmid}-disk-0`;
  state.volumes[at] = { ...volume, volid, storage: 'thin', format: 'raw' };
  guest.config.rootfs = `${volid},size=16G`;
}
