import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { packageVersion } from '../package.ts';
import { replacePrivateFile } from '../private-file.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

/** Who keeps the service running: a terminal, nobody (`--keep`), the user's systemd unit, or the machine's (install.sh). */
export const starters = ['terminal', 'keep', 'unit', 'system'] as const;
export type Starter = (typeof starters)[number];

/** What a start says of itself while it runs, in `run/service.json` of the data folder. */
export interface ServiceRecord extends ProcessIdentity {
  readonly phase: 'starting' | 'running' | 'stopping';
  readonly by: Starter;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly version: string;
}

/** The processes of a start, with the names of their records and logs, in the order in which they are started. */
export const parts = {
  temporal: 'Temporal server',
  worker: 'worker',
  'mcp-server': 'MCP server',
} as const;
export type PartFile = keyof typeof parts;

/** Where the identity of a part is kept while it runs. */
export function partRecord({ dataDir }: Pick<Config, 'dataDir'>, part: PartFile): string {
  return join(dataDir, 'run', `${part}.json`);
}

/** The process of a part that runs now, whoever has started it. */
export function runningPart(config: Pick<Config, 'dataDir'>, part: PartFile): ProcessIdentity | undefined {
  const identity = readJson<ProcessIdentity>(partRecord(config, part));
  return identity && isAlive(identity) ? identity : undefined;
}

/** Keeps the record of this process. On a full disk the service runs on without: only `status` would know less. */
export function keepRecord({ dataDir }: Pick<Config, 'dataDir'>, by: Starter) {
  const path = recordPath(dataDir);
  const startedAt = new Date().toISOString();
  const is = (phase: ServiceRecord['phase']) => {
    const identity = identify(process.pid);
    if (identity === undefined) return;
    const record: ServiceRecord = { ...identity, phase, by, startedAt, version: packageVersion() };
    try {
      replacePrivateFile(path, JSON.stringify(record));
    } catch {
      // See above.
    }
  };
  is('starting');
  return { is, remove: () => rmSync(path, { force: true }) };
}

/** The start that runs on this data folder now; its lock says who that is, its record what it does. */
export function runningService({ dataDir }: Pick<Config, 'dataDir'>): ServiceRecord | undefined {
  const holder = readJson<ProcessIdentity>(lockPath({ dataDir }));
  if (holder === undefined || !isAlive(holder)) return undefined;
  const record = readJson<ServiceRecord>(recordPath(dataDir));
  if (record?.started === holder.started && record.pid === holder.pid) return record;
  // It has just begun, or could not write its record.
  return { ...holder, phase: 'starting', by: 'terminal', startedAt: new Date().toISOString(), version: '' };
}

/** Held by the start that runs on a data folder. */
export function lockPath({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'run', 'start.lock');
}

function recordPath(dataDir: string): string {
  return join(dataDir, 'run', 'service.json');
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
