import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { requireFinishedRestore } from '../restored-mark.ts';
import { createSchedules } from '../runs/create-schedules.ts';
import { findRestored, restoredError } from '../runs/restored.ts';
import type { ScheduleSummary } from '../runs/schedules.ts';
import { connectTemporal } from '../runs/temporal-client.ts';
import { type Demo, ensureDemoToken, prepareDemo, revokeDemoToken, runDemo } from './demo.ts';
import { type Guard, startGuard } from './guard.ts';
import { acquireLock } from './lock-file.ts';
import { boundLogFile } from './log-file.ts';
import { watchParents } from './parents.ts';
import { keepRecord, lockPath, type Starter } from './record.ts';
import { reloadedLines, reloadProcesses } from './reload.ts';
import type { ReloadRequests } from './reload-requests.ts';
import { onStopRequests } from './stop-requests.ts';
import { hasAdministrator, summary } from './summary.ts';
import { type Service, startService } from './supervisor.ts';

export interface StartOptions {
  /** Lines for a person. */
  readonly print: (line: string) => void;
  /** Who keeps it running. Only at a terminal anybody reads all that is printed, as the demo's token. */
  readonly by: Starter;
  /** Calls back when what is printed reaches nobody any more: the terminal or the other end of a pipe is gone. */
  readonly whenOutputLost: (handler: () => void) => void;
  /** Without a terminal: requests to read the configuration again, which are passed on to worker and MCP server. */
  readonly reloads: ReloadRequests;
}

/** The log of a start without a terminal. */
export function serviceLog({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'logs', 'service.log');
}

/**
 * `proxmox-mcp start`: runs the whole service until Ctrl-C, SIGTERM or the end of its terminal, until its output reaches
 * nobody any more, or until npm, which has started it, is gone; then stops it in order. A second Ctrl-C ends everything at once, and when this
 * process itself is killed the guard ends the others: nothing of it lives on alone. Resolves when it has stopped. Throws
 * `conflict` when a start already runs on the data folder, and what a part failed with when one can't be kept running.
 */
export async function start(configured: Config, { print, by, whenOutputLost, reloads }: StartOptions): Promise<void> {
  requireFinishedRestore(configured);
  mkdirSync(configured.dataDir, { recursive: true, mode: 0o700 });
  const release = lockDataFolder(configured);
  const record = keepRecord(configured, by);
  const guard = startGuard();
  const stopping = new AbortController();
  let failure: ServiceError | undefined;
  const stop = (why: string) => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    record.is('stopping');
    print(why);
  };
  const requests = onStopRequests({
    first: () => stop('Stopping. Ctrl-C again ends everything at once.'),
    second: () => {
      guard.kill();
      record.remove();
      release();
      process.exit(130);
    },
    atTerminal: by === 'terminal',
  });
  const parents =
    by === 'terminal'
      ? watchParents(() => stop('npm, which started this, is gone: stopping.'))
      : { dispose: boundLog(configured) };
  whenOutputLost(() => {
    if (by === 'terminal') stop('Nobody reads this any more: stopping.');
  });
  let demo: Demo | undefined;
  let service: Service | undefined;
  try {
    demo = configured.demo ? await prepareDemo(configured) : undefined;
    const config = demo?.config ?? configured;
    if (demo === undefined && (await revokeDemoToken(config))) {
      print(
        "· The demo's MCP token is revoked; for your hosts make one: npx proxmox-mcp token create NAME --scope operate",
      );
    }
    service = await startService({
      config,
      guard,
      say: (line) => print(`· ${line}`),
      signal: stopping.signal,
      onGivenUp: (error) => {
        failure = error;
        stopping.abort();
        record.is('stopping');
      },
    });
    const restored = stopping.signal.aborted ? undefined : await findRestored(config).catch(() => undefined);
    if (demo && !stopping.signal.aborted && restored === undefined) {
      print(
        `· Nothing is configured: this is a demo, with a host and a Proxmox API of its own in ${config.dataDir}/demo.`,
      );
      await runDemo(config, print, stopping.signal);
    }
    if (!stopping.signal.aborted) {
      const atTerminal = by === 'terminal';
      const token = demo && (await ensureDemoToken(config));
      // A log is no place for a token; without it the line for Claude Code makes one.
      const canApprove = hasAdministrator(config);
      const facts = { ...(atTerminal && { token }), atTerminal, canApprove, schedules: await nextRuns(config) };
      print(summary(config, facts));
      if (restored !== undefined) print(explain(restoredError(restored)));
      record.is('running');
      if (!atTerminal) passReloadsOn(config, reloads, print);
      await untilAborted(stopping.signal);
    }
  } catch (error) {
    // Ctrl-C while it starts, or while the demo shows its runs, isn't an error.
    if (!(error instanceof ServiceError && error.code === 'cancelled')) throw error;
  } finally {
    await stopEverything(service, demo, guard);
    parents.dispose();
    requests.dispose();
    record.remove();
    release();
  }
  if (failure) throw failure;
  print('Stopped. Starting again goes on where this ended.');
}

/** One after the other; what they answer is in the log of this start too, which is the journal for a unit. */
function passReloadsOn({ dataDir }: Config, reloads: ReloadRequests, print: (line: string) => void): void {
  let last = Promise.resolve();
  reloads.listen(() => {
    last = last
      .then(() => reloadProcesses(dataDir))

      .then((answers) => {
        for (const line of reloadedLines(answers)) print(`· ${line}`);
      })
      .catch((error: unknown) => print(`· The configuration was not read again: ${String(error)}`));
  });
}

async function stopEverything(service: Service | undefined, demo: Demo | undefined, guard: Guard): Promise<void> {
  await service?.stop();
  await demo?.close();
  guard.close();
}

/** For the summary; without an answer it is left out. */
async function nextRuns(config: Config): Promise<readonly ScheduleSummary[]> {
  const client = await connectTemporal(config).catch(() => undefined);
  try {
    return client ? await createSchedules({ client, config }).list() : [];
  } catch {
    return [];
  } finally {
    await client?.connection.close();
  }
}

/** What this process prints goes to the log by itself; it is only kept from growing without end. */
function boundLog(config: Config): () => void {
  const timer = setInterval(() => boundLogFile(serviceLog(config)), 60_000).unref();
  return () => clearInterval(timer);
}

function lockDataFolder(config: Config): () => void {
  const attempt = acquireLock(lockPath(config));
  if (attempt.held) return attempt.release;
  throw new ServiceError({
    code: 'conflict',
    message: `Process ${attempt.holder.pid} already runs the service on ${config.dataDir}`,
    remedy: 'Stop it first: npx proxmox-mcp stop. Or set DATA_DIR to another folder',
    details: { pid: attempt.holder.pid },
  });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
