import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ledgerPaths, segmentsIn } from './paths.ts';

/**
 * Copies a ledger that this process has open. What is sealed doesn't change, and is copied while others append; the rest in one go,
 * which nobody's appending comes between.
 *
 * @param current the segment that is written
 */
export async function copyLedger(folder: string, into: string, current: () => number): Promise<void> {
  mkdirSync(into, { recursive: true, mode: 0o700 });
  const paths = ledgerPaths(folder);
  const copied = new Set<number>();
  const next = () => segmentsIn(folder).find((number) => number !== current() && !copied.has(number));
  for (let number = next(); number !== undefined; number = next()) {
    await copyFile(paths.segment(number), join(into, basename(paths.segment(number))));
    copied.add(number);
  }
  const newest = paths.segment(current());
  for (const path of [newest, `${newest}-wal`, paths.head, paths.key, paths.generation]) {
    if (existsSync(path)) copyFileSync(path, join(into, basename(path)));
  }
}
