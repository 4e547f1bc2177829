import type { PatternPlaceholder, SharedFunction } from './entry.ts';

/** A backup's id: the archive's name without `.tar.gz`, as in the administrator's guide. */
export const backup = {
  placeholder: 'backup',
  pattern: 'daily-backup-[0-9]{8}-[0-9]{6}',
  maxLength: 28,
  examples: ['daily-backup-20261122-020000'],
  description: 'Id of a backup: daily-backup-YYYYMMDD-HHMMSS',
} as const satisfies PatternPlaceholder;

export const sha256 = {
  placeholder: 'sha256',
  pattern: '[0-9a-f]{64}',
  maxLength: 64,
  examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  description: 'SHA-256 checksum in hexadecimal',
} as const satisfies PatternPlaceholder;

export const places: SharedFunction = {
  name: 'places',
  about: 'places BACKUP: a backup is made in a hidden folder beside the archives.',
  body: `
_stage=$backups/.$1.partial
# The one top folder of the archive: the guide's recovery renames it to the installation, whose files are right below it.
_top=daily-\${1#daily-backup-}
_partial=$backups/.$1.tar.gz.partial
_manifest=backup-manifest.sha256
`,
};

export const stop: SharedFunction = {
  name: 'stop',
  about: 'stop CODE WHY: ends a command that did not do what it was to do.',
  body: 'echo "$2" >&2; exit "$1"',
};

export const sumOf: SharedFunction = {
  name: 'sum_of',
  about: 'sum_of FILE: its SHA-256 checksum.',
  body: 'sha256sum <"$1" | cut -c1-64',
};

export const unfinished: SharedFunction = {
  name: 'unfinished',
  about: 'unfinished ACTION: does it with everything that is hidden and named like a backup, whichever.',
  body: `
find "$backups" -maxdepth 1 -regextype posix-extended \\
  -regex '.*/[.]daily-backup-[0-9]{8}-[0-9]{6}([.]tar[.]gz([.]sha256)?)?[.]partial' "$@"
`,
};
