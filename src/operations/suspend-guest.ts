import { z } from 'zod';
import { defineApiChange, effect, refuse, undoBy } from './api-change.ts';
import {
  guestPath,
  guestTask,
  powerState,
  readState,
  refuseLocked,
  refuseManaged,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { guestLabel } from './target.ts';

/** A VM that stands still, in the RAM of its node or on a disk, and goes on from there. */
export const suspendGuest = defineApiChange(
  {
    name: 'suspend-guest',
    title: 'Suspend guest',
    summary: 'Pause or hibernate a running VM (virtual machine), in RAM or on disk, to go on from there later.',
    description:
      'Suspend (pause, hibernate) a running VM: to ram it only stands still, at once, and keeps its memory on the node; to disk its memory is written to a storage and it is off, also over a restart of the node. resume-guest undoes it. Containers have no such thing: shut them down (control-guest).',
    guide: 'qm suspend by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [{ privilege: 'VM.Audit', on: 'guest' }],
      changes: [
        { privilege: 'VM.PowerMgmt', on: 'guest' },
        { privilege: 'VM.Config.Disk', on: 'guest', when: 'to disk' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage', when: 'to disk' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        to: z
          .enum(['ram', 'disk'])
          .describe('ram: at once, and gone when its node restarts; disk: it is off afterwards'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        before: z.string().describe('running, paused, suspended to disk'),
        after: z.string(),
      }),
    steps: ['Look', 'Suspend'],
    undo: {
      how: 'It is resumed, as long as nobody has done that already.',
      reverse({ host, vmid: of }, { before, after }) {
        if (before === after) return { why: `It was ${before} already, and nothing was done.` };
        return {
          operation: 'resume-guest',
          input: { host, vmid: of },
          expects: [{ name: 'State', value: after }],
          asLongAs: 'nobody has resumed it since',
        };
      },
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest) }),
    plan({ input: { to }, guest, node }, { state }) {
      if (guest.type === 'lxc') {
        return refuse(
          'invalid-input',
          `${TheGuest(guest)} is a container, and Proxmox has no suspending of those that can be relied on`,
          'Shut it down instead (control-guest).',
          'vmid',
        );
      }
      const before = powerState(state);
      const after = to === 'ram' ? 'paused' : 'suspended to disk';
      const known = {
        state: [
          { name: 'State', value: before },
          { name: 'Node', value: node },
        ],
        output: { vmid: guest.vmid, node, before, after },
      };
      if (before === after) {
        return {
          ...known,
          summary: `leave ${theGuest(guest)} as it is: it is ${after} already`,
          affected: [],
          risks: [],
          steps: [],
          done: `${TheGuest(guest)} is ${after} already; nothing was done.`,
        };
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      if (state.status !== 'running') {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is off, so there is nothing to suspend`,
          'Start it first (control-guest), if it is to run.',
        );
      }
      const managed = to === 'disk' ? refuseManaged(guest, state, 'off') : undefined;
      if (managed) return managed;
      const isSo = (now: typeof state) => powerState(now) === after;
      return {
        ...known,
        summary: `suspend ${theGuest(guest)} to ${to === 'ram' ? 'RAM' : 'disk'}`,
        affected: [`${TheGuest(guest)} stands still: whoever is connected to it waits, and is cut off in the end`],
        risks: [
          to === 'ram'
            ? 'When its node restarts, it is as after a power cut'
            : 'As much space as it has memory is taken on its storage for VM states',
        ],
        steps: [
          {
            title: 'Suspend',
            call: {
              method: 'POST',
              ...guestPath(guest, '/status/suspend'),
              ...(to === 'disk' ? { parameters: { todisk: true } } : {}),
            },
            task: guestTask(guest, { qemu: to === 'ram' ? 'qmpause' : 'qmsuspend', lxc: '' }),
            effect: effect({
              reads: { state: readState(guest) },
              lacks: (now) => (isSo(now.state) ? undefined : `the ${guestLabel(guest)} is ${powerState(now.state)}`),
              withinSeconds: 30,
            }),
            undo: undoBy({
              says: 'it is resumed',
              reads: { state: readState(guest) },
              plan: (now) =>
                isSo(now.state)
                  ? {
                      call: { method: 'POST', ...guestPath(guest, '/status/resume') },
                      task: guestTask(guest, { qemu: 'qmresume', lxc: '' }),
                      effect: effect({
                        reads: { state: readState(guest) },
                        lacks: (then) =>
                          powerState(then.state) === 'running'
                            ? undefined
                            : `the ${guestLabel(guest)} still stands still`,
                        withinSeconds: 60,
                      }),
                    }
                  : undefined,
            }),
          },
        ],
        done: `${TheGuest(guest)} is ${after}.`,
      };
    },
  },
);
