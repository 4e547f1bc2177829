import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sqlite from 'node-sqlite3-wasm';
import { afterAll, onTestFinished } from 'vitest';
import { type Ledger, type LedgerOptions, openLedger } from '../../src/ledger/ledger.ts';
import type { NewRecord } from '../../src/operations/ledger.ts';
import { acquireKernelLock } from '../../src/service/kernel-lock.ts';

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** For what the tests of a block share. */
export function temporaryFolderForAll(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function open(folder: string, options: Partial<LedgerOptions> = {}): Ledger {
  return openLedger({
    folder,
    claim: () => acquireKernelLock(join(folder, 'owner.lock')),
    redact: (text) => text,
    ...options,
  });
}

/** A ledger that is closed when the test is over. */
export function openForTest(folder = temporaryFolder(), options: Partial<LedgerOptions> = {}): Ledger {
  const ledger = open(folder, options);
  onTestFinished(() => ledger.close().catch(() => undefined));
  return ledger;
}

/** The `n`th of many records of the usual kinds. */
export function someRecord(n: number): NewRecord {
  return {
    key: `step/run-${n % 40}/${n}`,
    kind: 'step',
    run: `back-up/pve1/run-${n % 40}`,
    attempt: 'first',
    operation: n % 3 === 0 ? 'back-up' : 'control-service',
    target: n % 2 === 0 ? 'pve1' : 'pve2/100',
    by: 'mcp:claude',
    text: `Step ${n}: restarted nginx on pve1`,
    data: { seconds: n },
  };
}

export async function fill(ledger: Ledger, count: number, from = 1): Promise<void> {
  const records = Array.from({ length: count }, (_, at) => someRecord(from + at));
  for (let at = 0; at < count; at += 50) await ledger.append(records.slice(at, at + 50));
}

/** As somebody with the files changes them, behind SQLite's triggers. */
export function changeBehind(path: string, ...statements: readonly string[]): void {
  chmodSync(path, 0o600);
  const database = new sqlite.Database(path);
  for (const trigger of ['records_stay', 'records_remain', 'carried_stay', 'carried_remain']) {
    database.exec(`DROP TRIGGER ${trigger}`);
  }
  for (const statement of statements) database.exec(statement);
  database.close();
}
