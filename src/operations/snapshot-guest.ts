import { z } from 'zod';
import { defineApiChange, effect, runMark, undoBy } from './api-change.ts';
import {
  type GuestSnapshots,
  guestPath,
  guestTask,
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
      }),
    steps: ['Look', 'Snapshot'],
    undo: {
      how: 'The snapshot is deleted, as long as no later one was made from it.',
      reverse: ({ host, vmid: of, snapshot }) => ({
        operation: 'delete-snapshot',
        input: { host, vmid: of, snapshot },
        expects: [{ name: 'Snapshot', value: snapshot }],
        asLongAs: 'it is still there and nobody has gone back to it',
      }),
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest), snapshots: readSnapshots(guest) }),
    plan({ input, guest, node }, { state, snapshots }) {
      const { snapshot, description } = input;
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      if (names.includes(snapshot)) {
        return {
          refused: {
            code: 'already-exists',
            message: `${TheGuest(guest)} has a snapshot "${snapshot}" already, and nothing was done`,
            remedy: 'Give another name, or delete that one first (delete-snapshot).',
            field: 'snapshot',
          },
        };
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
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
                description: `${description}${description === '' ? '' : '\n'}Proxmox MCP: ${runMark}`,
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
            }),
            undo: undoBy({
              says: 'the snapshot is deleted',
              reads: { snapshots: snapshotsNow },
              plan(now, run) {
                if (!has(now.snapshots)?.description?.includes(run)) return undefined;
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
        done: `${TheGuest(guest)} has the snapshot ${snapshot}.`,
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
