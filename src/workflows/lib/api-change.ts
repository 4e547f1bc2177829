import { isCancellation } from '@temporalio/workflow';
import type { z } from 'zod';
import type { ChangeLook, PlannedCall, TaskDone } from '../../activities/api-change/api-change.ts';
import { type ApiOperation, missedFact } from '../../operations/api-change.ts';
import type { Finding } from '../../operations/finding.ts';
import type { RunRequest, RunResult } from '../../operations/run.ts';
import type { Place } from '../../operations/target.ts';
import { createApiSteps, type StepDone, wasRefused } from './api-steps.ts';
import { operationWorkflow } from './operation-workflow.ts';
import type { Change } from './run.ts';
import { snapshotFirst } from './snapshot-first.ts';
import { requireNotCancelled } from './undo.ts';

/** The workflow of a declared operation: looks, plans, makes its calls one after another, and sees that each had its effect. */
export function apiChangeWorkflow<
  Name extends string,
  Kind extends 'guest' | 'host',
  Input extends z.ZodObject,
  Output extends z.ZodObject,
>(
  definition: ApiOperation<Name, Kind, Input, Output>,
): (request: RunRequest<z.input<Input>>) => Promise<RunResult<z.output<Output>>> {
  const change: Change<z.output<Input>, z.output<Output>, ChangeLook> = {
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
          if (step.hasUndo || step.hasTask) {
            // Whoever cancels it while its call is on its way knows no task yet, and it is to end all the same.
            run.onUndo(
              step.hasUndo ? title : endOf(title),
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
          tasks.push(...findingOf(title, done), ...(done.findings ?? []), ...findings);
        }
      }
      if (known.steps.some(({ hasUndo }) => hasUndo)) requireNotCancelled();
      run.commit();
      return {
        output: output as z.output<Output>,
        summary: known.done,
        sections: [
          { title: definition.title, findings: [...known.findings, ...tasks] },
          ...(known.table === undefined ? [] : [known.table]),
        ],
      };

      async function followed(step: PlannedCall, upid: string): Promise<TaskDone> {
        try {
          return await steps.follow(known, step, upid);
        } catch (error) {
          // A task that failed has ended.
          if (!step.hasUndo && !isCancellation(error)) run.nothingDone(endOf(step.title));
          throw error;
        }
      }

      async function carryOut(step: PlannedCall, summary: string): Promise<StepDone> {
        const upid = await steps.start(known, step, summary).catch((error: unknown) => {
          if (wasRefused(error)) run.nothingDone(step.hasUndo ? step.title : endOf(step.title));
          throw error;
        });
        const end = upid === undefined ? { warnings: 0, log: [] } : await followed(step, upid);
        if (!step.hasUndo) run.nothingDone(endOf(step.title));
        const facts = await steps.verify(known, step);
        return { ...end, facts, ...(upid === undefined ? {} : { upid }) };
      }
    },
  };
  if (definition.snapshotFirst) return operationWorkflow(definition, snapshotFirst(change));
  return operationWorkflow(definition, change);

  function stepsOf(run: { readonly input: z.output<Input>; readonly place: Place }) {
    const input = run.input as Readonly<Record<string, unknown>>;
    return createApiSteps({ operation: definition.name, input, host: String(input.host), place: () => run.place });
  }
}

/** What can't be taken back can at least be kept from going on. */
function endOf(title: string): string {
  return `${title}: its task is ended`;
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
