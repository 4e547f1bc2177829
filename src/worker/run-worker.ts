import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { Runtime } from '@temporalio/worker';
import { type ConfigurationInUse, changedKeys } from '../config/in-use.ts';
import type { LoadedConfig } from '../config/load.ts';
import { secretsOf } from '../config/secrets.ts';
import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createLogger } from '../logger.ts';
import { createRegistry, workerInstruments } from '../metrics/instruments.ts';
import { freeLoopbackPort, serveMetrics } from '../metrics/page.ts';
import { lockWait } from '../operations/lock-wait.ts';
import { packageVersion } from '../package.ts';
import { startAnchors } from '../runs/ledger.ts';
import { reconcileSchedules } from '../runs/reconcile-schedules.ts';
import { readRefusedSchedules } from '../runs/refused-schedules.ts';
import { createChangeSwitch } from '../runs/switch.ts';
import { temporalEndpoint } from '../runs/temporal-endpoint.ts';
import { startWatch } from '../runs/watch.ts';
import { createRedact, type Redact } from '../secret.ts';
import { checkTemporalServer } from '../service/temporal-namespace.ts';
import { temporalLogger } from '../temporal-logger.ts';
import { startTracing } from '../tracing/start.ts';
import { createGeneration, type Generation, servedHosts } from './generation.ts';
import { keepVersion } from './keep-version.ts';
import { createLedgerService, type NextLedger } from './ledger.ts';
import { endWhenRestored, untilMayWork } from './restored.ts';
import { versionedOf } from './versioning.ts';

/** How long activities may take to end when the process is to. Milliseconds. */
const endWithinMs = 30_000;
/** Before a Temporal server that can't be worked with yet is looked at again; how often it is said. */
const againMs = 2_000;
const sayAgainMs = 5 * 60_000;

export interface WorkerRun {
  /** Makes the namespace fit first, and waits for a Temporal server that isn't there yet. */
  readonly prepare?: boolean;
  /** Has its build take over new runs, where WORKER_VERSIONING is on. */
  readonly promotes?: boolean;
}

/** What reads the configuration again when this process is told to. */
export interface Reloader {
  inUse(): ConfigurationInUse;
  serve(apply: (loaded: LoadedConfig) => Promise<void>): void;
  close(): Promise<void>;
}

/**
 * Runs the worker until SIGTERM or SIGINT, as the first process of a container, too: one task queue for workflows and the
 * service's own activities, one activity queue for each host, and one for whatever only follows what goes on elsewhere; where
 * it is to have the ledger and can, the ledger's queue too. When the configuration is read again all of it is made anew, begins
 * to work, and what worked before ends in order: to runs it is as if another worker had come and this one gone.
 */
