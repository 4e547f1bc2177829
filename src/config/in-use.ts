import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replacePrivateFile } from '../private-file.ts';
import type { Reader } from './key.ts';
import { keysAtStart } from './keys.ts';
import { inspectConfig, type LoadedConfig } from './load.ts';

/**
 * What a process has read of `.env`, `hosts.yaml` and the files that they name, as digests: enough to tell later which keys
 * have changed, and nothing of what they say.
 */
export interface ConfigurationInUse {
  readonly pid: number;
  /** Which process: of secrets it has read what it needs. */
  readonly reader: Reader;
  /** Absolute path of the folder of `.env` and `hosts.yaml`. */
  readonly folder: string;
  readonly salt: string;
  /** By key (`BACKUP_DIR`, `pve1.SSH_HOST`): 16 bits of a keyed digest, which say that a value changed but not what it is. */
  readonly digests: Readonly<Record<string, string>>;
  /** Keys that the environment or `--set` decides for that process, whatever the files say. */
  readonly decided: readonly string[];
}

/**
 * What this process has just read.
 *
 * @param before what it had when it read that again: of it stays what counts as it was at the start
 */
export function configurationInUse(
  { folder, settings }: Pick<LoadedConfig, 'folder' | 'settings'>,
  reader: Reader,
  before?: ConfigurationInUse,
): ConfigurationInUse {
  const salt = before?.salt ?? randomBytes(16).toString('hex');
  const decided = before?.decided ?? decidedKeys(settings);
  const digests = { ...digestsOf(folder, salt, reader) };
  for (const key of before === undefined ? [] : keysAtStart) {
    const had = before?.digests[key];
    if (had === undefined) delete digests[key];
    else digests[key] = had;
  }
  return { pid: process.pid, reader, folder, salt, digests, decided };
}

function decidedKeys(settings: LoadedConfig['settings']): readonly string[] {
  return [...settings.values()].filter(({ source }) => !isFile(source)).map(({ key }) => key);
}

/** The keys whose values in the files are others now than those that were read, in order; none when all is as it was. */
export function changedKeys({ reader, folder, salt, digests, decided }: ConfigurationInUse): readonly string[] {
  let now: Readonly<Record<string, string>>;
  try {
    now = digestsOf(folder, salt, reader);
  } catch {
    return ['the folder of .env and hosts.yaml'];
  }
  const keys = [...new Set([...Object.keys(digests), ...Object.keys(now)])].sort();
  return keys.filter((key) => digests[key] !== now[key] && !decided.includes(key));
}

/** Keeps it in the data folder's `run/`, for `status` and `doctor`. On a full disk only they know less. */
export function recordConfiguration(dataDir: string, inUse: ConfigurationInUse): void {
  try {
    replacePrivateFile(pathOf(dataDir, inUse.reader), JSON.stringify(inUse));
  } catch {
    // See above.
  }
}

/** What the process with that number has read; undefined where it has recorded nothing. */
export function recordedConfiguration(dataDir: string, reader: Reader, pid: number): ConfigurationInUse | undefined {
  try {
    const recorded = JSON.parse(readFileSync(pathOf(dataDir, reader), 'utf8')) as ConfigurationInUse;
    return recorded.pid === pid ? recorded : undefined;
  } catch {
    return undefined;
  }
}

export function forgetConfiguration(dataDir: string, reader: Reader): void {
  rmSync(pathOf(dataDir, reader), { force: true });
}

/** What the files alone say: the environment of who asks is none of the service's. */
function digestsOf(folder: string, salt: string, reader: Reader): Readonly<Record<string, string>> {
  const { settings } = inspectConfig({ cwd: folder, env: {}, reader });
  return Object.fromEntries(
    [...settings].map(([key, { text }]) => [
      key,
      createHmac('sha256', salt).update(`${key}\0${text}`).digest('hex').slice(0, 4),
    ]),
  );
}

function isFile(source: string): boolean {
  return !/^(the environment|--set)/.test(source);
}

function pathOf(dataDir: string, reader: Reader): string {
  return join(dataDir, 'run', `${reader}.configuration`);
}
