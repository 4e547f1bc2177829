import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ServiceError } from './errors.ts';
import { replacePrivateFile, syncFolderOf } from './private-file.ts';
import { sharedMode } from './private-json.ts';

/** What was put back: one of them alone, or both. */
const restoredParts = ['temporal', 'ledger'] as const;
export type RestoredPart = (typeof restoredParts)[number];

/** That somebody put back an older state of the service, as the file says that stands for it. */
export interface RestoredMark {
  /** When, as whoever restored it wrote it down. */
  readonly at?: string;
  /** From which backup. */
  readonly backup?: string;
  /** Who, or which run. */
  readonly by?: string;
  /** What was put back. Default: everything. */
  readonly parts?: readonly RestoredPart[];
  /** That the service is to go on from there. */
  readonly decision?: RestoredDecision;
}

/** An administrator's word that the service goes on from what was restored. */
export interface RestoredDecision {
  /** The ledger's record of it is written once for each. */
  readonly id: string;
  readonly by: string;
  readonly at: string;
  /** Runs that were open, and were ended. */
  readonly ended: number;
  /** The newest head of the ledger that is known from elsewhere. */
  readonly anchor?: { readonly seq: number; readonly hash: string; readonly from: string };
}

const anchorText = /^(\d{1,15}) ([0-9a-f]{64}) (.+)$/;

/** In `ACCESS_DIR`, which MCP server, ledger and every worker of this machine see. */
export function restoredMarkPath(accessDir: string): string {
  return join(accessDir, 'RESTORED');
}

/** Beside the data folder while an archive of the service changes places with it: what was begun, until it is finished. */
export function unfinishedRestorePath(dataDir: string): string {
  return `${dataDir}.restoring.json`;
}

/** Throws `conflict` where a restore of the service was cut off: half of it may be in its place. */
export function requireFinishedRestore({ dataDir }: { readonly dataDir: string }): void {
  if (lstatSync(unfinishedRestorePath(dataDir), { throwIfNoEntry: false }) === undefined) return;
  throw new ServiceError({
    code: 'conflict',
    message: `A restore of the service into ${dataDir} was cut off, so that nothing was started`,
    remedy: 'Run it again, which finishes it: npx proxmox-mcp restore-service FILE',
  });
}

/**
 * The mark, read before anything is asked of Temporal; undefined: nothing was restored. That there is a file is what counts:
 * `touch RESTORED` is one, too, and so is one that can't be read.
 */
export function readRestoredMark(accessDir: string): RestoredMark | undefined {
  const path = restoredMarkPath(accessDir);
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
      // The mark may be in what isn't in its place yet.
      return lstatSync(unfinishedRestorePath(accessDir), { throwIfNoEntry: false }) === undefined ? undefined : {};
    }
    return parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTDIR' ? undefined : {};
  }
}

/** Whole, or not at all; there after a power cut, too. */
export function writeRestoredMark(accessDir: string, { parts, decision, ...words }: RestoredMark): void {
  const lines = Object.entries({
    ...words,
    parts: parts?.join(' '),
    'go-on-id': decision?.id,
    'go-on-by': decision?.by,
    'go-on-at': decision?.at,
    'go-on-ended': decision?.ended,
    'go-on-anchor': decision?.anchor && `${decision.anchor.seq} ${decision.anchor.hash} ${decision.anchor.from}`,
  }).flatMap(([name, value]) => (value === undefined ? [] : `${name}: ${String(value).replaceAll(/\s+/g, ' ')}\n`));
  const path = restoredMarkPath(accessDir);
  replacePrivateFile(
    path,
    lines.join(''),
    undefined,
    lstatSync(accessDir, { throwIfNoEntry: false }) && sharedMode(path),
  );
}

export function removeRestoredMark(accessDir: string): void {
  const path = restoredMarkPath(accessDir);
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  rmSync(path);
  syncFolderOf(path);
}

/** In a sentence: `The service was restored from daily-backup-… by restore/pve1/x at …`. */
export function restoredWords({ at, backup, by }: RestoredMark): string {
  const words = [
    'An older state of this service was restored',
    backup === undefined ? '' : ` from ${backup}`,
    by === undefined ? '' : ` by ${by}`,
    at === undefined ? '' : ` at ${at}`,
  ];
  return words
    .join('')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, 500);
}

/** What to do about it, for everybody who is asked to do something meanwhile. */
export const restoredRemedy =
  'Nothing is executed until an administrator has looked at it: npx proxmox-mcp restored lists what was open, and npx proxmox-mcp restored --go-on ends that and lets the service go on, with changes stopped.';

const decisionWords = z.object({
  'go-on-id': z.uuid(),
  'go-on-by': z.string().min(1),
  'go-on-at': z.iso.datetime(),
  'go-on-ended': z.coerce.number().int().min(0),
  'go-on-anchor': z.string().regex(anchorText).optional(),
});

function parse(text: string): RestoredMark {
  const words: Record<string, string> = {};
  for (const line of text.slice(0, 16_384).split('\n')) {
    const [, name, value] = /^([a-z-]{1,20}):\s*(.{1,500}?)\s*$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) words[name] = value;
  }
  const { at, backup, by } = words;
  const parts = restoredParts.filter((part) => words.parts?.split(/[\s,]+/).includes(part));
  const said = decisionWords.safeParse(words).data;
  const [, seq, hash, from] = anchorText.exec(said?.['go-on-anchor'] ?? '') ?? [];
  return {
    ...(at !== undefined && { at }),
    ...(backup !== undefined && { backup }),
    ...(by !== undefined && { by }),
    ...(parts.length > 0 && { parts }),
    ...(said && {
      decision: {
        id: said['go-on-id'],
        by: said['go-on-by'],
        at: said['go-on-at'],
        ended: said['go-on-ended'],
        ...(seq !== undefined &&
          hash !== undefined &&
          from !== undefined && { anchor: { seq: Number(seq), hash, from } }),
      },
    }),
  };
}
