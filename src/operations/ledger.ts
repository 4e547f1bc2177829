import { z } from 'zod';
import { type Judgement, judgedRequest } from './judgement.ts';

/** What is written down. */
export const recordKind = z.enum([
  'request',
  'refusal',
  'plan',
  'decision',
  'spend',
  'step',
  'outcome',
  'sign-in',
  'person',
  'token',
  'policy',
  'switch',
  'schedule',
  'code',
  'anchor',
  'restore',
  'seal',
]);
export type RecordKind = z.infer<typeof recordKind>;

/** What is to be written down. Never holds a secret; what hosts said in it is cleaned and bounded. */
export const newRecord = z.object({
  key: z.string().max(500).describe('The same key is written once, however often it is sent'),
  kind: recordKind,
  run: z.string().optional().describe('Workflow id of the run'),
  attempt: z.string().optional().describe("Temporal's own id of that execution of the run: another one after a reset"),
  operation: z.string().optional(),
  target: z.string().optional(),
  by: z.string().optional().describe('The principal: person:anna, mcp:claude, cli:root, schedule:back-up/daily/pve1'),
  text: z.string().max(2_000).describe('What happened, as one line for a person'),
  data: z.record(z.string(), z.unknown()).optional().describe('The same for programs, at most 64 KiB as JSON'),
});
export type NewRecord = z.infer<typeof newRecord>;

/** A record as the ledger has it: each holds the hash of the one before it. */
export const ledgerRecord = newRecord.extend({
  seq: z.int().min(1),
  at: z.iso.datetime().describe("The ledger's own clock"),
  previous: z.string(),
  hash: z.string(),
});
export type LedgerRecord = z.infer<typeof ledgerRecord>;

/** Which records; all that is named has to hold. */
export const ledgerFilter = z.object({
  text: z
    .string()
    .max(200)
    .optional()
    .describe('Words that all stand in it, in any order; one that ends with * begins so'),
  run: z.string().max(500).optional(),
  kind: recordKind.optional(),
  by: z.string().max(300).optional(),
  operation: z.string().max(100).optional(),
  target: z.string().max(300).optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional().describe('Before that moment'),
  before: z.int().min(1).optional().describe('Only older records than that number: the cursor of the page before'),
  limit: z.int().min(1).max(200),
});
export type LedgerFilter = z.infer<typeof ledgerFilter>;

/** Records, newest first. `before` is there when there may be more: the filter's own for the next page. */
export interface LedgerPage {
  readonly records: readonly LedgerRecord[];
  readonly before?: number;
  /** Segments that were to be looked into and are not there, as `1`. */
  readonly missing: readonly number[];
}

/** The newest record: what anchors hold. */
export interface LedgerHead {
  readonly seq: number;
  readonly hash: string;
  readonly at: string;
}

/** A head as it was written down at another place. */
export const ledgerAnchor = z.object({ seq: z.int().min(1), hash: z.string().regex(/^[0-9a-f]{64}$/) });
export type LedgerAnchor = z.infer<typeof ledgerAnchor>;

/** A gap in the numbers that is known, and the record that says so. */
export interface LostRecords {
  readonly from: number;
  readonly to: number;
  readonly seq: number;
  readonly at: string;
  readonly text: string;
}

/** What a look at every record found. */
export interface LedgerVerification {
  /** intact: every record is as it was written; incomplete: so are those that are there, but older ones are away. */
  readonly verdict: 'intact' | 'incomplete' | 'broken';
  readonly records: number;
  readonly first?: number;
  readonly head?: LedgerHead;
  readonly segments: readonly { readonly segment: number; readonly records: number; readonly sealed: boolean }[];
  /** The first of them; `problemCount` says how many there are. */
  readonly problems: readonly string[];
  readonly problemCount: number;
  /**
   * Of those that were given: how many name a record that is as they say, one that is away with its segment, and one that was
   * lost when an older state of the ledger was restored.
   */
  readonly anchors: {
    readonly given: number;
    readonly matched: number;
    readonly unknown: number;
    readonly lost?: number;
  };
  /** Numbers that no record has, because an older state was restored: each as a record of this ledger says. */
  readonly lost?: readonly LostRecords[];
}

/** What is written down from outside of runs; what runs do and use up, only they write. */
const outsideKind = recordKind.extract(['refusal', 'sign-in', 'person', 'token', 'switch', 'schedule', 'code']);
export type OutsideKind = z.infer<typeof outsideKind>;
const recordedOutside = newRecord.extend({ kind: outsideKind });

/** What `askLedger` asks, once. */
export const ledgerQuestion = z.discriminatedUnion('ask', [
  z.object({ ask: z.literal('search'), filter: ledgerFilter }),
  z.object({ ask: z.literal('get'), seq: z.int().min(1) }),
  z.object({ ask: z.literal('head') }),
  z.object({ ask: z.literal('record'), records: z.array(recordedOutside).min(1).max(20) }),
  // The policy is served where the ledger is.
  z.object({ ask: z.literal('judge'), request: judgedRequest }),
  z.object({ ask: z.literal('verify'), anchors: z.array(ledgerAnchor).max(10_000).optional() }),
]);
export type LedgerQuestion = z.infer<typeof ledgerQuestion>;

/** What each question is answered. */
export interface LedgerAnswers {
  readonly search: LedgerPage;
  readonly get: { readonly record?: LedgerRecord };
  readonly head: { readonly head?: LedgerHead };
  readonly record: { readonly seqs: readonly number[] };
  readonly judge: Judgement;
  readonly verify: LedgerVerification;
}
export type LedgerAnswer = LedgerAnswers[LedgerQuestion['ask']];
