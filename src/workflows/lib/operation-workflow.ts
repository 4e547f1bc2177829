import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  ApplicationFailure,
  defineQuery,
  isCancellation,
  proxyActivities,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import type { NotifyActivities } from '../../activities/notify/notify.ts';
import type { OperationDefinition } from '../../operations/definition.ts';
import { makeReport, type Report, type Section } from '../../operations/report.ts';
import type { Outcome, Progress, RunRequest, RunResult } from '../../operations/run.ts';
import { searchAttributes } from '../../operations/search-attributes.ts';
import { type Checklist, createChecklist } from './checklist.ts';
import { failureOf } from './failure.ts';
import { withLock } from './lock.ts';
import { policies } from './policies.ts';
import { serviceQueue } from './queues.ts';
import { createUndoStack, type UndoStack } from './undo.ts';

export const progressQuery = defineQuery<Progress>('progress');

const phaseKey = defineSearchAttributeKey(searchAttributes.phase, SearchAttributeType.KEYWORD);
const outcomeKey = defineSearchAttributeKey(searchAttributes.outcome, SearchAttributeType.KEYWORD);

/** What a workflow's own logic gets to work with. */
export interface Run<Input> {
  readonly input: Input & { readonly host: string };
  /**
   * When the run began to act, after it got the lock; ms since the epoch. The same in every attempt, so that names can be
   * made from it.
   */
  readonly begunAt: number;
  /** The lock's fencing token; 0 when the run changes nothing. */
  readonly fence: number;
  /** Runs one step of the definition's list and keeps the checklist. Its `summary` is the step's text in the UI. */
  step<T>(title: string, act: (summary: string) => Promise<T>, note?: (result: T) => string | undefined): Promise<T>;
  skip(title: string, why: string): void;
  /** Registers how to take a step back, before the step. */
  onUndo(title: string, undo: () => Promise<void>): void;
  /** From here on what was done stays: a later failure takes nothing back. */
  commit(): void;
  /** The report of what is known so far, for mailing it before the run ends. */
  report(sections: readonly Section[], summary: string): Report;
}

/** What a workflow's own logic returns; the report is made of it. */
export interface Done<Output> {
  readonly output: Output;
  readonly summary: string;
  readonly sections: readonly Section[];
}

type OutputOf<D extends OperationDefinition> = z.output<D['output']>;

/**
 * Makes the durable workflow of an operation: validates its input, takes the target's lock when it changes something,
 * keeps the checklist and the search attributes, undoes on failure and on cancellation, and returns the report.
 */
export function operationWorkflow<D extends OperationDefinition>(
  definition: D,
  body: (run: Run<z.output<D['input']>>) => Promise<Done<OutputOf<D>>>,
): (request: RunRequest<z.input<D['input']>>) => Promise<RunResult<OutputOf<D>>> {
  return async (request) => {
    const input = parse(definition, request.input);
    const title = `${definition.title} ${input.host}`;
    const checklist = createChecklist(title, definition.steps);
    setHandler(progressQuery, checklist.progress, { description: 'What the run does now, and its steps' });
    const undo = createUndoStack({
      onStep: (step) => checklist.enter('undoing', `Undoing: ${step}`),
      onUndone: (step) => checklist.mark(step, 'undone'),
      onStuck: (step, why) => callForHelp(checklist, title, input.host, step, why),
    });

    const act = async (fence: number): Promise<Done<OutputOf<D>>> => {
      checklist.enter('running', 'Running');
      try {
        return await body({
          input,
          begunAt: Date.now(),
          fence,
          onUndo: undo.push,
          commit: undo.clear,
          report: (sections, summary) => reportOf(title, input.host, { sections, summary }),
          skip: (step, why) => checklist.mark(step, 'skipped', why),
          step: (step, work, note) => runStep(checklist, step, work, note),
        });
      } catch (error) {
        // Here, so that everything is taken back while the lock is still held.
        throw await takeBack(error, undo, checklist);
      }
    };

    try {
      const changes = definition.risk !== 'read' && input.dryRun !== true;
      const done = changes ? await locked(input.host, definition.name, checklist, act) : await act(0);
      const outcome = input.dryRun === true ? 'planned' : 'done';
      finish(checklist, outcome, done.summary);
      return { outcome, output: done.output, report: reportOf(title, input.host, done) };
    } catch (error) {
      if (checklist.progress().phase !== 'finished') {
        finish(checklist, isCancellation(error) ? 'cancelled' : 'failed', failureOf(error).message);
      }
      throw error;
    }
  };
}

