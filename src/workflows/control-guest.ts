import { ApplicationFailure, isCancellation, patched } from '@temporalio/workflow';
import type { z } from 'zod';
import type { ControlGuestActivities, GuestLook } from '../activities/control-guest/control-guest.ts';
import { controlGuest as definition } from '../operations/control-guest.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import { guestLabel, type Place } from '../operations/target.ts';
import { onHost } from './lib/activities.ts';
import { failureOf } from './lib/failure.ts';
import { settleSeconds, stateAfter, withinSeconds } from './lib/guest-power.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { PlanningRun } from './lib/run.ts';
import { requireNotCancelled } from './lib/undo.ts';

type Action = 'start' | 'shutdown' | 'reboot' | 'stop';

/** With these, nothing was started. */
const refused = new Set(['proxmox-locked', 'proxmox-permission', 'conflict', 'guest-moved', 'not-found']);
/** How long a guest may still go off after its shutdown was given up. */
const watchSeconds = 60;

type GuestRun = PlanningRun<z.output<typeof definition.input>>;

/**
 * One action on a guest. Who cancels it gets the former state back; a shutdown that the guest didn't hear changed
 * nothing, and the guest may still go off later, as was wanted.
 */
export const controlGuest = operationWorkflow(definition, {
  async plan(run) {
    const { action, timeoutSeconds } = run.input;
    const { look, guest, to } = reach(run);
    const place = guestOf(run.place);
    const before = await run.step('Look', (summary) => look(summary).lookAtGuest(guest()), describeLook);
    if (!patched('plan')) return { known: before };
    const calls = await look('Plan').planGuestAction({ ...guest(), action, timeoutSeconds });
    const same = { vmid: place.vmid, name: place.name, type: place.type, from: before.state, to };
    return {
      known: before,
      would: { plan: planOf(run.input, { place, before, calls }), output: { ...same, node: place.node, seconds: 0 } },
    };
  },

  async act(run, before) {
    const { action, timeoutSeconds } = run.input;
    const { look, act, follow, undo, guest, to } = reach(run);
    const place = guestOf(run.place);
    const label = guestLabel(place);
    const same = { vmid: place.vmid, name: place.name, type: place.type, from: before.state, to };
    const begun = Date.now();
    let cancelled = false;
    run.onUndo(
      'Act',
      () =>
        undo(`Put back: ${before.state}`).restoreGuestState({
          ...guest(),
          want: before.state,
          known: before.tasks,
          watchSeconds: cancelled && action !== 'start' ? watchSeconds : 0,
          settleSeconds: settleSeconds[before.state],
        }),
      async () => (await look('Look at what is left').lookAtGuest(guest())).state,
    );
    try {
      const done = await run.step('Act', actAndFollow, ({ task }) => task ?? `It is ${to} already`);
      const after = await run.step(
        'Verify',
        (summary) =>
          follow(summary).verifyGuestState({
            ...guest(),
            want: to,
            withinSeconds: action === 'reboot' || before.ha !== undefined ? withinSeconds.alone : withinSeconds.task,
            settleSeconds: done.task === undefined ? 0 : settleSeconds[to],
            ...(action === 'reboot' ? { not: before } : {}),
          }),
        ({ node }) => `${to} on ${node}`,
      );
      requireNotCancelled();
      run.commit();
      const seconds = (Date.now() - begun) / 1000;
      return {
        output: { ...same, node: after.node, seconds, ...(done.task === undefined ? {} : { task: done.task }) },
        summary:
          done.task === undefined
            ? `The ${label} on ${after.node} is ${to} already; nothing was done.`
            : `The ${label} on ${after.node} is ${action === 'reboot' ? 'running again' : to}.`,
        sections: [{ title: 'Guest', findings: findings(before, done, after.node) }],
      };
    } catch (error) {
      cancelled = isCancellation(error);
      throw error;
    }

    async function actAndFollow(summary: string): Promise<Done> {
      const task = await start(summary);
      if (task === undefined) return { warnings: 0, log: [] };
      return { task, ...(await follow(`Follow ${task}`).followGuestTask({ ...guest(), upid: task })) };
    }

    async function start(summary: string): Promise<string | undefined> {
      try {
        const asked = { ...guest(), action, timeoutSeconds, known: before.tasks };
        const { upid } = await act(summary).startGuestAction(asked);
        if (upid === undefined) run.commit();
        return upid;
      } catch (error) {
        if (refused.has(failureOf(error).code)) run.commit();
        throw error;
      }
    }
  },
});

