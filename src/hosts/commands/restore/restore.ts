import { z } from 'zod';
import { restoreScopes } from '../../../operations/restore.ts';
import { count, flag, form, keyValues, many, nothing, one, optional, time, words } from '../answer.ts';

import { backup, functions, mountPoints, seal, sha256, volumes } from '../back-up/parameters.ts';
import { defineCommand, type ExitMeaning, type PatternParameter } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';

// The commands that bring something of an archive back. They unpack files as root, so they take an archive only by a manifest that this
// host's own seal vouches for, and put each thing only where it came from. Between the first stop
// and healthy-or-back everything is one job, which needs nobody.

const scope = {
  name: 'scope',
  choices: restoreScopes,
  description: 'What of the archive',
} as const;

const scopeOrUndo = {
  name: 'scope-or-undo',
  choices: [...restoreScopes, 'undo'],
  description: 'What of the archive, or undo of an earlier restore',
} as const;

export const restore = {
  name: 'restore',
  pattern: 'restore-[0-9]{8}-[0-9]{6}',
  maxLength: 23,
  examples: ['restore-20261127-120000'],
  description: 'Id of a restore: restore-YYYYMMDD-HHMMSS',
} as const satisfies PatternParameter;

/**
 * Names of volumes, or paths from the root without their first `/`, with `=` between and `:` for `/`, which no argument of the policy may hold; `all` where it is of
 * everything; of an undo, the restore's id.
 */
const selection = {
  name: 'selection',
  pattern: '[A-Za-z0-9][A-Za-z0-9._@:=-]{0,254}',
  maxLength: 255,
  examples: ['all', 'mcp_logs=caddy_data', 'etc:fstab', 'etc:network:interfaces=etc:hosts'],
  description: 'Names of volumes, or paths from the root with : for /, with = between; or all',
} as const satisfies PatternParameter;

const shell = (name: string) => new URL(`./${name}.sh`, import.meta.url);
const record = [functions, stop, mountPoints, shell('record')];
const choosing = [seal, shell('seal'), shell('select'), shell('places'), shell('cluster'), volumes];
const database = new URL('../back-up/database.sh', import.meta.url);
/** For a service that is to stay as it is. */
const steady = new URL('../control-service/functions.sh', import.meta.url);
const swapping = [shell('swap'), shell('mark'), shell('services'), shell('judge'), database, steady];

const exits = {
  9: unverified,
  10: { code: 'invalid-input', remedy: 'Give whole paths as they are on the host, for example /etc/fstab.' },
  11: { code: 'not-found', remedy: 'See which archives there are: npx proxmox-mcp list-backups --host HOST' },
  12: { code: 'conflict', remedy: 'Put that right on the host first; docs/restoring.md says how to restore by hand.' },
  13: {
    code: 'forbidden',
    remedy:
      'An administrator vouches for it. Where it is of this host before it was installed anew: npx proxmox-mcp host bring-backup HOST ID --there --sign KEYFILE --seal FINGERPRINT; else take a copy: --identity FILE for --there.',
  },
  17: { code: 'already-exists', remedy: 'Start the restore again: it gets another id.' },
} as const satisfies Readonly<Record<number, ExitMeaning>>;

const because =
  'unpacks files as root: only of an archive whose manifest this host has sealed, each where it came from, and compared with the manifest';

const text = z.string().min(1);

/** `A B C REST` */
function fields(line: string, parts: number): readonly string[] {
  const all = line.split(' ');
  return [...all.slice(0, parts - 1), all.slice(parts - 1).join(' ')];
}

const unit = z
  .string()
  .transform((line) => fields(line, 2))
  .pipe(z.tuple([z.enum(['new', 'replace', 'same']), text]))
  .transform(([how, path]) => ({ how, path }));

const tree = z
  .string()
  .transform((line) => fields(line, 5))
  .pipe(z.tuple([count, count, count, count, text]))
  .transform(([created, changed, removed, same, path]) => ({ created, changed, removed, same, path }));

const space = z
  .string()
  .transform((line) => fields(line, 3))
  .pipe(z.tuple([count, count, text]))
  .transform(([needed, free, folder]) => ({ needed, free, folder }));

const left = z
  .string()
  .transform((line) => fields(line, 3))
  .pipe(z.tuple([z.enum(['machine', 'accounts', 'pve', 'name', 'dump', 'helper']), count, text]))
  .transform(([why, entries, first]) => ({ why, entries, first }));

