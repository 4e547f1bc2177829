import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { type LedgerRecord, type RecordKind, recordKind } from '../operations/ledger.ts';
import { type Plan, plan } from '../operations/plan.ts';
import { cleanLine } from '../reports/clean.ts';
import { runPagePath, runUrl } from '../run-url.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import { within } from './kept.ts';
import type { KnownPlans } from './run-view.ts';
import { limits, momentsAt, pageOf } from './words.ts';

/** Records on one page. */
const shownRecords = 50;
/** A search asks the one worker that has the ledger. Milliseconds. */
const searchMs = 10_000;
const plansMs = 2_500;

/** The page at `/ledger`: a search with what it found, or why nothing could be looked up. */
export async function ledgerView(ledger: LedgerClient, config: Config, query: URLSearchParams, now = Date.now()) {
  const field = (name: string) => query.get(name)?.trim().slice(0, limits.id) ?? '';
  const wanted = { text: field('text').slice(0, 200), run: field('run'), kind: kindOf(field('kind')) };
  const cursor = field('cursor');
  const kinds = recordKind.options.map((name) => ({ name, isChosen: name === wanted.kind }));
  const timeZone = config.hosts[0]?.timeZone ?? 'UTC';
  const common = { ...wanted, kinds, isOlder: cursor !== '' };
  try {
    const filter = {
      limit: shownRecords,
      ...(wanted.text !== '' && { text: wanted.text }),
      ...(wanted.run !== '' && { run: wanted.run }),
      ...(wanted.kind !== undefined && { kind: wanted.kind }),
      ...(cursor !== '' && { cursor }),
    };
    const found = await within(searchMs, ledger.search(filter, timeZone));
    return {
      ...common,
      records: found.records.map((record) => recordView(record, config, timeZone, now)),
      missing: found.missing.join(', '),
      ...(found.cursor === undefined ? {} : { older: olderThan(found.cursor, wanted) }),
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return { ...common, problem: cleanLine(explain(error), limits.question), records: [], missing: '' };
  }
}

function kindOf(text: string): RecordKind | undefined {
  return recordKind.safeParse(text).data;
}

function olderThan(
  cursor: string,
  wanted: { readonly text: string; readonly run: string; readonly kind?: string | undefined },
) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...wanted, cursor })) if (value) query.set(name, value);
  return `/ledger?${query}`;
}

function recordView(record: LedgerRecord, config: Config, timeZone: string, now: number) {
  const { seq, at, kind, by, operation, target, run, text } = record;
  return {
    seq,
    when: momentsAt(now)(at, timeZone),
    kind,
    by: cleanLine(by ?? '', limits.word),
    what: cleanLine([operation, target].filter(Boolean).join(' on '), limits.word),
    text: cleanLine(text, limits.question),
    ...(run === undefined || run.length > limits.id
      ? {}
      : { page: pageOf(run, runPagePath), url: runUrl(config, run), run: cleanLine(run, limits.word) }),
  };
}

/** What the ledger has of a run's plans. Nothing where it can't be asked: the page comes without it. */
export async function plansOf(ledger: LedgerClient, run: string, openQuestion?: string): Promise<KnownPlans> {
  try {
    const { records } = await within(plansMs, ledger.search({ run, kind: 'plan', limit: 20 }, 'UTC'));
    const plans = records.flatMap(({ data }) => {
      const parsed = plan.safeParse(data);
      return parsed.success ? [{ plan: parsed.data as Plan, question: data?.question }] : [];
    });
    const before = openQuestion && plans.find(({ question }) => question !== undefined && question !== openQuestion);
    return { ...(plans[0] && { last: plans[0].plan }), ...(before && { before: before.plan }) };
  } catch {
    return {};
  }
}
