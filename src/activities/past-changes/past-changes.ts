import type { Ledger } from '../../ledger/ledger.ts';
import { cleanLine } from '../../reports/clean.ts';

export const queue = 'ledger';

/** A run of this service that changed something, or was to. */
export interface PastChange {
  readonly run: string;
  readonly operation: string;
  readonly target: string;
  readonly by: string;
  /** ISO 8601. When it ended. */
  readonly at: string;
  readonly outcome: string;
}

export interface PastChanges {
  /** Newest first, at most 50. */
  readonly changes: readonly PastChange[];
  /** There may be more, or a part of the ledger is away. */
  readonly isComplete: boolean;
}

/** So many outcomes are looked through: of the usual hundred looks a day nobody asks for more than some weeks. */
const pages = 25;
const most = 50;

/** What this service has changed on a host and its guests between two moments, as the ledger has it. */
export function createPastChangesActivities({ ledger }: { readonly ledger: Pick<Ledger, 'search'> }) {
  return {
    async listPastChanges({
      host,
      since,
      until,
    }: {
      readonly host: string;
      readonly since: string;
      readonly until: string;
    }): Promise<PastChanges> {
      const changes: PastChange[] = [];
      let before: number | undefined;
      for (let page = 0; page < pages; page += 1) {
        const found = ledger.search({
          ...{ kind: 'outcome', since, until, limit: 200 },
          ...(before === undefined ? {} : { before }),
        });
        for (const { run, operation, target = '', by = '', at, text, data } of found.records) {
          if (run === undefined || operation === undefined || data?.risk === 'read') continue;
          if (target !== host && !target.startsWith(`${host}/`)) continue;
          if (changes.length === most) return { changes, isComplete: false };
          const outcome = typeof data?.outcome === 'string' ? data.outcome : cleanLine(text, 100);
          changes.push({ run, operation, target, by: cleanLine(by, 100), at, outcome });
        }
        before = found.before;
        if (before === undefined) return { changes, isComplete: found.missing.length === 0 };
      }
      return { changes, isComplete: false };
    },
  };
}

export type PastChangesActivities = ReturnType<typeof createPastChangesActivities>;
