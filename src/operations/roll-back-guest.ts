import { z } from 'zod';
import { apiRead, defineApiChange, effect, refuse } from './api-change.ts';
import {
  type GuestConfig,
  guestConfig,
  guestPath,
  guestTask,
  readConfig,
  readSnapshots,
  readState,
  refuseLocked,
  refuseManaged,
  refuseMissing,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { disksOf, isCloudInit, readStorages } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';
import { snapshotName, takenAt } from './snapshot-guest.ts';
import { guestLabel } from './target.ts';

/** A guest as it was when a snapshot was taken; what it has become since is lost. */
export const rollBackGuest = defineApiChange(
  {
    name: 'roll-back-guest',
    title: 'Roll back guest',
    summary: 'Go back to a snapshot of a VM or container; all that has changed in it since is lost.',
    description:
      'Roll back (revert, restore, reset) a VM or container to a snapshot (checkpoint): its disks and its configuration become what they were then, and everything written since is lost. A running guest is cut off first. With the RAM in the snapshot a VM goes on from that moment; else it is started again where it ran before, or as start says. Take another snapshot first (snapshot-guest) if the present state may be wanted.',
    guide: 'qm rollback and pct rollback by hand',
    target: 'guest',
    risk: 'dangerous',
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [{ privilege: 'VM.Snapshot.Rollback', on: 'guest' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        snapshot: snapshotName(),
        start: z.boolean().optional().describe('Whether it runs afterwards. Default: as it did before'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        snapshot: z.string(),
        taken: z.string().describe('When it was taken'),
        before: z.enum(['running', 'stopped']),
        after: z.enum(['running', 'stopped']),
        later: z.array(z.string()).describe('Snapshots that were taken after it'),
      }),
    steps: ['Look', 'Roll back'],
    undo: {
      how: 'Not at all, unless a snapshot was taken before it: roll back to that one.',
      reverse: (_, { taken }) => ({
        why: `What the guest became after ${taken} is lost; a snapshot that was taken since can be gone back to (roll-back-guest).`,
      }),
    },
  },
  {
    reads: ({ guest, node, input: { snapshot } }) => ({
      state: readState(guest),
      config: readConfig(guest),
      snapshots: readSnapshots(guest),
      former: apiRead({
        ...guestPath(guest, '/config'),
        parameters: { snapshot },
        schema: guestConfig(),
        absent: {},
      }),
      storages: readStorages(node),
    }),
    plan({ input: { snapshot, start }, guest, node }, { state, config, snapshots, former, storages }) {
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      const found = snapshots.find(({ name }) => name === snapshot);
      if (found === undefined) {
        return refuseMissing(`snapshot "${snapshot}" of the ${guestLabel(guest)}`, 'snapshot', names);
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      if (state.template === 1) return refuseTemplate();
      const managed = refuseManaged(guest, state, 'rolled back');
      if (managed) return managed;
      const later = snapshots
        .filter(({ name, snaptime = 0 }) => name !== 'current' && name !== snapshot && snaptime > (found.snaptime ?? 0))
        .map(({ name }) => name);
      const strict = disksOf(guest.type, former)
        .map((disk) => ({ disk, type: storages.find(({ storage }) => storage === disk.storage)?.type ?? '' }))
        .find(({ disk, type }) => onlyNewest.has(type) && !isCloudInit(disk.line));
      if (later.length > 0 && strict !== undefined) return refuseNewer(strict.disk.storage, strict.type);
      const isOn = state.status === 'running';
      // A VM that is put back with its RAM goes on, whatever is asked for.
      const withRam = found.vmstate === 1;
      const after: 'running' | 'stopped' = withRam || (start ?? isOn) ? 'running' : 'stopped';
      const lost = disksOf(guest.type, config).filter(({ key }) => former[key] === undefined);
      return {
        summary: `put ${theGuest(guest)} back to its snapshot ${snapshot} of ${takenAt(found.snaptime)}`,
        state: [
          { name: 'State', value: state.status },
          { name: 'Node', value: node },
          { name: 'Snapshot', value: snapshot },
          { name: 'Taken', value: takenAt(found.snaptime) },
          { name: 'Later snapshots', value: later.join(', ') || 'none' },
        ],
        affected: [
          `Everything that was written in ${theGuest(guest)} since ${takenAt(found.snaptime)} is lost`,
          ...(isOn ? ['It runs now, and is cut off as by pulling its plug'] : []),
          ...(found.description?.trim() ? [`What was written with the snapshot: ${said(found.description, 120)}`] : []),
          ...differences(config, former).map((line) => `Its configuration becomes what it was: ${line}`),
        ],
        risks: [
          'Whatever else has changed with it since (databases elsewhere, certificates, addresses) does not go back with it',
          ...(later.length === 0 ? [] : [`The snapshots ${later.join(', ')} stay, and hold what came later`]),
          ...(lost.length === 0
            ? []
            : [`Disks that it did not have then are left unused: ${lost.map(({ key }) => key).join(', ')}`]),
        ],
        steps: [
          {
            title: 'Roll back',
            call: {
              method: 'POST',
              ...guestPath(guest, '/snapshot/*/rollback', snapshot),
              parameters: { start: after === 'running' },
            },
            task: guestTask(guest, { qemu: 'qmrollback', lxc: 'vzrollback' }),
            effect: effect({
              reads: { state: readState(guest), config: readConfig(guest), snapshots: readSnapshots(guest) },
              lacks(now) {
                if (now.state.lock !== undefined) return `it left the guest locked (${now.state.lock})`;
                const present = now.snapshots.find(({ name }) => name === 'current');
                if (present?.parent !== snapshot) return `the ${guestLabel(guest)} does not stand on ${snapshot}`;
                const [still] = differences(now.config, former);
                if (still !== undefined) return `its configuration is not the snapshot's: ${still}`;
                if (now.state.status !== after) return `it is ${now.state.status}, and was to be ${after}`;
                return isOn && after === 'running' && ranOn(state, now.state)
                  ? 'it ran on all the while, so that nothing was put back'
                  : undefined;
              },
            }),
          },
        ],
        undo: ['What is lost does not come back'],
        output: {
          vmid: guest.vmid,
          node,
          snapshot,
          taken: takenAt(found.snaptime),
          before: state.status,
          after,
          later,
        },
        done: `${TheGuest(guest)} is as it was when ${snapshot} was taken, and is ${after}.`,
      };

      function refuseTemplate() {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is a template, which never goes back`,
          'Clone it instead (clone-guest).',
        );
      }

      function refuseNewer(storage: string, type: string) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has disks on ${storage} (${type}), which only goes back to the newest snapshot, and these are newer than ${snapshot}: ${later.join(', ')}`,
          'Roll back to the newest one, or delete the newer ones first (delete-snapshot): what they hold is then lost.',
          'snapshot',
        );
      }
    },
  },
);

/** Storages that go back to their newest snapshot only. */
const onlyNewest = new Set(['zfspool', 'zfs', 'lvm']);

/** What a snapshot's configuration has of its own, and what the present one has of the present. */
const notCompared =
  /^(digest|parent|lock|snaptime|snapstate|vmstate|running|runningmachine|runningcpu|running-.*|description|vmgenid|unused\d+|meta)$/;

/** Where two configurations differ, as text. */
function differences(config: GuestConfig, former: GuestConfig): readonly string[] {
  return [...new Set([...Object.keys(config), ...Object.keys(former)])]
    .filter((option) => !notCompared.test(option) && config[option] !== former[option])
    .toSorted()
    .map((option) => `${option} ${said(config[option] ?? 'not set', 80)} → ${said(former[option] ?? 'not set', 80)}`);
}

/** Whether it is the same process as before. */
function ranOn(before: { pid?: number | undefined; uptime?: number | undefined }, now: typeof before): boolean {
  if (before.pid !== undefined && now.pid !== undefined) return before.pid === now.pid;
  return (now.uptime ?? 0) > (before.uptime ?? 0);
}
