import { z } from 'zod';

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
