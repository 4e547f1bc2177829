import { workflowInfo } from '@temporalio/workflow';
import type { z } from 'zod';
import type {
  ApiChangeActivities,
  ChangeInput,
  ChangeLook,
  PlannedCall,
} from '../../activities/api-change/api-change.ts';
import { type ApiOperation, missedFact } from '../../operations/api-change.ts';
import type { Finding } from '../../operations/finding.ts';
import type { RunRequest, RunResult } from '../../operations/run.ts';
import type { Place } from '../../operations/target.ts';
import { onHost } from './activities.ts';
import { failureOf } from './failure.ts';
import { operationWorkflow } from './operation-workflow.ts';
import type { Policy } from './policies.ts';

/** With these, Proxmox refused a call at once, so that nothing of it was done. */
const refused = new Set([
  'proxmox-locked',
  'proxmox-permission',
  'proxmox-invalid',
  'proxmox-not-found',
  'already-exists',
  'conflict',
  'guest-moved',
]);

/** What a declared operation is carried out for: one target of one run. */
export interface Carried {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly host: string;
  /** Read anew for every call: after a person was asked a guest may be elsewhere. */
  readonly place: () => Place;
}

/** What came of one step. */
export interface StepDone {
  readonly upid?: string;
  readonly warnings: number;
  readonly log: readonly string[];
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The activities of a declared operation, for one target. */
export function createApiSteps({ operation, input, host, place }: Carried) {
  const on = (policy: Policy) => (summary: string) => {
    const where = place();
    return onHost<ApiChangeActivities>((where.kind === 'guest' ? where.host : undefined) ?? host, policy, summary);
  };
  const [look, act, follow, undo] = [on('look'), on('act'), on('job'), on('undo')];
  const what = (): ChangeInput => ({ operation, input, host, place: place(), run: workflowInfo().workflowId });
  /** What this run has started so far: of the same kind as a later step's, perhaps. */
  const started: string[] = [];
  const of = ({ node, seen }: ChangeLook, { title, line }: PlannedCall) => ({
    ...what(),
    node,
    seen,
    step: { title, line },
  });
  return {
    look: (summary: string): Promise<ChangeLook> => look(summary).lookForChange(what()),

    async start(known: ChangeLook, step: PlannedCall, summary: string): Promise<string | undefined> {
      const { upid } = await act(summary).startChange({ ...of(known, step), known: [...step.tasks, ...started] });
      if (upid !== undefined) started.push(upid);
      return upid;
    },

    async follow(known: ChangeLook, step: PlannedCall, upid: string): Promise<Pick<StepDone, 'warnings' | 'log'>> {
      return await follow(`Follow ${upid}`).followChange({ ...of(known, step), upid });
    },

    verify: (known: ChangeLook, step: PlannedCall): Promise<StepDone['facts']> =>
      follow(`${step.title}: look at the effect`).verifyChange(of(known, step)),

    undo: (known: ChangeLook, step: PlannedCall): Promise<void> =>
      undo(`Take back: ${step.title}`).undoChange({ ...of(known, step), known: step.tasks }),

    lookAtLeft: (known: ChangeLook, step: PlannedCall): Promise<string> =>
      look('Look at what is left').lookAtChange(of(known, step)),
  };
}

/** Whether a failed call has certainly changed nothing. */
export function wasRefused(error: unknown): boolean {
  return refused.has(failureOf(error).code);
}

/** The workflow of a declared operation: looks, plans, makes its calls one after another, and sees that each had its effect. */
export function apiChangeWorkflow<
  Name extends string,
  Kind extends 'guest' | 'host',
  Input extends z.ZodObject,
  Output extends z.ZodObject,
>(
  definition: ApiOperation<Name, Kind, Input, Output>,
): (request: RunRequest<z.input<Input>>) => Promise<RunResult<z.output<Output>>> {
  return operationWorkflow<Input, Output, ChangeLook>(definition, {
    async plan(run) {
      const known = await run.step('Look', stepsOf(run).look, ({ plan }) =>
        plan.state
          .map(({ name, value }) => `${name}: ${value}`)
          .join(', ')
          .slice(0, 200),
      );
      return { known, would: { plan: known.plan, output: known.output as z.output<Output> } };
    },

    async act(run, known) {
      const steps = stepsOf(run);
      let output = known.output;
      const tasks: Finding[] = [];
      for (const title of definition.steps.slice(1)) {
        const step = known.steps.find((one) => one.title === title);
        if (step === undefined) run.skip(title, 'Not needed');
        else {
          if (step.hasUndo) {
            run.onUndo(
              title,
              () => steps.undo(known, step),
              () => steps.lookAtLeft(known, step),
            );
          }
          const done = await run.step(
            title,
            (summary) => carryOut(step, summary),
            ({ upid }) => upid,
          );
          const {
            findings = [],
            [missedFact]: _,
            ...facts
          } = done.facts as StepDone['facts'] & {
            readonly findings?: readonly Finding[];
          };
          output = { ...output, ...facts };
          tasks.push(...findingOf(title, done), ...findings);
        }
      }
      run.commit();
      return {
        output: output as z.output<Output>,
        summary: known.done,
        sections: [{ title: definition.title, findings: [...known.findings, ...tasks] }],
      };

      async function carryOut(step: PlannedCall, summary: string): Promise<StepDone> {
        const upid = await steps.start(known, step, summary).catch((error: unknown) => {
          if (wasRefused(error)) run.nothingDone(step.title);
          throw error;
        });
        const end = upid === undefined ? { warnings: 0, log: [] } : await steps.follow(known, step, upid);
        const facts = await steps.verify(known, step);
        return { ...end, facts, ...(upid === undefined ? {} : { upid }) };
      }
    },
  });

  function stepsOf(run: { readonly input: z.output<Input>; readonly place: Place }) {
    const input = run.input as Readonly<Record<string, unknown>>;
    return createApiSteps({ operation: definition.name, input, host: String(input.host), place: () => run.place });
  }
}

function findingOf(title: string, { upid, warnings, log, facts }: StepDone): Finding[] {
  const missed = facts[missedFact];
  if (typeof missed === 'string') return [{ check: title, verdict: 'warning', summary: missed }];
  if (upid === undefined) return [{ check: title, verdict: 'ok', summary: 'Done, and looked at' }];
  if (warnings === 0) return [{ check: title, verdict: 'ok', summary: `${upid} ended well, and its effect is there` }];
  return [
    {
      check: title,
      verdict: 'warning',
      summary: `${upid} ended well, with warnings; its effect is there`,
      remedy: 'Read them: they may matter later.',
      evidence: log.join('\n'),
    },
  ];
}
