import { backupIdPattern } from '../../../operations/backup-id.ts';
import type { PatternParameter, ShellFunctions } from '../command.ts';
import { stop } from '../shared/functions.ts';

/** A backup's id: the archive's name without its ending, as in the administrator's guide. */
export const backup = {
  name: 'backup',
  pattern: backupIdPattern,
  maxLength: 30,
  examples: ['daily-backup-20261122-020000', 'full-backup-20261122-010000', 'monthly-backup-20261201-030000'],
  description: 'Id of a backup: daily-backup-YYYYMMDD-HHMMSS, full-… or monthly-…',
} as const satisfies PatternParameter;

export const sha256 = {
  name: 'sha256',
  pattern: '[0-9a-f]{64}',
  maxLength: 64,
  examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  description: 'SHA-256 checksum in hexadecimal',
} as const satisfies PatternParameter;

/** One of the Docker volumes that a backup's first step has found: nobody can name another. */
export const volume = {
  name: 'volume',
  pattern: '[A-Za-z0-9][A-Za-z0-9_.-]{0,127}',
  maxLength: 128,
  examples: ['mcp_logs', 'caddy_data'],
  description: "One of the installation's Docker volumes",
} as const satisfies PatternParameter;

/** Where a backup is made, what is recorded of it, and what the host knows of each archive. */
export const functions: ShellFunctions = new URL('./functions.sh', import.meta.url);

/** What every command needs that makes a part of a backup: each does something only after the step before has ended. */
export const making: readonly ShellFunctions[] = [functions, stop, new URL('./steps.sh', import.meta.url)];

/** Copying a folder that is written to meanwhile. */
export const copying: readonly ShellFunctions[] = [
  new URL('./copy.sh', import.meta.url),
  new URL('./pause.sh', import.meta.url),
];

/** Making a stream of it, and reading that back. */
export const packing: ShellFunctions = new URL('./packing.sh', import.meta.url);

/** The key with which a host seals what it says of an archive. */
export const seal: ShellFunctions = new URL('./seal.sh', import.meta.url);

/** The public half of that key: `ssh-ed25519 AAAA…`. */
export const sealForm = /^ssh-ed25519 [A-Za-z0-9+/]{40,100}={0,2}$/;

/** Where the host's own configuration is. */
export const hostPaths: ShellFunctions = new URL('./host-paths.sh', import.meta.url);

/** Copying it. */
export const takingHost: readonly ShellFunctions[] = [
  new URL('./host-files.sh', import.meta.url),
  new URL('./take.sh', import.meta.url),
  new URL('./database.sh', import.meta.url),
];

/** Which Docker volume is meant, and where its data is. */
export const volumes: ShellFunctions = new URL('./volumes.sh', import.meta.url);

/** Disks that should be mounted and aren't. */
export const mountPoints: ShellFunctions = new URL('./mount-points.sh', import.meta.url);

/** How many archives may go, and which never. */
export const removals: ShellFunctions = new URL('./removals.sh', import.meta.url);
