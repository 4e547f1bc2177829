import { ApplicationFailure, patched } from '@temporalio/workflow';
import type {
  ControlServiceActivities,
  ServiceAction,
  ServiceState,
} from '../activities/control-service/control-service.ts';
import { controlService as definition } from '../operations/control-service.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import { onHost } from './lib/activities.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { PlanningRun } from './lib/run.ts';
import { requireNotCancelled } from './lib/undo.ts';

/**
 * The guide's systemd control. The change is one job on the host, which does it and waits until the service stays as it
 * was asked to be; so it also works for the service that this run itself needs. What fails is put back.
 */
export const controlService = operationWorkflow(definition, {
  async plan(run) {
    const { host, unit, action } = run.input;
    const former = await run.step(
      'Look',
      (summary) => on('look', run, summary).lookAtService({ host, unit }),
      describe,
    );
    if (action === 'status' || action === 'logs') return { known: former };
    if (action === 'reload' && !former.canReload) {
      throw ApplicationFailure.nonRetryable(
        `${unit} on ${host} can't reload its configuration while it runs. Restart it instead.`,
        'conflict',
      );
    }
    if (!patched('plan')) return { known: former };
    const calls = await on('look', run, 'Plan').planService({ host, unit, action });
    return {
      known: former,
      would: { plan: planOf({ host, unit, action }, former, calls), output: { before: brief(former) } },
    };
  },

  async act(run, former) {
    const { host, unit, action, lines, seconds } = run.input;
    const before = brief(former);
    if (action === 'status' || action === 'logs') {
      run.skip('Verify', 'It only looks');
      const status = { title: 'Service', findings: [statusOf(unit, former)] };
      if (action === 'status') {
        run.skip('Act', 'It only looks');
        return { output: { before }, summary: `${unit} is ${describe(former)}.`, sections: [status] };
      }
      const log = await run.step('Act', (summary) =>
        on('job', run, summary).readServiceLog({ host, unit, lines, seconds }),
      );
      const sections = [status, { title: log.truncated ? 'Log (its end)' : 'Log', quoted: log.text.trimEnd() }];
      return { output: { before }, summary: `The log of ${unit} on ${host}.`, sections };
    }

    const look = (summary: string) => on('look', run, summary).lookAtService({ host, unit });
    run.onUndo(
      'Act',
      () => on('undo', run, `Put ${unit} back`).restoreService({ host, unit, former, fence: run.fence }),
      async () => JSON.stringify(brief(await look('Look at what is left'))),
    );
    await run.step('Act', (summary) => on('job', run, summary).changeService({ host, unit, action, fence: run.fence }));
    const after = await run.step(
      'Verify',
      async (summary) => requireEffect(unit, action, await look(summary)),
      describe,
    );
    requireNotCancelled();
    run.commit();
    return {
      output: { before, after: brief(after) },
      summary: `${unit} on ${host}: ${action} done, it is ${describe(after)}.`,
      sections: [
        {
          title: 'Service',
          findings: [{ check: 'Before', verdict: 'ok', summary: describe(former) }, statusOf(unit, after)],
        },
      ],
    };
  },
});

function on(policy: Policy, { input }: PlanningRun<{ readonly host: string }>, summary: string) {
  return onHost<ControlServiceActivities>(input.host, policy, summary);
}

function planOf(
  { host, unit, action }: { readonly host: string; readonly unit: string; readonly action: ServiceAction },
  former: ServiceState,
  calls: readonly string[],
): PlanDraft {
  const now = action === 'enable' || action === 'disable' ? undefined : effects[action];
  return {
    summary: `${action} ${unit} on ${host}, which is ${describe(former)}`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Act', does: [...calls] },
      { title: 'Verify', does: [`Looks that it stays ${wanted(action)}`] },
    ],
    state: [
      { name: unit, value: former.active },
      { name: 'Starts with the host', value: former.startsAtBoot || 'no' },
    ],
    affected: now === undefined ? [] : [`${unit} ${now}`],
    risks: action === 'stop' || action === 'restart' ? [`What needs ${unit} is without it meanwhile`] : [],
    hostCalls: [{ host, calls: [...calls] }],
    undo: [
      `If it fails or is cancelled ${unit} is put back to ${former.active}, ${former.startsAtBoot || 'no start at boot'}`,
    ],
  };
}

const effects: Readonly<Record<Exclude<ServiceAction, 'enable' | 'disable'>, string>> = {
  start: 'starts',
  stop: 'is stopped',
  restart: 'is away while it restarts',
  reload: 'reads its configuration again',
};

/** Once more, because it may have ended since the job on the host saw it stay. */
function requireEffect(unit: string, action: ServiceAction, state: ServiceState): ServiceState {
  const is = action === 'enable' || action === 'disable' ? state.startsAtBoot : state.active;
  const hasEnded = state.endsByItself ? is === 'inactive' : action === 'stop' && is === 'failed';
  if (is === wanted(action) || hasEnded) return state;
  throw ApplicationFailure.nonRetryable(
    `${unit} is ${is} after ${action}, not ${wanted(action)}. Look at its log (action logs).`,
    'verification-failed',
  );
}

function wanted(action: ServiceAction): string {
  if (action === 'stop') return 'inactive';
  return action === 'enable' || action === 'disable' ? `${action}d` : 'active';
}

function brief({ active, startsAtBoot }: ServiceState): { readonly active: string; readonly startsAtBoot: string } {
  return { active, startsAtBoot };
}

function describe({ active, detail, startsAtBoot }: ServiceState): string {
  return `${active} (${detail}), ${startsAtBoot || 'no start at boot'}`;
}

function statusOf(unit: string, state: ServiceState): Finding {
  const since = state.since === '' ? '' : ` since ${state.since}`;
  const restarts = state.restarts === 0 ? '' : `, restarted ${state.restarts} times`;
  return {
    check: unit,
    verdict: state.active === 'failed' ? 'failed' : 'ok',
    summary: `${describe(state)}${since}${restarts}`,
    evidence: state.description,
  };
}
