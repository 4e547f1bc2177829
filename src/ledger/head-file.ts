import { createHmac } from 'node:crypto';
import { closeSync, constants, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { LedgerHead } from '../operations/ledger.ts';
import { syncFolderOf } from '../private-file.ts';

/**
 * The newest head beside the segments, so that the end can't be cut off unseen by who hasn't the key. It is written after
 * what it stands for: after a power cut it may be an older one, which is as true.
 */
export interface HeadFile {
  write(head: LedgerHead): void;
  /** Writes the first one, which is there after a power cut, too. */
  begin(head: LedgerHead): void;
  close(): void;
}

export function openHeadFile(path: string, key: Buffer): HeadFile {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  // One line of always the same length, within one sector: never half an old and half a new one.
  const write = (head: LedgerHead) => void writeSync(file, lineOf(head, key), 0);
  return {
    write,
    begin(head) {
      write(head);
      fsyncSync(file);
      syncFolderOf(path);
    },
    close() {
      fsyncSync(file);
      closeSync(file);
    },
  };
}

/** `absent`, or `damaged`: it isn't one that this ledger wrote. */
export function readHeadFile(path: string, key: Buffer): LedgerHead | 'absent' | 'damaged' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return 'absent';
  }
  // Made, and the process died before it wrote.
  if (text === '') return 'absent';
  const [, seq, hash, at] = /^(\d{16}) ([0-9a-f]{64}) (\S+) [0-9a-f]{64}\n$/.exec(text) ?? [];
  if (seq === undefined || hash === undefined || at === undefined) return 'damaged';
  const head = { seq: Number(seq), hash, at };
  return lineOf(head, key) === text ? head : 'damaged';
}

function lineOf({ seq, hash, at }: LedgerHead, key: Buffer): string {
  const said = `${String(seq).padStart(16, '0')} ${hash} ${at}`;
  return `${said} ${createHmac('sha256', key).update(`head ${said}`).digest('hex')}\n`;
}