/** The activities at the guest's own host. */
function reach(run: GuestRun) {
  const { host, action } = run.input;
  // Read anew for every call: after a person was asked the guest may be elsewhere.
  const guest = () => ({ host, place: guestOf(run.place) });
  const on = (policy: Policy) => (summary: string) =>
    onHost<ControlGuestActivities>(guest().place.host ?? host, policy, summary);
  const to = stateAfter(action);
  return { guest, to, look: on('look'), act: on('act'), follow: on('job'), undo: on('undo') };
}

/** What the action's task came to. */
interface Done {
  readonly task?: string;
  readonly warnings: number;
  readonly log: readonly string[];
}

function guestOf(place: Place): Extract<Place, { readonly kind: 'guest' }> {
  if (place.kind === 'guest') return place;
  throw ApplicationFailure.nonRetryable('An operation on a guest was given something else.', 'internal');
}

function describeLook({ state, lock, ha }: GuestLook): string {
  return [state, ...(lock ? [`locked (${lock})`] : []), ...(ha ? [`HA: ${ha}`] : [])].join(', ');
}

function stateOf(look: GuestLook): Finding {
  const more = look.paused ? 'paused, which counts as running' : describeLook(look);
  return { check: 'State before', verdict: 'ok', summary: more };
}

interface Found {
  readonly place: Extract<Place, { readonly kind: 'guest' }>;
  readonly before: GuestLook;
  readonly calls: readonly string[];
}

function planOf({ action, timeoutSeconds }: GuestRun['input'], { place, before, calls }: Found): PlanDraft {
  const the = `The ${guestLabel(place)} on ${place.node}`;
  return {
    summary: `${action === 'shutdown' ? 'shut down' : action} the ${guestLabel(place)} on ${place.node}, which is ${before.state}`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Act', does: [...calls] },
      { title: 'Verify', does: ['Looks at its state until it is as wanted, and once more some seconds later'] },
    ],
    state: [
      { name: 'State', value: before.paused ? `${before.state}, paused` : before.state },
      { name: 'Node', value: place.node },
      { name: 'Lock', value: before.lock ?? 'none' },
      { name: 'HA', value: before.ha ?? 'not managed' },
      { name: 'Template', value: before.template ? 'yes' : 'no' },
    ],
    affected: calls.length === 0 ? [] : [`${the} ${effects[action]}`],
    risks: [
      ...(before.lock === undefined
        ? []
        : [`It is locked (${before.lock}), so that it would be refused: wait for its backup, migration or snapshot`]),
      ...(before.template ? ['It is a template, which never runs'] : []),
      ...(before.ha === undefined ? [] : ['The HA stack is asked for it, and acts some seconds later']),
      ...(action === 'stop' ? ['Like pulling the plug: what the guest has not written is lost'] : []),
      ...(action === 'reboot' && place.type === 'lxc'
        ? [`Proxmox kills a container that is not off after ${timeoutSeconds} s, and starts it again`]
        : []),
    ],
    undo: [`If it fails or is cancelled the guest is put back: ${before.state}`],
  };
}

const effects: Readonly<Record<Action, string>> = {
  start: 'starts',
  shutdown: 'goes off, and with it what it serves',
  reboot: 'is away while it reboots',
  stop: 'goes off at once, and with it what it serves',
};

function findings(before: GuestLook, { task, warnings, log }: Done, node: string): Finding[] {
  const ended: Finding = {
    check: 'Task',
    verdict: warnings > 0 ? 'warning' : 'ok',
    summary: warnings > 0 ? `${task} ended well, with warnings` : `${task} ended well`,
    ...(warnings > 0 ? { remedy: 'Read them: they may matter at the next start.', evidence: log.join('\n') } : {}),
  };
  return [
    stateOf(before),
    ...(task === undefined ? [] : [ended]),
    { check: 'State now', verdict: 'ok', summary: `Looked at on ${node}${task ? ', twice some seconds apart' : ''}` },
  ];
}
