import { z } from 'zod';
import { cleanLine } from '../../reports/clean.ts';
import { quote, quoteNotice } from '../../reports/quote.ts';
import type { RunLogLine } from '../../runs/runs.ts';
import { defineTool } from '../define-tool.ts';
import { limits } from '../host-text.ts';
import { runId } from '../run-data.ts';

/** What happened in a run, from its history. */
export const getRunLog = defineTool({
  name: 'get_run_log',
  title: 'Get run log',
  description:
    'Log of a run (of a backup, a check …), step by step with times: what started, what was retried and why, how each step ended; why a run failed or is slow. Logs of a service on a host: run_read_operation with control-service.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    id: runId,
    last: z.int().min(1).max(1_000).default(200).describe('Only so many lines, from the end'),
  }),
  async handler({ id, last }, { runs }) {
    const all = await runs.log(id);
    const lines = endOf(all.slice(-last));
    const omitted = all.length - lines.length;
    const shown = lines.map(({ at, event, text }) => quote(`${at} ${event} ${text}`)).join('\n');
    const note = omitted === 0 ? quoteNotice : `${quoteNotice} ${omitted} earlier lines are left out.`;
    return {
      data: { note, lines: lines.map((line) => ({ ...line, text: quote(line.text) })), omitted },
      text: lines.length === 0 ? 'The log is empty.' : `${note}\n${shown}`,
    };
  },
});

/** As many of the last lines as are answered at most. */
function endOf(lines: readonly RunLogLine[]): readonly RunLogLine[] {
  const shown: RunLogLine[] = [];
  let left: number = limits.log;
  for (const line of [...lines].reverse()) {
    const text = cleanLine(line.text, limits.line);
    left -= text.length + line.at.length + line.event.length;
    if (left < 0) break;
    shown.push({ ...line, text });
  }
  return shown.reverse();
}
