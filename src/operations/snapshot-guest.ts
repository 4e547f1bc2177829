import { z } from 'zod';
import { apiRead, defineApiChange, effect, refuse, undoBy } from './api-change.ts';
import {
  type GuestSnapshots,
  guestPath,
  guestTask,
  madeBy,
  marked,
  readSnapshots,
  readState,
  refuseLocked,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { guestLabel } from './target.ts';

/** A snapshot of a guest, with or without the RAM of a VM that runs. */
export const snapshotGuest = defineApiChange(
  {
    name: 'snapshot-guest',
    title: 'Snapshot guest',
    summary: 'Take a snapshot of a VM or container, and see that it is there.',
    description:
      'Take a snapshot (checkpoint, restore point) of a VM or container, to go back to by roll-back-guest: before an upgrade or a change. withRam keeps the memory of a running VM, too. It is no backup: it lies on the same storage. For many guests at once: change-guests.',
    guide: 'qm snapshot and pct snapshot by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [{ privilege: 'VM.Audit', on: 'guest' }],
      changes: [{ privilege: 'VM.Snapshot', on: 'guest' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        snapshot: snapshotName(),
        description: z.string().max(1000).default('').describe('Why it was taken'),
        withRam: z.boolean().default(false).describe('Of a running VM: its memory too, so that it goes on from there'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        snapshot: z.string(),
        withRam: z.boolean(),
        before: z.array(z.string()).describe('Snapshots that there were'),
        taken: z.int().optional().describe('When, in Unix seconds of its node; absent in a plan'),
      }),
    steps: ['Look', 'Snapshot'],
    undo: {
      how: 'The snapshot is deleted; the guest itself stays as it is.',
      reverse: ({ host, vmid: of, snapshot }, { taken }) => ({
        operation: 'delete-snapshot',
        input: { host, vmid: of, snapshot },
        expects: [
          { name: 'Snapshot', value: snapshot },
          ...(taken === undefined ? [] : [{ name: 'Taken', value: takenAt(taken) }]),
        ],
        asLongAs: 'it is still the one that was taken then',
      }),
    },
  },
  {
    reads: ({ guest }) => ({
      state: readState(guest),
      snapshots: readSnapshots(guest),
      feature: apiRead({
        ...guestPath(guest, '/feature'),
        parameters: { feature: 'snapshot' },
        schema: z.object({ hasFeature: z.union([z.number(), z.boolean(), z.string()]).transform(Number) }),
      }),
    }),
    plan({ input, guest, node }, { state, snapshots, feature }) {
      const { snapshot, description } = input;
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      if (names.includes(snapshot)) {
        return refuse(
          'already-exists',
          `${TheGuest(guest)} has a snapshot "${snapshot}" already, and nothing was done`,
          'Give another name, or delete that one first (delete-snapshot).',
          'snapshot',
        );
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      if (feature.hasFeature !== 1) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has a disk on a storage that can't take snapshots, and nothing was done`,
          'Back it up instead, or move its disks to a storage that can: ZFS, LVM-thin, Ceph, or qcow2 files.',
        );
      }
      const withRam = input.withRam && guest.type === 'qemu' && state.status === 'running';
      const has = (now: GuestSnapshots) => now.find(({ name }) => name === snapshot);
      const snapshotsNow = readSnapshots(guest);
      return {
        summary: `take the snapshot ${snapshot} of ${theGuest(guest)}${withRam ? ', with its RAM' : ''}`,
        state: [
          { name: 'State', value: state.status },
          { name: 'Node', value: node },
          { name: 'Snapshots', value: names.join(', ') || 'none' },
        ],
        affected: withRam ? [`${TheGuest(guest)} stands still while its RAM is written`] : [],
        risks: ['The storage fills as the guest changes, until the snapshot is deleted'],
        steps: [
          {
            title: 'Snapshot',
            call: {
              method: 'POST',
              ...guestPath(guest, '/snapshot'),
              parameters: {
                snapname: snapshot,
                description: marked(description),
                ...(guest.type === 'qemu' && { vmstate: withRam }),
              },
            },
            task: guestTask(guest, { qemu: 'qmsnapshot', lxc: 'vzsnapshot' }),
            effect: effect({
              reads: { snapshots: snapshotsNow },
              lacks(now) {
                const made = has(now.snapshots);
                if (made === undefined) return `the ${guestLabel(guest)} has no snapshot ${snapshot}`;
                return withRam && made.vmstate !== 1 ? `the snapshot ${snapshot} has no RAM` : undefined;
              },
              facts: (now) => ({ taken: has(now.snapshots)?.snaptime }),
            }),
            undo: undoBy({
              says: 'the snapshot is deleted',
              reads: { snapshots: snapshotsNow },
              plan(now, run) {
                if (madeBy(has(now.snapshots)?.description) !== run) return undefined;
                return {
                  call: { method: 'DELETE', ...guestPath(guest, '/snapshot/*', snapshot) },
                  task: guestTask(guest, { qemu: 'qmdelsnapshot', lxc: 'vzdelsnapshot' }),
                  effect: effect({
                    reads: { snapshots: snapshotsNow },
                    lacks: (then) => (has(then.snapshots) ? `the snapshot ${snapshot} is still there` : undefined),
                  }),
                };
              },
            }),
          },
        ],
        output: { vmid: guest.vmid, node, snapshot, withRam, before: names },
        done: `${TheGuest(guest)} has the snapshot ${snapshot}${withRam ? ', with its RAM' : ''}.`,
        ...(input.withRam &&
          !withRam && {
            findings: [
              {
                check: 'RAM',
                verdict: 'skipped' as const,
                summary:
                  guest.type === 'qemu' ? 'It is off, so there is no RAM to keep' : 'A container has none of its own',
              },
            ],
          }),
      };
    },
  },
);

/** Proxmox's own rule for names of snapshots. */
export function snapshotName() {
  return z
    .string()
    .max(40)
    .regex(/^[a-zA-Z][a-zA-Z0-9_-]+$/, 'expected 2 to 40 letters, digits, _ and -, beginning with a letter')
    .refine((name) => name !== 'current', 'expected another name than "current", which is the guest as it is now')
    .describe('Name of the snapshot, e.g. before-upgrade');
}

/** When a snapshot was taken, as plans have it. */
export function takenAt(seconds: number | undefined): string {
  return seconds === undefined ? 'unknown' : new Date(seconds * 1000).toISOString();
}
