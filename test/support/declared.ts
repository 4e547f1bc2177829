import { archiveVolid } from '../../lab/proxmox/guests/archives.ts';
import type { ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { SimulatedGuest, SimulatorState } from '../../lab/proxmox/state.ts';

/** A request of a declared operation, and what it needs to be there. */
export interface DeclaredRequest {
  readonly operation: string;
  /** The guest that it is for, if it is for one; it is on pve1. */
  readonly guest?: Partial<SimulatedGuest>;
  readonly prepare?: (state: SimulatorState, vmid: number) => void;
  readonly input: (vmid: number) => Readonly<Record<string, unknown>>;
  /** The step that its first call is of. */
  readonly step: string;
  /**
   * What it does while the cluster has no quorum, where it isn't just refused: `works`, as it needs none; `half`, as Proxmox
   * finds out only when its image has been changed (recorded).
   */
  readonly withoutQuorum?: 'works' | 'half';
  /** Whether its call was made, where neither a task nor a guest shows that. */
  readonly begun?: () => boolean;
  /** What is to be said of how it ends in the crash matrix, where that is something particular. */
  readonly effects?: { readonly done?: string; readonly undone: string };
  /** What it has done when it is cancelled can't be taken back. */
  readonly stays?: true;
  /** Numbers and names that the tasks of it bear, beside the guest's own. */
  readonly ids?: (vmid: number) => readonly string[];
}

const gibibyte = 2 ** 30;
const image = 'https://images.example.test/declared.qcow2';
const on: Partial<SimulatedGuest> = { status: 'running', pid: 4_321 };

function withSnapshot(state: SimulatorState, vmid: number): void {
  const guest = state.guests.get(vmid);
  if (guest === undefined) throw new Error(`no guest ${vmid}`);
  guest.snapshots = [
    { name: 'before', snaptime: 1_700_000_000, description: '', config: { ...guest.config, memory: '512' } },
  ] as NonNullable<SimulatedGuest['snapshots']>;
}

function withAgent({ guests }: SimulatorState, vmid: number): void {
  const guest = guests.get(vmid);
  if (guest?.config) guest.config.agent = '1';
  if (guest) guest.behaviour = { agent: { files: new Map([['/etc/motd', 'old']]) } };
}

const takenAt = 1_780_000_000;

/** A backup of before: the only one of a guest is never taken back. */
function withArchive(state: SimulatorState, vmid: number): void {
  state.archives.push({ storage: 'local', node: 'pve1', vmid, type: 'qemu', takenAt, size: 4_096 });
}

function archiveOf(vmid: number): string {
  return archiveVolid({ storage: 'local', vmid, type: 'qemu', takenAt }, 'dir');
}

/** One request of each declared operation of the catalogue, each of a guest of its own. A test holds the list to that. */
export const declaredRequests: readonly DeclaredRequest[] = [
  { operation: 'snapshot-guest', step: 'Snapshot', input: () => ({ snapshot: 'before' }) },
  { operation: 'configure-guest', step: 'Configure', input: () => ({ set: { memory: 1024, onboot: true } }) },
  {
    operation: 'resize-disk',
    step: 'Resize',
    input: () => ({ disk: 'scsi0', size: '+1G' }),
    withoutQuorum: 'half',
    stays: true,
    effects: { undone: 'its task has ended; a disk that has grown stays so' },
  },
  { operation: 'move-disk', step: 'Move', input: () => ({ disk: 'scsi0', storage: 'fast' }) },
  { operation: 'add-disk', step: 'Add', input: () => ({ storage: 'local', sizeGiB: 2 }) },
  { operation: 'remove-disk', step: 'Detach', input: () => ({ disk: 'scsi0', action: 'detach' }) },
  { operation: 'migrate-guest', step: 'Migrate', input: () => ({ target: 'pve2' }) },
  {
    operation: 'download-image',
    step: 'Download',
    prepare: ({ web }) => {
      web.downloads.set(image, { content: Buffer.from('an image') });
    },
    input: () => ({ storage: 'local', url: image }),
    ids: () => ['declared.qcow2'],
    withoutQuorum: 'works',
  },
  {
    operation: 'change-guest-firewall',
    step: 'Change',
    input: () => ({ action: 'add', verdict: 'ACCEPT', proto: 'tcp', dport: '22' }),
  },
  { operation: 'change-ha', step: 'Change', input: () => ({ action: 'add', maxRestart: 3 }) },
  {
    operation: 'change-replication',
    step: 'Change',
    prepare: ({ storages, guests }, vmid) => {
      if (!storages.some(({ storage }) => storage === 'tank')) {
        for (const node of ['pve1', 'pve2']) {
          const tank = { storage: 'tank', node, plugin: 'zfspool', content: 'images,rootdir', shared: false } as const;
          storages.push({ ...tank, status: 'available', total: 2 ** 40, used: 0 });
        }
      }
      const { config } = guests.get(vmid) ?? {};
      if (config) config.scsi0 = `tank:vm-${vmid}-disk-0,size=16G`;
    },
    input: () => ({ action: 'create', target: 'pve2' }),
  },
  {
    operation: 'send-file',
    step: 'Write',
    guest: on,
    prepare: withAgent,
    input: () => ({ path: '/etc/motd', content: 'new' }),
    withoutQuorum: 'works',
  },
  { operation: 'roll-back-guest', step: 'Roll back', prepare: withSnapshot, input: () => ({ snapshot: 'before' }) },
  { operation: 'delete-snapshot', step: 'Delete', prepare: withSnapshot, input: () => ({ snapshot: 'before' }) },
  { operation: 'delete-guest', step: 'Delete', input: () => ({}), withoutQuorum: 'half' },
  {
    operation: 'clone-guest',
    step: 'Clone',
    input: (vmid) => ({ name: `copy-${vmid}`, newVmid: vmid + 1_000, full: true }),
    ids: (vmid) => [String(vmid + 1_000)],
  },
  {
    operation: 'create-container',
    step: 'Create',
    prepare: (state) => {
      state.volumes.push({
        volid: 'local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst',
        storage: 'local',
        node: 'pve1',
        content: 'vztmpl',
        format: 'tzst',
        size: 2 ** 20,
      } as SimulatorState['volumes'][number]);
    },
    input: (vmid) => ({ name: `ct-${vmid}`, newVmid: vmid + 1_000, storage: 'local', start: false }),
    ids: (vmid) => [String(vmid + 1_000)],
  },
  {
    operation: 'create-vm',
    step: 'Create',
    prepare: (state) => {
      state.volumes.push({
        volid: 'local:import/debian-13.qcow2',
        storage: 'local',
        node: 'pve1',
        content: 'import',
        format: 'qcow2',
        size: 2 * gibibyte,
      } as SimulatorState['volumes'][number]);
    },
    input: (vmid) => ({ name: `vm-${vmid}`, newVmid: vmid + 1_000, storage: 'local', start: false }),
    ids: (vmid) => [String(vmid + 1_000)],
  },
  { operation: 'convert-to-template', step: 'Convert', input: () => ({}) },
  { operation: 'suspend-guest', step: 'Suspend', guest: on, input: () => ({ to: 'disk' }) },
  {
    operation: 'resume-guest',
    step: 'Resume',
    guest: { ...on, paused: true },
    input: () => ({}),
    withoutQuorum: 'works',
  },
  {
    operation: 'back-up-guest',
    step: 'Back up',
    prepare: withArchive,
    input: () => ({ storage: 'local', notes: 'before the upgrade' }),
    ids: (vmid) => [`${vmid}@local`],
  },
  {
    operation: 'restore-guest',
    step: 'Restore',
    prepare: withArchive,
    input: (vmid) => ({
      archive: archiveOf(vmid),
      newVmid: vmid + 1_000,
      name: `copy-${vmid}`,
      storage: 'local',
      network: 'kept',
    }),
    ids: (vmid) => [String(vmid + 1_000)],
  },
  { operation: 'label-guest', step: 'Label', input: () => ({ addTags: ['web'], notes: 'a note' }) },
];

/** How often the command of {@link otherRequests} was started in its guest, and how long it goes on. */
export const commandsRun = { count: 0, takesMs: 12_000 };

/** What is not declared, and changes guests all the same. */
export const otherRequests: readonly DeclaredRequest[] = [
  {
    operation: 'change-guests',
    step: 'Carry out',
    prepare: (state, vmid) => {
      const first = state.guests.get(vmid) as SimulatedGuest;
      const { type, name, node, status, cpus, memory, disk, template } = first;
      state.guests.set(vmid + 1_000, {
        ...{ vmid: vmid + 1_000, type, name: `${name}-2`, node, status, cpus, memory, disk, template },
      });
    },
    input: (vmid) => ({ change: 'snapshot', with: { snapshot: 'before' }, vmids: [vmid, vmid + 1_000] }),
    ids: (vmid) => [String(vmid + 1_000)],
  },
  {
    operation: 'run-in-guest',
    step: 'Follow',
    guest: on,
    prepare: (state, vmid) => {
      const guest = state.guests.get(vmid) as SimulatedGuest;
      if (guest.config) guest.config.agent = '1';
      commandsRun.count = 0;
      const run = () => {
        commandsRun.count += 1;
        return { output: 'done', takesMs: commandsRun.takesMs };
      };
      guest.behaviour = { agent: { run } };
    },
    input: () => ({ command: ['sleep', '12'], timeoutSeconds: 600 }),
    begun: () => commandsRun.count > 0,
    effects: { done: 'the command was started once', undone: 'the command was started once, and goes on in the guest' },
  },
];

/** The guest of each request. */
export function vmidOf(request: DeclaredRequest): number {
  return 300 + [...declaredRequests, ...otherRequests].indexOf(request);
}

/** Guests as they are before, and nothing that was done. */
export function prepareAll({ state }: ProxmoxSimulator, requests: readonly DeclaredRequest[]): void {
  state.guests.clear();
  state.tasks.clear();
  state.firewalls.clear();
  state.configuration.replication.clear();
  state.volumes.splice(0);
  state.archives.splice(0, Number.POSITIVE_INFINITY, ...state.archives.filter(({ vmid }) => vmid < 300));
  if (state.storages.every(({ storage }) => storage !== 'fast')) {
    for (const node of ['pve1', 'pve2']) {
      state.storages.push({
        storage: 'fast',
        node,
        plugin: 'lvmthin',
        content: 'images,rootdir',
        shared: false,
        status: 'available',
        total: 1_000 * gibibyte,
        used: gibibyte,
      });
    }
  }
  for (const storage of state.storages) storage.total = 10_000 * gibibyte;
  for (const request of requests) {
    const vmid = vmidOf(request);
    state.guests.set(vmid, {
      vmid,
      type: 'qemu',
      name: `guest-${vmid}`,
      node: 'pve1',
      status: 'stopped',
      cpus: 1,
      memory: 2 * gibibyte,
      disk: 4 * gibibyte,
      template: false,
      ...request.guest,
    } as SimulatedGuest);
    request.prepare?.(state, vmid);
  }
}

/** What an operation could have changed, as one comparable value. */
export function worldOf({ state }: ProxmoxSimulator, request: DeclaredRequest): unknown {
  const vmids = [vmidOf(request), vmidOf(request) + 1_000];
  const ids = request.ids?.(vmidOf(request)) ?? [];
  return structuredClone({
    guests: vmids.map((vmid) => {
      const guest = state.guests.get(vmid);
      if (guest === undefined) return undefined;
      const { node, status, paused = false, lock, config, pending = {}, snapshots = [], ha, behaviour } = guest;
      const files = [...(behaviour?.agent?.files ?? [])].map(([path, content]) => [path, String(content)]);
      const names = snapshots.map(({ name }) => name);
      return { vmid, node, status, paused, lock, config, pending, snapshots: names, ha: ha !== undefined, files };
    }),
    rules: vmids.flatMap((vmid) => state.firewalls.get(`guest/${vmid}`)?.rules ?? []),
    jobs: [...state.configuration.replication.values()]
      .filter(({ guest }) => vmids.includes(guest))
      .map(({ id }) => id),
    archives: state.archives
      .filter(({ vmid }) => vmids.includes(vmid))
      .map(({ vmid, storage, notes = '' }) => ({ vmid, storage, notes })),
    volumes: state.volumes
      .filter(({ vmid, volid }) => (vmid !== undefined && vmids.includes(vmid)) || ids.some((id) => volid.endsWith(id)))
      .map(({ volid, size, node }) => ({ volid, size, node })),
  });
}

/** The tasks that were started for it, in order: `qmclone 300`. */
export function tasksOf({ state }: ProxmoxSimulator, request: DeclaredRequest): readonly string[] {
  const ids = [String(vmidOf(request)), ...(request.ids?.(vmidOf(request)) ?? [])];
  return [...state.tasks.values()]
    .filter(({ id, user }) => ids.includes(id) && user === 'mcp@pve')
    .map(({ type, id }) => `${type} ${id}`);
}
