import { z } from 'zod';
import { defineApiChange, effect } from './api-change.ts';
import {
  guestPath,
  guestTask,
  madeBy,
  readSnapshots,
  readState,
  refuseLocked,
  refuseMissing,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';
import { snapshotName, takenAt } from './snapshot-guest.ts';
import { guestLabel } from './target.ts';

/** A snapshot that has served; the guest itself stays as it is. */
export const deleteSnapshot = defineApiChange(
  {
    name: 'delete-snapshot',
    title: 'Delete snapshot',
    summary: 'Delete a snapshot of a VM or container, and see that it is gone and the guest is not left locked.',
    description:
      'Delete (remove) a snapshot of a VM or container, when it is not needed any more: its space is freed, and the guest stays as it is. It is how a snapshot-guest is undone.',
    guide: 'qm delsnapshot and pct delsnapshot by hand',
    target: 'guest',
    risk: 'dangerous',
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
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        snapshot: z.string(),
        taken: z.string().describe('When it was taken'),
        withRam: z.boolean(),
        kept: z.array(z.string()).describe('Snapshots that there still are'),
      }),
    steps: ['Look', 'Delete'],
    undo: {
      how: 'Not at all: what only the snapshot held is gone.',
      reverse: (_, { snapshot, taken }) => ({
        why: `What only the snapshot ${snapshot} of ${taken} held is gone.`,
      }),
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest), snapshots: readSnapshots(guest) }),
    plan({ input: { snapshot }, guest, node }, { state, snapshots }) {
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      const found = snapshots.find(({ name }) => name === snapshot);
      if (found === undefined) {
        return refuseMissing(`snapshot "${snapshot}" of the ${guestLabel(guest)}`, 'snapshot', names);
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      const later = snapshots.filter(({ name, parent }) => parent === snapshot && name !== 'current');
      const maker = madeBy(found.description);
      return {
        summary: `delete the snapshot ${snapshot} of ${theGuest(guest)}`,
        state: [
          { name: 'Snapshot', value: snapshot },
          { name: 'Taken', value: takenAt(found.snaptime) },
          { name: 'Node', value: node },
        ],
        affected: [
          `Nobody can go back to ${snapshot} any more${found.vmstate === 1 ? ', nor to the RAM that it holds' : ''}`,
          ...(later.length === 0 ? [] : [`What was taken after it stays: ${later.map(({ name }) => name).join(', ')}`]),
          ...(found.description?.trim() ? [`What was written with it: ${said(found.description, 120)}`] : []),
        ],
        risks: [
          ...(maker === undefined ? ['No run of this service has taken it, so somebody may count on it'] : []),
          'On a storage of files the guest can stand still for a while as its changes are merged',
        ],
        steps: [
          {
            title: 'Delete',
            call: { method: 'DELETE', ...guestPath(guest, '/snapshot/*', snapshot) },
            task: guestTask(guest, { qemu: 'qmdelsnapshot', lxc: 'vzdelsnapshot' }),
            effect: effect({
              reads: { snapshots: readSnapshots(guest), state: readState(guest) },
              lacks(now) {
                if (now.snapshots.some(({ name }) => name === snapshot))
                  return `the snapshot ${snapshot} is still there`;
                // It is known to leave a guest locked, and its next snapshot or backup would fail.
                return now.state.lock === undefined ? undefined : `it left the guest locked (${now.state.lock})`;
              },
            }),
          },
        ],
        undo: ['A deleted snapshot does not come back'],
        output: {
          vmid: guest.vmid,
          node,
          snapshot,
          taken: takenAt(found.snaptime),
          withRam: found.vmstate === 1,
          kept: names.filter((name) => name !== snapshot),
        },
        done: `${TheGuest(guest)} has no snapshot ${snapshot} any more.`,
      };
    },
  },
);