/** Undoes, and makes the run's last word of what happened and of what was left. */
async function takeBack(error: unknown, undo: UndoStack, checklist: Checklist): Promise<unknown> {
  const failure = failureOf(error);
  const undone = !undo.isEmpty();
  const left = await undo.unwind();
  const cancelled = isCancellation(error);
  finish(checklist, outcomeOf({ left: left.length > 0, cancelled, undone }), failure.message);
  if (cancelled && left.length === 0) return error;
  const rest =
    undone && left.length === 0 ? ['What it had done was undone.'] : left.map((step) => `Not undone: ${step}`);
  return ApplicationFailure.create({
    message: [failure.message, ...rest].join(' '),
    type: failure.code,
    nonRetryable: true,
    details: [{ code: failure.code, remedy: failure.remedy }],
  });
}

function outcomeOf(end: { readonly left: boolean; readonly cancelled: boolean; readonly undone: boolean }): Outcome {
  if (end.left) return 'failed';
  if (end.cancelled) return 'cancelled';
  return end.undone ? 'undone' : 'failed';
}

function parse<D extends OperationDefinition>(definition: D, input: unknown): z.output<D['input']> & { host: string } {
  const parsed = z.safeParse(definition.input, input);
  if (!parsed.success) {
    throw ApplicationFailure.nonRetryable(
      `The input of ${definition.name} is not valid. ${z.prettifyError(parsed.error)}`,
      'invalid-input',
    );
  }
  // Every operation's schema has a host (checked by the catalogue's test); its generic type can't say so.
  return parsed.data as z.output<D['input']> & { host: string };
}

function locked<T>(
  host: string,
  operation: string,
  checklist: Checklist,
  body: (fence: number) => Promise<T>,
): Promise<T> {
  checklist.enter('waiting-for-lock', `Waiting for the lock of ${host}`);
  return withLock(
    {
      target: host,
      title: `${operation} of ${host}`,
      onWait: (message) => checklist.enter('waiting-for-lock', message),
    },
    body,
  );
}

async function runStep<T>(
  checklist: Checklist,
  title: string,
  work: (summary: string) => Promise<T>,
  note?: (result: T) => string | undefined,
): Promise<T> {
  checklist.mark(title, 'running');
  try {
    const result = await work(title);
    checklist.mark(title, 'done', note?.(result));
    return result;
  } catch (error) {
    checklist.mark(title, 'failed', failureOf(error).message);
    throw error;
  }
}

function finish(checklist: Checklist, outcome: Outcome, message: string): void {
  checklist.enter('finished', message);
  upsertSearchAttributes([
    { key: phaseKey, value: 'finished' },
    { key: outcomeKey, value: outcome },
  ]);
}

function reportOf(title: string, host: string, done: Pick<Done<unknown>, 'sections' | 'summary'>): Report {
  return makeReport({
    title,
    target: host,
    summary: done.summary,
    startedAt: workflowInfo().startTime.toISOString(),
    finishedAt: new Date().toISOString(),
    sections: done.sections,
  });
}

/** Pauses the run and tells the administrators what to do; a mail that can't be sent doesn't stop the pause. */
async function callForHelp(
  checklist: Checklist,
  title: string,
  host: string,
  step: string,
  why: string,
): Promise<void> {
  const message = `Could not undo "${step}". ${why}`;
  checklist.enter('paused', message);
  checklist.mark(step, 'failed', why);
  upsertSearchAttributes([{ key: phaseKey, value: 'paused' }]);
  const { workflowId } = workflowInfo();
  const remedy = `Put right what it says, then send the run the signal "decide" with "retry" (or "leave" to end it as it is): temporal workflow signal --workflow-id '${workflowId}' --name decide --input '"retry"'`;
  const { mailReport } = proxyActivities<NotifyActivities>({ ...policies.service, taskQueue: serviceQueue });
  const at = new Date().toISOString();
  try {
    await mailReport({
      subject: `[${host}] ${title} is paused and needs you`,
      report: {
        title: `${title} is paused`,
        target: host,
        verdict: 'failed',
        summary: message,
        startedAt: at,
        finishedAt: at,
        sections: [
          {
            title: 'What to do',
            findings: [{ check: step, verdict: 'failed', summary: why, evidence: remedy }],
          },
        ],
      },
    });
  } catch {
    // The pause itself is shown in the UI, in lists and in the metrics.
  }
}
