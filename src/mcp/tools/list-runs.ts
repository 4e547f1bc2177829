import { z } from 'zod';
import { verdict } from '../../operations/finding.ts';
import { hostName } from '../../operations/inputs.ts';
import { momentForm } from '../../runs/moment.ts';
import { runState } from '../../runs/schema.ts';
import { defineTool } from '../define-tool.ts';
import { boundedSummary } from '../run-data.ts';
import { operationName } from './operation-tools.ts';

/** Runs, newest first. */
export const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description:
    'Runs of operations, newest first: what runs now, what ran last night, when the last backup was and whether it worked, what failed, what is paused; of the last 30 days. Each with its state (how it goes or ended), its verdict (a check that is done may have found failures), who asked, its page in the Temporal UI, and whether and how long undo_run can take it back. Filter by operation, host, state, verdict, who asked and time. Dry runs are left out unless asked for.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    operation: operationName().optional().describe('Only of this operation, e.g. back-up'),
    host: hostName().optional().describe('Only runs on this host and its guests'),
    state: runState.optional().describe('Only runs in this state; running: all that have not ended'),
    verdict: verdict.optional().describe('Only runs whose report has this verdict, e.g. failed'),
    since: z.string().max(40).optional().describe(`Started at this moment or later: ${momentForm}`),
    until: z.string().max(40).optional().describe('Started before this moment; in the same forms'),
    requestedBy: z.string().trim().min(1).max(200).optional().describe('Who asked: mcp:claude, claude, or schedule'),
    undoable: z.boolean().default(false).describe('true: only what undo_run can take back'),
    dryRuns: z.boolean().default(false).describe('true: also those that only planned'),
    limit: z.int().min(1).max(100).default(20).describe('How many at most'),
    cursor: z.string().max(4_000).optional().describe('From the answer before, to go on where it ended'),
  }),
  async handler({ limit, dryRuns, ...filter }, { runs }) {
    const given = Object.entries(filter).filter(([, value]) => value !== undefined);
    const page = await runs.list({
      limit,
      dryRuns,
      ...(Object.fromEntries(given) as WithoutUndefined<typeof filter>),
    });
    return { data: { ...page, runs: page.runs.map(boundedSummary) } };
  },
});

type WithoutUndefined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };
