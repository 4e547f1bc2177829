import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import type { Guard } from './guard.ts';
import { keepRunning } from './kept-process.ts';
import { claimPort } from './port-claim.ts';
import type { PortHolder } from './port-holder.ts';
import { checkTemporalServer } from './temporal-namespace.ts';

export interface TemporalServerOptions {
  /** The Temporal CLI, from `findTemporal`. */
  readonly binary: string;
  /** Keeps `temporal.sqlite`, its log in `logs/` and its identity in `run/`. One server per folder. */
  readonly dataDir: string;
  /** gRPC port on 127.0.0.1. */
  readonly port: number;
  /** Web UI's port on 127.0.0.1. */
  readonly uiPort: number;
  readonly namespace: string;
  /** Ends it when this process is gone. Default: none does. */
  readonly guard?: Guard | undefined;
  /** Default: none. */
  readonly log?: Pick<Log, 'info' | 'warn'>;
  /** Lines for a person at a terminal. Default: none. */
  readonly say?: (line: string) => void;
  /** Ends waiting for it to be ready. */
  readonly signal?: AbortSignal;
  /** Called when it died too often and is left dead. */
  readonly onGivenUp?: (error: ServiceError) => void;
}

export interface TemporalServer {
  /** `127.0.0.1:7233` */
  readonly address: string;
  /** `http://127.0.0.1:8233` */
  readonly uiUrl: string;
  readonly pid: () => number | undefined;
  /** Ends it: SIGTERM, SIGKILL after ten seconds. What it keeps stays. */
  readonly stop: () => Promise<void>;
  readonly kill: () => void;
}

const host = '127.0.0.1';

/**
 * By its name alone, with the data folder as the server's own: as a path it would become part of SQLite's URI, where `?`,
 * `#` and `%20` mean something, and two folders could share one database.
 */
const databaseName = 'temporal.sqlite';

/** What SQLite says of a file that it can't use any more (SQLITE_CORRUPT, SQLITE_NOTADB). */
const isDamaged = /file is not a database|database disk image is malformed/;

/** Without these a workflow task waits for a 50 ms beat: one shard, 20 polls a second. */
const pollLimits = ['transfer', 'timer', 'visibility'].map((queue) => `history.${queue}ProcessorMaxPollRPS=2000`);

/**
 * Starts Temporal's dev server with its SQLite file in the data folder, durable against power loss, and keeps it running.
 * Resolves when it answers and its namespace has our search attributes and 30 days of retention. A server that a killed
 * start left behind on the same data is ended first. Throws `conflict` when a stranger has a port, `unavailable` when
 * the server doesn't get ready.
 */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServer> {
  const dataDir = resolve(options.dataDir);
  const database = join(dataDir, databaseName);
  const address = `${host}:${options.port}`;
  const say = options.say ?? (() => {});
  const ports = [
    { port: options.port, key: 'TEMPORAL_PORT' },
    { port: options.uiPort, key: 'TEMPORAL_UI_PORT' },
  ] as const;
  // An earlier version of this service named the database by its whole path.
  const isOurs = ({ args, cwd }: PortHolder) =>
    args.includes(database) || (args.includes(databaseName) && cwd === realpathSync(dataDir));
  for (const { port, key } of ports) {
    await claimPort({ host, port, key, name: 'Temporal server', owned: isOurs, say });
  }
  const kept = await keepRunning({
    name: 'Temporal server',
    program: resolve(options.binary),
    args: serverArguments(options),
    cwd: dataDir,
    logFile: join(options.dataDir, 'logs', 'temporal.log'),
    recordFile: join(options.dataDir, 'run', 'temporal.json'),
    ready: (signal) =>
      checkTemporalServer({ address, namespace: options.namespace, isOthers: false, isCloud: false }, { signal }),
    guard: options.guard,
    readyWithinMs: 60_000,
    ...(options.signal && { signal: options.signal }),
    graceMs: 10_000,
    remedy: (said) =>
      isDamaged.test(said)
        ? `Restore ${database} from a backup, or move it away: the runs and the changes of schedules are then lost`
        : 'Look at its log, correct what it names, and start again; its database is left as it is',
    say: (line) => {
      options.log?.warn(line);
      say(line);
    },
    onGivenUp: (error) => options.onGivenUp?.(error),
  });
  options.log?.info({ address, pid: kept.pid() }, 'Temporal server is ready');
  return { address, uiUrl: `http://${host}:${options.uiPort}`, ...kept };
}

function serverArguments(options: TemporalServerOptions): readonly string[] {
  return [
    ...['server', 'start-dev', '--db-filename', databaseName],
    ...['--ip', host, '--port', String(options.port), '--ui-ip', host, '--ui-port', String(options.uiPort)],
    ...['--namespace', options.namespace, '--ui-disable-news-fetch', '--log-level', 'warn'],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'],
    ...pollLimits.flatMap((limit) => ['--dynamic-config-value', limit]),
    ...Object.values(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
  ];
}
