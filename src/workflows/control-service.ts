import { ApplicationFailure } from '@temporalio/workflow';
import type {
  ControlServiceActivities,
  ServiceAction,
  ServiceState,
} from '../activities/control-service/control-service.ts';
import { controlService as definition } from '../operations/control-service.ts';
import type { Finding } from '../operations/finding.ts';
import { onHost } from './lib/activities.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';

/**
 * The guide's systemd control. The change is one job on the host, which does it and waits until the service stays as it
 * was asked to be; so it also works for the service that this run itself needs. What fails is put back.
 */
export const controlService = operationWorkflow(definition, async (run) => {
  const { host, unit, action, lines, seconds, dryRun } = run.input;
  const on = (policy: Policy, summary: string) => onHost<ControlServiceActivities>(host, policy, summary);
  const look = (summary: string) => on('look', summary).lookAtService({ host, unit });

  const former = await run.step('Look', look, describe);
  const before = brief(former);
  if (action === 'status' || action === 'logs') {
    run.skip('Verify', 'It only looks');
    const status = { title: 'Service', findings: [statusOf(unit, former)] };
    if (action === 'status') {
      run.skip('Act', 'It only looks');
      return { output: { before }, summary: `${unit} is ${describe(former)}.`, sections: [status] };
    }
    const log = await run.step('Act', (summary) => on('job', summary).readServiceLog({ host, unit, lines, seconds }));
    const sections = [status, { title: log.truncated ? 'Log (its end)' : 'Log', quoted: log.text.trimEnd() }];
    return { output: { before }, summary: `The log of ${unit} on ${host}.`, sections };
  }

  if (action === 'reload' && !former.canReload) {
    throw ApplicationFailure.nonRetryable(
      `${unit} on ${host} can't reload its configuration while it runs. Restart it instead.`,
      'conflict',
    );
  }
  if (dryRun) {
    const plan: Finding = {
      check: 'Would do',
      verdict: 'ok',
      summary: `systemctl ${action} ${unit}, then wait until it stays ${wanted(action)}.`,
      remedy: `If that fails: ${unit} is put back to ${describe(former)}.`,
    };
    const sections = [{ title: 'Plan', findings: [statusOf(unit, former), plan] }];
    return { output: { before }, summary: `Would ${action} ${unit} on ${host}; nothing was changed.`, sections };
  }

  run.onUndo(
    'Act',
    () => on('undo', `Put ${unit} back`).restoreService({ host, unit, former, fence: run.fence }),
    async () => JSON.stringify(brief(await look('Look at what is left'))),
  );
  await run.step('Act', (summary) => on('job', summary).changeService({ host, unit, action, fence: run.fence }));
  const after = await run.step('Verify', async (summary) => requireEffect(unit, action, await look(summary)), describe);
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
});

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
