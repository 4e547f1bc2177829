import { z } from 'zod';
import { quote, quoteNotice } from '../../reports/quote.ts';
import { defineTool } from '../define-tool.ts';
import { runId } from '../run-data.ts';

/** What happened in a run, from its history. */
export const getRunLog = defineTool({
  name: 'get_run_log',
  title: 'Get run log',
  description:
    'Log of a run, step by step with times, from its history: what started, what was retried and why, how each step ended. Use it to find out why a run failed or is slow.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    id: runId,
    last: z.int().min(1).max(1_000).default(200).describe('Only so many lines, from the end'),
  }),
  async handler({ id, last }, { runs }) {
    const all = await runs.log(id);
    const lines = all.slice(-last);
    const omitted = all.length - lines.length;
    const quoted = lines.map(({ at, event, text }) => quote(`${at} ${event} ${text}`)).join('\n');
    const head = omitted === 0 ? quoteNotice : `${quoteNotice} ${omitted} earlier lines are left out.`;
    return { data: { lines, omitted }, text: lines.length === 0 ? 'The log is empty.' : `${head}\n${quoted}` };
  },
});
