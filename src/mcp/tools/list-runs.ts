import { z } from 'zod';
import { verdict } from '../../operations/finding.ts';
import { hostName } from '../../operations/inputs.ts';
import { runState } from '../../runs/schema.ts';
import { defineTool } from '../define-tool.ts';
import { boundedSummary } from '../run-data.ts';
import { operationName } from './operation-tools.ts';

/** Runs, newest first. */
export const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description:
    'Runs of operations, newest first, of the last 30 days: what runs now, what ran last night, when the last backup was and whether it worked, what failed, what is paused. Each with state (how it goes or ended), verdict (a check that is done may have found failures), who asked, and until when undo_run can take it back.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    operation: operationName().optional().describe('e.g. back-up'),
    host: hostName().optional().describe('And its guests'),
    state: runState.optional().describe('running: all that have not ended'),
    verdict: verdict.optional().describe('Of its report'),
    since: z.string().max(40).optional().describe('Started then or later: 24h, 7d, yesterday, 2026-11-25 02:00'),
    until: z.string().max(40).optional().describe('Started before then'),
    requestedBy: z.string().trim().min(1).max(200).optional().describe('mcp:claude, claude, schedule'),
    undoable: z.boolean().default(false).describe('Only what undo_run can take back'),
    dryRuns: z.boolean().default(false).describe('Also those that only planned'),
    limit: z.int().min(1).max(100).default(20),
    cursor: z.string().max(4_000).optional().describe('From the answer before'),
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
