import { ApplicationFailure, CancellationScope, ChildWorkflowFailure } from '@temporalio/workflow';
import { checkHealth } from '../../operations/check-health.ts';
import type { RunCondition } from '../../operations/run.ts';
import type { Place, TargetInput } from '../../operations/target.ts';
import { cleanLine } from '../../reports/clean.ts';
import type { Children } from './children.ts';
import { failureOf } from './failure.ts';

const code = 'condition-not-met';

/** What the check of the host's health may say, for each condition. A check that can't be made meets none. */
const met: Readonly<Record<RunCondition, ReadonlySet<string>>> = {
  healthy: new Set(['ok']),
  'not-failing': new Set(['ok', 'warning']),
};

const words: Readonly<Record<RunCondition, string>> = { healthy: 'is healthy', 'not-failing': 'has no failure' };

/** What has to be so for a run to act: `pve1 is healthy`. */
export function conditionText(condition: RunCondition, host: string): string {
  return `${host} ${words[condition]}`;
}

/** The host whose health counts: of a guest the one that it is on. Undefined where there is not one host. */
export function conditionHost(place: Place, target: TargetInput): string | undefined {
  return place.kind === 'guest' ? (place.host ?? target.host) : target.host;
}

/**
 * Looks at the host's health by a run of its own, right now. Throws `condition-not-met`, which says what was found, where
 * it is not as the condition wants it.
 */
export async function requireCondition(
  condition: RunCondition,
  host: string | undefined,
  children: Pick<Children, 'start'>,
): Promise<void> {
  if (host === undefined) throw notMet('There is no one host whose health could be looked at');
  const found = await lookAt(host, children);
  if (met[condition].has(found.verdict)) return;
  throw notMet(
    `It was to be done only if ${conditionText(condition, host)}, and its check says ${found.verdict}: ${cleanLine(found.why, 500).replace(/\.$/, '')}`,
  );
}

async function lookAt(host: string, { start }: Pick<Children, 'start'>): Promise<{ verdict: string; why: string }> {
  try {
    const { report } = await start(checkHealth, { host });
    return { verdict: report.verdict, why: report.summary };
  } catch (error) {
    // Somebody may end the look alone: then nobody knows.
    if (CancellationScope.current().consideredCancelled) throw error;
    const why = error instanceof ChildWorkflowFailure ? (error.cause ?? error) : error;
    return { verdict: 'unknown', why: failureOf(why).message };
  }
}

function notMet(what: string): ApplicationFailure {
  return ApplicationFailure.create({
    message: `${what}. Nothing was changed.`,
    type: code,
    nonRetryable: true,
    details: [{ code, remedy: 'Put right what the check names; then start it again, or wait for its next time.' }],
  });
}

/** Whether a run ends because its condition was not met: it did nothing, and nothing of it failed. */
export function isNotMet(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === code;
}
