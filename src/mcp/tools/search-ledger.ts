import { z } from 'zod';
import { type LedgerRecord, recordKind } from '../../operations/ledger.ts';
import { cleanLine } from '../../reports/clean.ts';
import { ledgerRow } from '../../reports/ledger.ts';
import { quote, quoteNotice } from '../../reports/quote.ts';
import { runUrl } from '../../run-url.ts';
import { momentForm } from '../../runs/moment.ts';
import { defineTool } from '../define-tool.ts';
import { boundedOutput, limits } from '../host-text.ts';

/** What stays when Temporal has forgotten it. */
export const searchLedger = defineTool({
  name: 'search_ledger',
  title: 'Search ledger',
  description:
    'Audit ledger: who asked for what, which plan, who approved or refused it and why, what was done and how it ended, sign-ins and changes of policy, people and tokens; newest first, for years. Use it for what is older than 30 days and for who did or decided something.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    text: z.string().max(200).optional().describe('Words that it holds, all of them; nginx* begins so'),
    run: z.string().max(300).optional().describe("Only of this run's id"),
    kind: recordKind.optional(),
    by: z.string().max(200).optional().describe('Only by this one: person:anna, mcp:claude'),
    operation: z.string().max(100).optional(),
    target: z.string().max(200).optional().describe('Only of this host, or host/VMID'),
    since: z.string().max(40).optional().describe(`Since then: ${momentForm}`),
    until: z.string().max(40).optional(),
    limit: z.int().min(1).max(100).default(20),
    cursor: z.string().max(20).optional().describe('From the answer before'),
  }),
  async handler(filter, { ledger, config }) {
    const timeZone = config.hosts[0]?.timeZone ?? 'UTC';
    const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
    const { records, cursor, missing } = await ledger.search({ ...given, limit: filter.limit }, timeZone);
    const left = { characters: limits.log };
    const shown = records.map((record) => shownRecord(record, (run) => runUrl(config, run), left));
    const lines = records.map((record) => quote(ledgerRow(record, timeZone).filter(Boolean).join('  ')));
    const away = missing.length === 0 ? '' : ` Segments ${missing.join(', ')} of it are away.`;
    const note = records.length === 0 ? `There are no such records.${away}` : `${quoteNotice}${away}`;
    return {
      data: { note, records: shown, ...(cursor === undefined ? {} : { cursor }) },
      text: [note, ...lines, ...(cursor === undefined ? [] : [`There are more: cursor ${cursor}`])].join('\n'),
    };
  },
});

function shownRecord(record: LedgerRecord, urlOf: (run: string) => string, left: { characters: number }) {
  const { seq, at, kind, by, operation, target, run, text, data } = record;
  const more = data === undefined || left.characters <= 0 ? undefined : boundedOutput(data);
  left.characters -= JSON.stringify(more ?? '').length;
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
    ...(more === undefined ? {} : { data: more }),
  };
}

function named(key: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [key]: cleanLine(value, 300) };
}
