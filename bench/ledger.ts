import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ledger, openLedger } from '../src/ledger/ledger.ts';
import { ledgerPaths } from '../src/ledger/paths.ts';
import type { LedgerFilter, NewRecord } from '../src/operations/ledger.ts';
import { acquireLock } from '../src/service/lock-file.ts';
import { holding } from './lib/clean-up.ts';
import { type BenchResult, contest, medianMs } from './lib/ratio.ts';

const [few, many] = [1_000, 1_000_000];
const appends = 40;
const searches = 20;

/** What people look for, of which both have 20: the newest, a run, rare words, words that stand everywhere, a kind, a page. */
const filters: readonly Omit<LedgerFilter, 'limit'>[] = [
  {},
  { run: 'back-up/pve1/run-7' },
  { text: 'unusual' },
  { text: 'nginx pve1' },
  { target: 'pve2/100', text: 'restarted' },
  { kind: 'decision' },
  { before: 500 },
];

/** A ledger must be as quick with a million records as with a thousand. */
export async function benchLedger(): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  return holding(
    async () => rmSync(folder, { recursive: true, force: true }),
    async () => {
      const small = open(join(folder, 'small'));
      const large = open(join(folder, 'large'));
      await fill(small, few);
      const filling = performance.now();
      await fill(large, many);
      const filled = (performance.now() - filling) / 1_000;
      try {
        const { records } = large.search({ limit: 1 });
        const notes = [`${records[0]?.seq} records in all, written in ${filled.toFixed(0)} s, in segments of 250,000`];
        return [
          await contest({
            name: `Appending one record to ${many} / to ${few}`,
            aim: { atMost: 1.25 },
            unit: 'ms',
            block: `${appends} appends, each on the disk before the next`,
            ours: () => medianMs(appends, () => append(large)),
            theirs: () => medianMs(appends, () => append(small)),
            notes,
          }),
          await contest({
            name: `Searching ${many} records / ${few}`,
            // Just after a segment was sealed two of them are looked into.
            aim: { atMost: 3 },
            unit: 'ms',
            block: `${searches} times ${filters.length} searches for 20 records`,
            ours: () => medianMs(searches, async () => search(large)),
            theirs: () => medianMs(searches, async () => search(small)),
            notes,
          }),
        ];
      } finally {
        await Promise.all([small.close(), large.close()]);
      }
    },
  );
}

function open(folder: string): Ledger {
  // A record every five minutes, for nearly ten years: what is carried from segment to segment is of the last 90 days.
  let clock = Date.parse('2017-01-01T00:00:00Z');
  return openLedger({
    folder,
    claim: () => acquireLock(ledgerPaths(folder).claim),
    redact: (text) => text,
    now: () => {
      clock += 300_000;
      return clock;
    },
  });
}

let count = 0;

async function append(ledger: Ledger): Promise<void> {
  count += 1;
  await ledger.append([record(2 * many + count)]);
}

function search(ledger: Ledger): void {
  for (const filter of filters) ledger.search({ ...filter, limit: 20 });
}

async function fill(ledger: Ledger, number: number): Promise<void> {
  // A transaction of 50,000: as few as the memory of one process allows.
  for (let from = 0; from < number; from += 50_000) {
    await ledger.append(Array.from({ length: Math.min(50_000, number - from) }, (_, at) => record(from + at)));
  }
}

function record(n: number): NewRecord {
  return {
    key: `step/run-${n % 40}/${n}`,
    kind: n % 50 === 0 ? 'decision' : 'step',
    run: `back-up/pve1/run-${n % 40}`,
    attempt: '0f3c9a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b',
    operation: n % 3 === 0 ? 'back-up' : 'control-service',
    target: n % 2 === 0 ? 'pve1' : 'pve2/100',
    by: 'mcp:claude',
    text: `Step ${n}: restarted nginx on pve1${n % 47 === 0 ? ', which is unusual' : ''}`,
    data: { seconds: n % 100 },
  };
}