export async function runWorker(
  loaded: LoadedConfig,
  reloading: (log: Log) => Reloader,
  { prepare = false, promotes = false }: WorkerRun = {},
): Promise<void> {
  const { config } = loaded;
  const log = createLogger({
    level: config.logLevel,
    name: 'worker',
    stderr: true,
    traced: config.tracing !== undefined,
  });
  const stopped = new AbortController();
  // Temporal's runtime hears them too, and stops its workers. The first process of a container has no other way to end.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.abort());
  stopped.signal.addEventListener('abort', () => endWithin(log), { once: true });
  const reloader = reloading(log);
  if (prepare && !(await untilPrepared(config, log, stopped.signal))) return reloader.close();
  if (!(await untilMayWork(loaded, log, stopped.signal))) return reloader.close();

  const role = config.worker.ledger;
  const tracing = await startTracing(config, role === 'only' ? 'ledger' : 'worker', log);
  const { metricsHost, metricsPort } = config.worker;
  const registry = createRegistry({ role: role === 'only' ? 'ledger' : 'worker', version: packageVersion() });
  const sdkPort = await freeLoopbackPort();
  const histogramBucketOverrides = { [lockWait.name]: [...lockWait.buckets] };
  Runtime.install({
    logger: temporalLogger(log),
    telemetryOptions: {
      metrics: { prometheus: { bindAddress: `127.0.0.1:${sdkPort}`, histogramBucketOverrides } },
    },
  });
  const page = await serveMetrics({ host: metricsHost, port: metricsPort, registry, sdkPort });
  const instruments = workerInstruments(registry);
  // What was a secret before may still be in a text that comes now.
  const secrets = [...secretsOf(config)];
  let redactKnown = createRedact(secrets);
  const redact: Redact = (text) => redactKnown(text);
  const versioned = versionedOf(config);
  const generationOf = (of: LoadedConfig) =>
    createGeneration({
      loaded: of,
      versioned,
      redact,
      changedKeys: () => changedKeys(reloader.inUse()),
      log,
      instruments,
    });
  const settleAll = async (client: Client, of: Config) => {
    await settle(client, of, log);
    instruments.schedulesRefused.set(Object.keys(readRefusedSchedules(of)).length);
  };

  let current = await generationOf(loaded);
  const ledger =
    role === 'never'
      ? undefined
      : await createLedgerService({ ...current, folder: loaded.folder, log, redact, registry });
  if (role !== 'only') await settleAll(current.client, config);

  let end: (error?: unknown) => void = () => undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  const run = (generation: Generation) => {
    const running = generation.run();
    running.then(
      // One that was replaced has ended as it should.
      () => generation === current && end(),
      end,
    );
    return running;
  };
  const older = new Set<Promise<void>>();

  async function apply(next: LoadedConfig): Promise<void> {
    secrets.push(...secretsOf(next.config));
    redactKnown = createRedact(secrets);
    const made = await generationOf(next);
    let nextLedger: NextLedger | undefined;
    try {
      nextLedger = await ledger?.prepare(made);
      if (role !== 'only') await settleAll(made.client, next.config);
      if (stopped.signal.aborted) throw new Error('the worker is stopping');
    } catch (error) {
      await nextLedger?.giveUp();
      made.shutdown();
      await made.run();
      await made.close();
      throw error;
    }
    const before = current;
    current = made;
    const running = runningNow;
    runningNow = run(made);
    const ledgerEnds = nextLedger?.take();
    before.shutdown();
    const gone = Promise.all([running, ledgerEnds])
      .then(() => before.close())
      .catch((error: unknown) =>
        log.error({ err: error }, 'what worked with the old configuration did not end in order'),
      )
      .finally(() => older.delete(gone));
    older.add(gone);
  }

  log.info({ hosts: servedHosts(config), ledger: role, build: versioned.build }, 'worker is ready');
  stopped.signal.addEventListener('abort', () => ledger?.stop(), { once: true });
  if (stopped.signal.aborted) ledger?.stop();
  const serving = ledger?.run();
  serving?.catch(end);
  let runningNow = run(current);
  const versions =
    role === 'only'
      ? undefined
      : keepVersion({ client: () => current.client, build: versioned.build, promotes, log, signal: stopped.signal });
  reloader.serve(apply);
  endWhenRestored({ config, client: () => current.client, log, signal: stopped.signal });
  await (role === 'only' ? serving : ended);
  await reloader.close();
  ledger?.stop();
  await Promise.all([serving, runningNow, versions, ...older]);
  await current.close();
  await tracing.stop();
  await page.close();
}

/** What a configuration wants of Temporal itself. Safe to be done by several workers, and again. */
async function settle(client: Client, config: Config, log: Log): Promise<void> {
  await reconcileSchedules({ client, config, log });
  await startWatch(client);
  await startAnchors(client, anchoredHosts(config));
  // A host may be configured only now.
  await createChangeSwitch(client).tellHosts();
}

/** Whatever doesn't listen is given up with the process, and only with it: nothing of it goes on beside its next try. */
function endWithin(log: Log): void {
  setTimeout(() => {
    log.error(
      {},
      `something was still being done after ${endWithinMs / 1_000} s; it is given up, and will be tried again`,
    );
    process.exit(1);
  }, endWithinMs).unref();
}

/**
 * False: it was stopped before. What is wrong is said, and looked at again: most of it is put right elsewhere (a server that
 * starts, a namespace or search attributes that somebody makes, a certificate).
 */
async function untilPrepared(config: Config, log: Log, signal: AbortSignal): Promise<boolean> {
  let said: { readonly why: string; readonly at: number } | undefined;
  while (!signal.aborted) {
    try {
      await checkTemporalServer(temporalEndpoint(config), { say: (line) => log.warn({}, line) });
      if (said !== undefined) log.info({}, 'Temporal is there');
      return true;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const why = explain(error);
      if (said?.why !== why || Date.now() - said.at > sayAgainMs) {
        log.warn({}, `Temporal can't be worked with yet, and it is tried again: ${why}`);
        said = { why, at: Date.now() };
      }
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return false;
}

/** Hosts that have a journal of their own: the demo's is a folder of this machine. */
function anchoredHosts(config: Config): readonly string[] {
  return config.hosts
    .filter(({ ssh, local, layout }) => (ssh ?? local) !== undefined && layout.hostRoot === '')
    .map(({ name }) => name);
}
