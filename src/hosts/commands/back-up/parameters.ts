import type { ChoiceParameter, PatternParameter, ShellFunctions } from '../command.ts';

/** A backup's id: the archive's name without `.tar.gz`, as in the administrator's guide. */
export const backup = {
  name: 'backup',
  pattern: 'daily-backup-[0-9]{8}-[0-9]{6}',
  maxLength: 28,
  examples: ['daily-backup-20261122-020000'],
  description: 'Id of a backup: daily-backup-YYYYMMDD-HHMMSS',
} as const satisfies PatternParameter;

export const sha256 = {
  name: 'sha256',
  pattern: '[0-9a-f]{64}',
  maxLength: 64,
  examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  description: 'SHA-256 checksum in hexadecimal',
} as const satisfies PatternParameter;

/** One of the Docker volumes that the installation owns. */
export const volume = {
  name: 'volume',
  choices: [{ layout: 'volumes' }],
  description: "One of the installation's Docker volumes",
} as const satisfies ChoiceParameter;

/** `places BACKUP`, `sum_of FILE` and `unfinished ACTION`. */
export const functions: ShellFunctions = new URL('./functions.sh', import.meta.url);