const version = z
  .string()
  .transform((line) => fields(line, 2))
  .pipe(z.tuple([text, text]));

export const restoreStates = ['absent', 'staging', 'staged', 'applying', 'kept', 'undoing', 'undone'] as const;

export const lookForRestore = defineCommand({
  name: 'look-for-restore',
  summary: 'What restoring something of an archive would replace, stop and need, and who vouches for the archive',
  doing: ({ backup: id }) => `Looking at ${id} for a restore`,
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [backup, scopeOrUndo, selection],
  script: shell('look-for-restore'),
  uses: [...record, ...choosing, shell('look'), shell('old'), shell('services')],
  forms: [restore],
  timeoutMs: 280_000,
  maxOutputBytes: 1024 * 1024,
  answer: keyValues({
    now: one(time),
    /** The host that it is of: name and machine id. */
    home: optional(text),
    archive: optional(words(text, count, form(sha256))),
    digest: optional(z.enum(['whole', 'later'])),
    'other-machine': flag,
    version: many(version),
    here: many(version),
    unit: many(unit),
    tree: many(tree),
    comes: many(text),
    changes: many(text),
    goes: many(text),
    /** Earlier restores of which what they replaced is kept for longer than is promised. */
    old: many(form(restore)),
    /** Docker volumes that would be made. */
    volume: many(text),
    space: many(space),
    touches: many(text),
    stops: many(text),
    left: many(left),
    problem: many(text),
    /** Of the restore that would be undone. */
    state: optional(z.enum(restoreStates)),
    fingerprint: optional(form(sha256)),
  }),
  exits,
});

export const stageRestore = defineCommand({
  name: 'stage-restore',
  summary:
    'Unpack what is to be restored of a sealed archive into folders of root alone, and compare it with the manifest',
  doing: ({ backup: id }) => `Unpacking ${id}`,
  as: 'root',
  risk: 'dangerous',
  lock: 'host',
  job: true,
  becomesRoot: { unless: 'sealed', because },
  parameters: [restore, backup, sha256, scope, selection],
  script: shell('stage-restore'),
  uses: [...record, ...choosing, shell('stage'), ...swapping],
  timeoutMs: 180 * 60_000,
  answer: keyValues({ units: optional(count), files: optional(count), lost: many(text), again: flag }),
  exits,
});

export const applyRestore = defineCommand({
  name: 'apply-restore',
  summary: 'Stop what must stop, swap in what was staged, start it, judge it, and keep it or go back; without anybody',
  doing: ({ restore: id }) => `Applying ${id}`,
  as: 'root',
  risk: 'dangerous',
  lock: 'host',
  job: true,
  becomesRoot: { unless: 'sealed', because: 'swaps in what stage-restore has unpacked, and nothing else' },
  parameters: [restore],
  script: shell('apply-restore'),
  uses: [...record, ...swapping, shell('cluster')],
  timeoutMs: 60 * 60_000,
  answer: keyValues({ units: optional(count), again: flag }),
  exits,
});

export const undoRestore = defineCommand({
  name: 'undo-restore',
  summary: 'Go back from a restore, wherever it was interrupted or after it was done: what it replaced is there again',
  doing: ({ restore: id }) => `Going back from ${id}`,
  as: 'root',
  risk: 'dangerous',
  lock: 'host',
  undo: true,
  job: false,
  becomesRoot: 'no',
  parameters: [restore],
  script: shell('undo-restore'),
  uses: [...record, shell('stage'), ...swapping],
  timeoutMs: 280_000,
  answer: nothing,
  exits,
});

export const restoreState = defineCommand({
  name: 'restore-state',
  summary: "What became of a restore, by the host's own record, and where what it replaced lies",
  doing: 'Reading the record of a restore',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [restore],
  script: shell('restore-state'),
  uses: record,
  timeoutMs: 30_000,
  answer: keyValues({
    state: one(z.enum(restoreStates)),
    since: optional(time),
    why: optional(text),
    units: optional(count),
    forgotten: flag,
    folder: many(text),
    aside: many(text),
  }),
});

export const forgetRestore = defineCommand({
  name: 'forget-restore',
  summary: 'Remove what a restore replaced, 14 days after it was done',
  doing: ({ restore: id }) => `Removing what ${id} replaced`,
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: false,
  becomesRoot: 'no',
  parameters: [restore],
  script: shell('forget-restore'),
  uses: [...record, shell('old')],
  timeoutMs: 280_000,
  answer: nothing,
  exits,
});
