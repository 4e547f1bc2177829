import { z } from 'zod';
import { hostName } from '../../operations/inputs.ts';
import { runStatus } from '../../runs/schema.ts';
import { defineTool } from '../define-tool.ts';
import { operationName } from './operation-tools.ts';

/** Runs, newest first. */
export const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description:
    'Runs of operations, newest first: what runs now and what ran in the last 30 days, with status, outcome, who asked and the page in the Temporal UI. Filter by operation, host and status.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    operation: operationName().optional().describe('Only of this operation, e.g. back-up'),
    host: hostName().optional().describe('Only runs on this host'),
    status: runStatus.optional().describe('Only runs in this status'),
    limit: z.int().min(1).max(100).default(20).describe('How many at most'),
    cursor: z.string().max(4_000).optional().describe('From the answer before, to go on where it ended'),
  }),
  async handler({ operation, host, status, limit, cursor }, { runs }) {
    const found = await runs.list({
      limit,
      ...(operation === undefined ? {} : { operation }),
      ...(host === undefined ? {} : { host }),
      ...(status === undefined ? {} : { status }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    return { data: found };
  },
});
