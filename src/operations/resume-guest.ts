import { z } from 'zod';
import { defineApiChange, effect, refuse } from './api-change.ts';
import { guestPath, guestTask, powerState, readState, refuseLocked, TheGuest, theGuest } from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { guestLabel } from './target.ts';

/** A VM that stood still goes on. */
export const resumeGuest = defineApiChange(
  {
    name: 'resume-guest',
    title: 'Resume guest',
    summary: 'Let a suspended VM go on, from RAM or from disk, and see that it runs.',
    description:
      'Resume (unpause, wake, continue) a VM after suspend-guest, from RAM or from disk: it goes on where it stood. One that is simply off is started by control-guest.',
    guide: 'qm resume by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [{ privilege: 'VM.Audit', on: 'guest' }],
      changes: [{ privilege: 'VM.PowerMgmt', on: 'guest' }],
    },
    input: () => z.object({ host: hostOfCluster(), vmid: vmid(), dryRun: dryRun() }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        before: z.string().describe('paused, suspended to disk, running'),
        after: z.string(),
      }),
    steps: ['Look', 'Resume'],
    undo: {
      how: 'It is suspended again, as it was; what it did meanwhile stays done.',
      reverse({ host, vmid: of }, { before, after }) {
        if (before === after) return { why: `It was ${before} already, and nothing was done.` };
        return {
          operation: 'suspend-guest',
          input: { host, vmid: of, to: before === 'paused' ? 'ram' : 'disk' },
          expects: [{ name: 'State', value: after }],
          asLongAs: 'it still runs',
          remains: 'What it did meanwhile stays done',
        };
      },
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest) }),
    plan({ guest, node }, { state }) {
      const before = powerState(state);
      const known = {
        state: [
          { name: 'State', value: before },
          { name: 'Node', value: node },
        ],
        affected: [],
        risks: [],
        output: { vmid: guest.vmid, node, before, after: 'running' },
      };
      if (before === 'running') {
        return {
          ...known,
          summary: `leave ${theGuest(guest)} as it is: it runs already`,
          steps: [],
          done: `${TheGuest(guest)} runs already; nothing was done.`,
        };
      }
      if (before === 'stopped') {
        const locked = refuseLocked(guest, state);
        if (locked) return locked;
        return refuse(
          'conflict',
          `${TheGuest(guest)} is off and not suspended, so there is nothing to go on from`,
          'Start it (control-guest).',
        );
      }
      if (before === 'paused') {
        const locked = refuseLocked(guest, state);
        if (locked) return locked;
      }
      return {
        ...known,
        summary: `let ${theGuest(guest)} go on, which is ${before}`,
        risks: ['Its clock is behind until it has asked for the time, and its old connections are dead'],
        steps: [
          {
            title: 'Resume',
            call: { method: 'POST', ...guestPath(guest, '/status/resume') },
            task: guestTask(guest, { qemu: 'qmresume', lxc: 'vzresume' }),
            effect: effect({
              reads: { state: readState(guest) },
              lacks(now) {
                const is = powerState(now.state);
                return is === 'running' ? undefined : `the ${guestLabel(guest)} is ${is}`;
              },
              withinSeconds: 30,
              staysSeconds: 1,
            }),
          },
        ],
        undo: ['Suspending it again would not take back what it has done since'],
        done: `${TheGuest(guest)} goes on from where it was ${before}.`,
      };
    },
  },
);
