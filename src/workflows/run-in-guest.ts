import { ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import type { CommandEnd, CommandLook, RunInGuestActivities } from '../activities/run-in-guest/run-in-guest.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import type { Section } from '../operations/report.ts';
import { runInGuest as definition } from '../operations/run-in-guest.ts';
import { type GuestPlace, guestLabel, guestLock, hostLock, type Place } from '../operations/target.ts';
import { onHost } from './lib/activities.ts';
import { failureOf } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { PlanningRun, Run } from './lib/run.ts';
import { snapshotFirst } from './lib/snapshot-first.ts';

type Input = z.output<typeof definition.input>;
type CommandRun = PlanningRun<Input>;

/**
 * A command in a guest. Nothing takes back what it does, so nothing is registered to: what fails says what is known. It
 * is started once, whatever happens.
 */
export const runInGuest = operationWorkflow(
  definition,
  snapshotFirst<Input, z.output<typeof definition.output>, CommandLook>({
    async plan(run) {
      const place = guestOf(run.place);
      const known = await run.step('Look', (summary) => on('look', run, summary).lookForCommand(asked(run)));
      return {
        known,
        would: {
          plan: planOf(run.input, place, known),
          output: { vmid: place.vmid, node: place.node, stdout: '', stderr: '', truncated: false, late: false },
        },
      };
    },

    async act(run) {
      const place = guestOf(run.place);
      const { pid, end } = place.type === 'qemu' ? await inVm(run) : await inContainer(run);
      const label = guestLabel(place);
      const { exitCode, signal, stdout, stderr, truncated, late } = end;
      return {
        output: {
          vmid: place.vmid,
          node: place.node,
          stdout,
          stderr,
          truncated,
          late,
          ...(exitCode !== undefined && { exitCode }),
          ...(signal !== undefined && { signal }),
          ...(pid !== undefined && { pid }),
        },
        summary: late
          ? `The command in the ${label} had not ended after ${run.input.timeoutSeconds} s, and may go on there.`
          : `The command in the ${label} ended${signal === undefined ? ` with ${exitCode}` : ` by the signal ${signal}`}.`,
        sections: [{ title: 'Command', findings: [findingOf(run.input, end)] }, ...said(end)],
      };
    },
  }),
);

async function inVm(run: Run<Input>): Promise<{ readonly pid: number; readonly end: CommandEnd }> {
  const { pid } = await run.step(
    'Start',
    (summary) =>
      on('once', run, summary)
        .startInVm(asked(run))
        .catch((error: unknown) => {
          throw startFailed(error, guestOf(run.place));
        }),
    (started) => `process ${started.pid}`,
  );
  const end = await run.step(
    'Follow',
    (summary) => on('job', run, summary).followInVm({ ...asked(run), pid }),
    describe,
  );
  return { pid, end };
}

/** One job does both. */
async function inContainer(run: Run<Input>): Promise<{ readonly pid: undefined; readonly end: CommandEnd }> {
  run.skip('Start', 'Its node does both');
  const end = await run.step(
    'Follow',
    (summary) => on('job', run, summary).runInContainer({ ...asked(run), fence: fencesOf(run) }),
    describe,
  );
  return { pid: undefined, end };
}

/** Of a worker that died in the middle, nobody knows whether it has asked. */
function startFailed(error: unknown, place: GuestPlace): unknown {
  const { code } = failureOf(error);
  if (code !== 'timeout') return error;
  return ApplicationFailure.nonRetryable(
    `Nobody knows whether the command was started in the ${guestLabel(place)}: what asked for it died in the middle. Look in the guest whether it runs or has run, before it is started again: it is never started twice by itself.`,
    'outcome-unknown',
  );
}

function on(policy: Policy, run: CommandRun, summary: string) {
  const place = guestOf(run.place);
  return onHost<RunInGuestActivities>(place.host ?? run.input.host, policy, summary);
}

function asked({ input, place }: CommandRun) {
  const { host, command, timeoutSeconds } = input;
  return { host, place: guestOf(place), command, timeoutSeconds };
}

function fencesOf({ fences, place }: Run<Input>): { readonly host: number; readonly guest: number } {
  const guest = guestOf(place);
  return { host: fences[hostLock(guest.host ?? '').name] ?? 0, guest: fences[guestLock(guest).name] ?? 0 };
}

function guestOf(place: Place): GuestPlace {
  if (place.kind === 'guest') return place;
  throw ApplicationFailure.nonRetryable('An operation on a guest was given something else.', 'internal');
}

function planOf({ command, timeoutSeconds }: Input, place: GuestPlace, look: CommandLook): PlanDraft {
  const isVm = place.type === 'qemu';
  return {
    summary: `run ${JSON.stringify(command)} in the ${guestLabel(place)} on ${place.node}, ${isVm ? 'by its agent' : 'by its node'}`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Start', does: isVm ? [...look.does] : [] },
      { title: 'Follow', does: isVm ? [`Waits at most ${timeoutSeconds} s for its end`] : [...look.does] },
    ],
    state: [
      { name: 'State', value: look.status },
      { name: 'Node', value: place.node },
    ],
    affected: [`Whatever the command does in the ${guestLabel(place)}, as root there`],
    risks: ['Nobody can say beforehand what it changes', 'Command and output are kept with the run'],
    undo: ['Nothing takes back what it has done; a snapshot before it would'],
    ...(look.hostCalls.length > 0 && {
      hostCalls: look.hostCalls.map(({ host, calls }) => ({ host, calls: [...calls] })),
    }),
  };
}

function describe({ exitCode, signal, late }: CommandEnd): string {
  if (late) return 'late';
  return signal === undefined ? `exit code ${exitCode}` : `signal ${signal}`;
}

function findingOf({ timeoutSeconds }: Input, end: CommandEnd): Finding {
  const check = 'Command';
  if (end.late) {
    return {
      check,
      verdict: 'unknown',
      summary: `It had not ended after ${timeoutSeconds} s, and may go on in the guest`,
      remedy: 'Look in the guest what has come of it; give more time (timeoutSeconds) to what takes longer.',
    };
  }
  if (end.exitCode === 0) return { check, verdict: 'ok', summary: 'It ended with 0' };
  return {
    check,
    verdict: 'failed',
    summary: end.signal === undefined ? `It ended with ${end.exitCode}` : `The signal ${end.signal} ended it`,
    remedy: 'Look at what it said.',
  };
}

function said({ stdout, stderr, truncated }: CommandEnd): Section[] {
  const title = (name: string) => (truncated ? `${name} (its start)` : name);
  return [
    ...(stdout.trim() === '' ? [] : [{ title: title('Output'), quoted: stdout }]),
    ...(stderr.trim() === '' ? [] : [{ title: title('Errors'), quoted: stderr }]),
  ];
}
