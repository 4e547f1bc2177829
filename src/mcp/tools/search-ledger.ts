import { z } from 'zod';
import { type LedgerRecord, recordKind } from '../../operations/ledger.ts';
import { cleanLine } from '../../reports/clean.ts';
import { ledgerRow } from '../../reports/ledger.ts';
import { quote, quoteNotice } from '../../reports/quote.ts';
import { runUrl } from '../../run-url.ts';
import { defineTool } from '../define-tool.ts';
import { limits } from '../host-text.ts';

/** What stays when Temporal has forgotten it. */
export const searchLedger = defineTool({
  name: 'search_ledger',
  title: 'Search ledger',
  description:
    'Audit ledger, for years, newest first: who asked for what, plans, who approved or refused what and why, steps, outcomes, sign-ins, changes of policy. For what is older than 30 days, and who decided something.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    text: z
      .string()
      .max(200)
      .optional()
      .describe('Words that all stand in its text, run, operation, target, or who (person:anna); ngin* begins so'),
    kind: recordKind.optional(),
    since: z.string().max(40).optional().describe('As of list_runs'),
    until: z.string().max(40).optional(),
    limit: z.int().min(1).max(100).default(20),
    cursor: z.string().max(20).optional().describe('From the answer before'),
  }),
  async handler(filter, { ledger, config }) {
    const timeZone = config.hosts[0]?.timeZone ?? 'UTC';
    const { limit, text, kind, ...more } = filter;
    const wanted = { limit, ...more, ...(text !== undefined && { text }), ...(kind !== undefined && { kind }) };
    const page = await ledger.search(wanted, timeZone);
    const all = page.records.map((record) => shownRecord(record, (run) => runUrl(config, run)));
    let left: number = limits.output;
    const shown = all.filter((record, at) => {
      left -= JSON.stringify(record).length;
      return at === 0 || left >= 0;
    });
    const cursor = shown.length < all.length ? String(shown.at(-1)?.seq) : page.cursor;
    const lines = page.records.slice(0, shown.length).map((record) =>
      quote(
        ledgerRow(record, timeZone)
          .filter((cell) => cell !== '')
          .join('  '),
      ),
    );
    const away = page.missing.length === 0 ? '' : ` Segments ${page.missing.join(', ')} of it are away.`;
    const note = shown.length === 0 ? `There are no such records.${away}` : `${quoteNotice}${away}`;
    return {
      data: { note, records: shown, ...(cursor === undefined ? {} : { cursor }) },
      text: [note, ...lines, ...(cursor === undefined ? [] : [`There are more: cursor ${cursor}`])].join('\n'),
    };
  },
});

function shownRecord(
  { seq, at, kind, by, operation, target, run, text, data }: LedgerRecord,
  urlOf: (run: string) => string,
) {
  return {
    seq,
    at,
    kind,
    ...named('by', by),
    ...named('operation', operation),
    ...named('target', target),
    ...named('run', run),
    ...(run === undefined ? {} : { url: urlOf(run) }),
    text: quote(cleanLine(text, limits.line)),
    ...(data === undefined ? {} : { data: quote(cleanLine(JSON.stringify(data), limits.message)) }),
  };
}

function named(key: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [key]: cleanLine(value, limits.name) };
}
