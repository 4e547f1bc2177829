import type { OperationName } from '../../../src/operations/catalogue.generated.ts';

/** A way to have success without a usable backup, and what finds it: a row of `docs/backups.md` or `docs/guest-backups.md`. */
export interface Way {
  /** What happened, in words. */
  readonly way: string;
  /** In whose report it is found. */
  readonly by: OperationName;
  /**
   * The check that finds it, as the report names it; of what is read one by one and named by its id, the section: `Read whole`; of what
   * fails the run, the step.
   */
  readonly check: string;
  /** What the finding says, in part. */
  readonly says: string;
}

/** What one of the looks has found: {@link Way.by} and {@link Way.check} of a finding that isn't ok. */
export interface Found {
  readonly by: OperationName;
  readonly check: string;
  readonly says: string;
}

/** The table of a page. */
export function renderWays(ways: readonly Way[]): string {
  const rows = ways.map(({ way, by, check }) => `| ${way} | \`${by}\` | ${check} |`);
  return ['| what | found by | check |', '|---|---|---|', ...rows, ''].join('\n');
}
