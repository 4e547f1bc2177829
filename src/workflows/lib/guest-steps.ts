import type { ControlGuestActivities, GuestLook } from '../../activities/control-guest/control-guest.ts';
import type { EachGuest } from '../../operations/definition.ts';
import type { Finding } from '../../operations/finding.ts';
import type { GuestPlace } from '../../operations/target.ts';
import { onHost } from './activities.ts';
import { createApiSteps } from './api-steps.ts';
import { settleSeconds, stateAfter, withinSeconds } from './guest-power.ts';
import type { Policy } from './policies.ts';

/** What is done to one guest of many: the steps of its own operation, by the same activities. */
export interface GuestSteps {
  /** None: all is so already. */
  readonly calls: readonly string[];
  readonly steps: readonly GuestStep[];
  /** What its own report says before anything is done. */
  readonly findings?: readonly Finding[];
}

export interface GuestStep {
  readonly title: string;
  start(): Promise<string | undefined>;
  follow(upid: string): Promise<unknown>;
  /** May give `findings` of what was looked at, as following may of the task's log. */
  verify(): Promise<unknown>;
  /** Absent: there is nothing to take back. */
  readonly undo?: () => Promise<void>;
}

type Action = 'start' | 'shutdown' | 'reboot' | 'stop';

/** Looks at a guest, and makes its steps of what was seen. */
export async function guestSteps(each: EachGuest, host: string, place: GuestPlace): Promise<GuestSteps> {
  const input = { ...each.input, host, vmid: place.vmid };
  // Its schema has checked it: `planGuests` gives it parsed.
  if (each.operation === 'control-guest') return await powerSteps(input as unknown as PowerInput, place);
  const steps = createApiSteps({ operation: each.operation, input, host, place: () => place });
  const known = await steps.look(`Look at ${place.vmid}`);
  return {
    findings: known.findings,
    calls: known.steps.map(({ line }) => line).filter((line) => line !== ''),
    steps: known.steps.map((step) => ({
      title: step.title,
      start: () => steps.start(known, step, `${step.title} ${place.vmid}`),
      follow: (upid) => steps.follow(known, step, upid),
      verify: () => steps.verify(known, step),
      ...((step.hasUndo || step.hasTask) && { undo: () => steps.undo(known, step) }),
    })),
  };
}

interface PowerInput {
  readonly host: string;
  readonly vmid: number;
  readonly action: Action;
  readonly timeoutSeconds: number;
}

async function powerSteps({ host, action, timeoutSeconds }: PowerInput, place: GuestPlace): Promise<GuestSteps> {
  const { vmid } = place;
  const on = (policy: Policy, summary: string) => onHost<ControlGuestActivities>(place.host ?? host, policy, summary);
  const guest = { host, place };
  const before: GuestLook = await on('look', `Look at ${vmid}`).lookAtGuest(guest);
  const calls = await on('look', `Plan ${vmid}`).planGuestAction({ ...guest, action, timeoutSeconds });
  const want = stateAfter(action);
  if (calls.length === 0) return { calls, steps: [] };
  return {
    calls,
    steps: [
      {
        title: 'Act',
        start: async () =>
          (
            await on('act', `${action} ${vmid}`).startGuestAction({
              ...guest,
              action,
              timeoutSeconds,
              known: before.tasks,
            })
          ).upid,
        follow: (upid) => on('job', `Follow ${upid}`).followGuestTask({ ...guest, upid }),
        verify: () =>
          on('job', `Verify ${vmid}`).verifyGuestState({
            ...guest,
            want,
            withinSeconds: action === 'reboot' || before.ha !== undefined ? withinSeconds.alone : withinSeconds.task,
            settleSeconds: settleSeconds[want],
            ...(action === 'reboot' ? { not: before } : {}),
          }),
        undo: () =>
          on('undo', `Put ${vmid} back: ${before.state}`).restoreGuestState({
            ...guest,
            want: before.state,
            known: before.tasks,
            watchSeconds: 0,
            settleSeconds: settleSeconds[before.state],
          }),
      },
    ],
  };
}
