import { z } from 'zod';
import { verdict } from '../operations/finding.ts';
import { plan } from '../operations/plan.ts';
import { report } from '../operations/report.ts';
import { approver, ending, outcome, progress, question, runCondition } from '../operations/run.ts';

// The shapes of runs and schedules as callers see them, once for MCP, the command line and JSON. Times are ISO 8601, UTC.

/**
 * How a run stands: it goes on, or waits for a person (`paused`), or how it ended. `terminated`: somebody ended it in
 * Temporal without letting it undo anything. Whether what it looked at is well is its report's verdict.
 */
export const runState = z.enum([
  'running',
  'paused',
  'done',
  'planned',
  'undone',
  'failed',
  'cancelled',
  'terminated',
  'timed-out',
]);

/** Whether a run that has changed something can be taken back. */
export const runUndo = z.object({
  possible: z.boolean(),
  until: z.string().optional(),
  by: z.string().optional().describe('Run that took it back, or is to'),
  text: z.string().describe('Until when and as long as what; or why not'),
});

/** A run as lists show it. */
export const runSummary = z.object({
  id: z.string().describe('operation/target/…; its start is enough where only one begins so'),
  operation: z.string(),
  target: z.string().describe('What it works on: a host, host/VMID, fleet or service'),
  state: runState,
  verdict: verdict.optional().describe('The worst that its report says of the target'),
  dryRun: z.boolean().describe('It only plans, and changes nothing'),
  question: question.optional().describe('What a paused run asks; known when no worker answers, too'),
  requestedBy: z.string().optional(),
  undoes: z.string().optional().describe('The run that it takes back'),
  undo: runUndo.optional().describe('Whether undo_run can take it back'),
  startedAt: z.string(),
  closedAt: z.string().optional(),
  timeZone: z.string().describe("IANA name of its host's time zone: tell people times in it"),
  url: z.string().describe('Its page in the Temporal UI'),
  page: z.string().optional().describe('Where people answer it'),
});

/** Something that a run does and that isn't getting on: it has failed and is tried again, or nobody has begun it. */
export const wait = z.object({
  step: z.string().describe('As lists of steps name it; where that is not known, what is done, in words'),
  why: z.string().describe('Without what to do about it: it is tried again by itself'),
  attempt: z.int().describe('Counts from 1: the one that goes on or comes next'),
  nextAttemptAt: z.string().optional().describe('ISO 8601; absent while it is tried'),
  text: z.string().describe('All of that as one line'),
});

/** Why a run didn't do what it was to do. */
export const runFailure = z.object({ code: z.string(), message: z.string(), remedy: z.string() });

/** What a run that has ended well returned; `output` is the operation's own. */
export const runResult = z.object({
  outcome: outcome.extract(['done', 'planned']),
  report,
  output: z.record(z.string(), z.unknown()),
  approvedBy: z.array(approver).optional(),
  plan: plan.optional().describe('Of a dry run, and of a run that changed something'),
});

/** A run with what it is doing or what came of it. */
export const runDetails = runSummary.extend({
  progress: progress.optional(),
  result: runResult.optional(),
  failure: runFailure.optional(),
  ending: ending.optional().describe('Where one that is not done stopped, and what it undid'),
  waits: z.array(wait).optional().describe('What it can not get on with now, and why'),
  trace: z.string().optional().describe('Its OpenTelemetry trace'),
});

/** One thing that happened in a run. */
export const runLogLine = z.object({ at: z.string(), event: z.string(), text: z.string() });

/** What a person may call a schedule of theirs. */
export const scheduleName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected up to 40 of a-z, 0-9 and -');

/** A schedule as lists show it. */
export const scheduleSummary = z.object({
  id: z.string().describe('operation/schedule/target'),
  operation: z.string(),
  target: z.string().describe('What its runs work on: a host, host/VMID, fleet or service'),
  cron: z.string(),
  timeZone: z.string(),
  overlap: z.string().describe('What happens when it fires while its last run is still going'),
  paused: z.boolean(),
  note: z.string().optional().describe('Why it was paused or resumed, and by whom'),
  nextRuns: z.array(z.string()),
  clockChange: z
    .string()
    .optional()
    .describe(
      'What the next clock change makes of it: a time that is skipped or comes twice runs once, when that time is over. Absent where no time of it is touched',
    ),
  problem: z.string().optional().describe('Why it is not there, or not as the configuration says'),
  lastRuns: z.array(z.object({ at: z.string(), runId: z.string() })),
  own: z
    .object({
      madeBy: z.string(),
      madeAt: z.string(),
      risk: z.enum(['read', 'change', 'dangerous']),
      input: z.record(z.string(), z.unknown()),
      at: z.string().optional().describe('Of one that runs once'),
      isDone: z.boolean().optional().describe('It ran once, and is gone in some days'),
      condition: runCondition.optional().describe("What its host's check has to say right before"),
      approval: z
        .object({
          count: z.int(),
          approvers: z.array(z.string()),
          why: z.string(),
          asksAt: z.string().optional(),
          until: z.string().optional(),
        })
        .optional()
        .describe('Who has to say yes before its next run acts, as the policy was when it was made'),
    })
    .optional()
    .describe('Of one that somebody made: it can be removed'),
});
