import { z } from 'zod';
import { type Plan, plan } from './plan.ts';
import type { Report } from './report.ts';
import { reversal, type Undoes } from './reversal.ts';

/**
 * Who or what asked for a run, or answered it. `name` is the token's name, the login name, the schedule's id, or of a
 * `person`, who has proved to be that one, their own.
 */
export const requester = z.object({
  kind: z.enum(['person', 'mcp', 'cli', 'schedule', 'demo', 'run']),
  name: z.string(),
  for: z.string().optional().describe('Of a token: the person whose agent it is'),
  token: z.iso
    .datetime()
    .optional()
    .describe('Of a token that made a schedule: when that token was made. Its runs end with it'),
});
export type Requester = z.infer<typeof requester>;

/** A principal as the ledger and Temporal's search name it: `person:anna`, `mcp:claude`. */
export function principalText({ kind, name }: Requester): string {
  return `${kind}:${name}`;
}

/**
 * What a host's health has to be right before a scheduled run changes something. `healthy`: its check says ok;
 * `not-failing`: ok, or a warning.
 */
export const runCondition = z.enum(['healthy', 'not-failing']);
export type RunCondition = z.infer<typeof runCondition>;

/** When a run that is started ahead of its time, so that it can ask early, may act. */
export interface NotBefore {
  /** ISO 8601; absent: `leadMs` after the moment for which its schedule started it. */
  readonly at?: string;
  readonly leadMs?: number;
  /** In which people read it. */
  readonly timeZone: string;
}

/** What a workflow of the catalogue is started with. */
export interface RunRequest<Input> {
  readonly input: Input;
  readonly requestedBy: Requester;
  /** Run whose locks it shares while that holds them: the parent that must not be interrupted between its children. */
  readonly within?: string;
  /** What it takes back. */
  readonly undoes?: Undoes;
  /** Who made the schedule that starts it, or asked for the first of the runs that led to it: it is judged as theirs. */
  readonly onBehalfOf?: Requester;
  /** It may ask before that, and acts then: not before, and not later than the policy lets an approval be used. */
  readonly notBefore?: NotBefore;
  /** Looked at right before it acts: where it isn't so, nothing is done. */
  readonly condition?: RunCondition;
}

/** How a run ended. `planned`: it was a dry run and changed nothing. `undone`: it failed and took back what it did. */
export const outcome = z.enum(['done', 'planned', 'undone', 'failed', 'cancelled']);
export type Outcome = z.infer<typeof outcome>;

/** Who has said yes to a run, and why. */
export const approver = z.object({ name: z.string(), reason: z.string().optional() });
export type Approver = z.infer<typeof approver>;

/** What every completed run returns: the operation's own output and the report for people. */
export interface RunResult<Output> {
  readonly outcome: Extract<Outcome, 'done' | 'planned'>;
  readonly report: Report;
  readonly output: Output;
  /** Of a run that changes something, and of a dry run. */
  readonly plan?: Plan;
  /** Who has approved it, with the reason that they gave. Absent where nobody had to. */
  readonly approvedBy?: Approver[];
}

/** State of one step of a run's live checklist. */
export const stepState = z.enum(['pending', 'running', 'done', 'failed', 'skipped', 'undone']);
export const runStep = z.object({ title: z.string(), state: stepState, note: z.string().optional() });
export type RunStep = z.infer<typeof runStep>;

/** How far the approval of a plan is. */
export const approvalState = z.object({
  digest: z.string(),
  count: z.int().describe('So many have to say yes; one no is a no'),
  approvers: z.array(z.string()).describe('Who may answer'),
  given: z.array(z.string()).describe('Who has said yes'),
  signed: z.boolean(),
  toSign: z.array(z.object({ host: z.string(), text: z.string() })).optional(),
});
export type ApprovalState = z.infer<typeof approvalState>;

/** What a paused run asks a person. */
export const question = z.object({
  id: z.string().describe('An answer names it'),
  text: z.string(),
  choices: z.array(z.object({ name: z.string(), meaning: z.string() })),
  kind: z.enum(['decision', 'approval']).describe('An approval is given by an administrator, never by a model'),
  approval: approvalState.optional().describe('Of an approval'),
  askedAt: z.iso.datetime(),
  until: z.iso.datetime().optional().describe('Without an answer by then it is a no'),
  ifCancelled: z
    .enum(['ends', 'nothing'])
    .optional()
    .describe(
      'What cancelling it does meanwhile. ends: it is a no, and the run undoes what it did; nothing: only an answer lets it go on',
    ),
});
export type Question = z.infer<typeof question>;

/** A person's answer to a {@link Question}. */
export interface Answer {
  /** Absent: the one that is open. */
  readonly question?: string;
  readonly choice: string;
  readonly by?: Requester;
  readonly reason?: string;
  /** Of an approval: the digest of the plan that was read. */
  readonly digest?: string;
  /** Where the plan has to be signed: of each host's text, as `ssh-keygen -Y sign` makes it. */
  readonly signatures?: readonly { readonly host: string; readonly signature: string }[];
  /** By which way it came: `cli`, `page`, `code` … */
  readonly via?: string;
}

/** What a signal may say instead, typed by a person in the Temporal UI: a choice's name, and after it a one-time code. */
export interface CodedAnswer {
  readonly choice: string;
  readonly code: string;
}

/** How a run that isn't done came to its end; what a cancelled one leaves, because Temporal keeps no text of it. */
export const ending = z.object({
  at: z.string().describe('Where it was: at step "Pack", or while it waited for the lock of pve1'),
  undone: z.array(z.string()).describe('Steps that were undone, in that order'),
  left: z.array(z.string()).describe('Steps that could not be undone and were left as they are, with the reason'),
});
export type Ending = z.infer<typeof ending>;

/**
 * What a run says of itself in its memo, so that lists and descriptions have it when no worker answers. Bounded, and what
 * hosts said in it is cleaned.
 */
export const runMemo = z.object({
  question: question.optional().catch(undefined).describe('What it asks, as long as it is paused'),
  ending: ending.optional().catch(undefined),
  undoes: z.string().optional().catch(undefined).describe('The run that it takes back'),
  reversal: reversal.optional().catch(undefined).describe('Of one that has changed something: how it is taken back'),
  trace: z.string().optional().catch(undefined).describe('`traceparent` of what started it, where that was traced'),
  traceState: z.string().optional().catch(undefined).describe('`tracestate` of the same'),
});
export type RunMemo = z.infer<typeof runMemo>;

/** What a run has in its memo of the schedule that somebody made. */
const aheadMemo = z.object({ own: z.object({ at: z.iso.datetime().optional(), leadMs: z.number() }) });

/** When a run is to act: its start, unless its schedule started it ahead of its time; ms since the epoch. */
export function actsAt(memo: unknown, startedAt: number): number {
  const { own } = aheadMemo.safeParse(memo).data ?? {};
  if (own === undefined) return startedAt;
  return own.at === undefined ? startedAt + own.leadMs : Math.max(startedAt, Date.parse(own.at));
}

export const phase = z.enum(['starting', 'waiting-for-lock', 'running', 'undoing', 'paused', 'finished']);
export type Phase = z.infer<typeof phase>;

/** What the `progress` query of a running workflow answers. */
export const progress = z.object({
  phase,
  message: z.string().describe('What it is doing now, for a person'),
  steps: z.array(runStep),
  question: question.optional().describe('What it waits for a person to decide, when it is paused'),
  plan: plan.optional().describe('What it is to do, or would do'),
});
export type Progress = z.infer<typeof progress>;
