import { chmodSync, constants, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceError } from '../errors.ts';
import type { LedgerAnchor, LedgerVerification } from '../operations/ledger.ts';
import { readHeadFile } from './head-file.ts';
import { readKey } from './key.ts';
import { ledgerPaths, segmentsIn } from './paths.ts';
import { openSegment, type Segment } from './segment.ts';
import { verifySegments } from './verify.ts';

/**
 * Verifies a ledger that no process has open, or a copy of one, and changes nothing of it: each segment is looked at in a
 * copy, because what a crash has left beside it has to be played in first. Needs room for the largest segment.
 */
export async function verifyFolder(folder: string, anchors: readonly LedgerAnchor[]): Promise<LedgerVerification> {
  const paths = ledgerPaths(folder);
  const key = readKey(paths.key);
  const work = mkdtempSync(join(tmpdir(), 'proxmox-mcp-ledger-'));
  let opened: Segment | undefined;
  try {
    return await verifySegments({
      key,
      head: readHeadFile(paths.head, key),
      anchors,
      segments: segmentsIn(folder),
      until: Number.MAX_SAFE_INTEGER,
      within(number, look) {
        if (opened?.number !== number) opened = open(number);
        return look(opened);
      },
    });
  } finally {
    opened?.close();
    rmSync(work, { recursive: true, force: true });
  }

  function open(number: number): Segment {
    opened?.close();
    opened = undefined;
    const copy = join(work, 'segment.sqlite');
    for (const suffix of ['', '-wal', '-journal']) {
      rmSync(`${copy}${suffix}`, { force: true });
      const from = `${paths.segment(number)}${suffix}`;
      if (existsSync(from)) copyFileSync(from, `${copy}${suffix}`, constants.COPYFILE_FICLONE);
    }
    // A sealed one is read-only, and so is its copy.
    chmodSync(copy, 0o600);
    return openSegment(copy, number);
  }
}

/** The same, and throws `verification-failed` with that remedy where it is not whole; `called`: how the message names it. */
export async function requireUnbroken(
  folder: string,
  { called, remedy }: { readonly called: string; readonly remedy: string },
): Promise<LedgerVerification> {
  const found = await verifyFolder(folder, []);
  if (found.verdict !== 'broken') return found;
  throw new ServiceError({
    code: 'verification-failed',
    message: `${called} is not as it was written: ${found.problems[0] ?? 'it is damaged'}`,
    remedy,
  });
}
