import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { exhaustive } from './exhaustive.ts';

/** One line of `docs/crash-matrix.md`. */
export interface CrashOutcome {
  /** Of the catalogue: `back-up`. */
  readonly operation: string;
  /** The step that the run was in when it was hit. */
  readonly step: string;
  /** What hit it: `the worker was killed`. The same words for the same fault of every operation. */
  readonly fault: string;
  readonly outcome: 'done' | 'undone' | 'paused';
  /** What was seen on the target afterwards, as a test measured it: `one archive; nothing was done twice`. */
  readonly effects: string;
}

const root = join(import.meta.dirname, '../..');

/**
 * Says how a run ended that a fault has hit. Where everything is tested (`exhaustive`) it becomes a row of
 * `docs/crash-matrix.md`, which `npm run crash-matrix` writes; else it is compared with that page: a row that differs or
 * is missing fails the test.
 */
export function recordOutcome({ operation, step, fault, outcome, effects }: CrashOutcome): void {
  const place = `| ${step} | ${fault} |`;
  const row = `${place} ${outcome} | ${effects} |`;
  if (exhaustive) {
    const folder = join(root, '.cache/crash-matrix');
    mkdirSync(folder, { recursive: true });
    appendFileSync(join(folder, `${operation}.jsonl`), `${JSON.stringify({ step, fault, row })}\n`);
    return;
  }
  const known = rowsOf(operation).find((line) => line.startsWith(place));
  expect(known ?? `no row of ${operation} for this step and fault; npm run crash-matrix writes it`).toBe(row);
}

function rowsOf(operation: string): readonly string[] {
  const page = readFileSync(join(root, 'docs/crash-matrix.md'), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith(`${operation}\n`)) ?? '';
  return section.split('\n').filter((line) => line.startsWith('| '));
}
