import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { approvedInterceptor } from '../activities/approved.ts';
import { createDependencies } from '../activities/dependencies.ts';
import { failureInterceptor, redactingInterceptor } from '../activities/failures.ts';
import { createHostActivities, createServiceActivities } from '../activities/index.generated.ts';
import { changedKeys, configurationInUse, recordConfiguration } from '../config/in-use.ts';
import type { LoadedConfig } from '../config/load.ts';
import { secretsOf } from '../config/secrets.ts';
import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createLogger } from '../logger.ts';
import { countHostCalls } from '../metrics/host-calls.ts';
import { createRegistry, workerInstruments } from '../metrics/instruments.ts';
import { freeLoopbackPort, serveMetrics } from '../metrics/page.ts';
import { lockWait } from '../operations/lock-wait.ts';
import { packageRoot, packageVersion } from '../package.ts';
import { startAnchors } from '../runs/ledger.ts';
import { reconcileSchedules } from '../runs/reconcile-schedules.ts';
import { readRefusedSchedules } from '../runs/refused-schedules.ts';
import { createChangeSwitch } from '../runs/switch.ts';
import { temporalEndpoint } from '../runs/temporal-endpoint.ts';
import { startWatch } from '../runs/watch.ts';
import { createRedact } from '../secret.ts';
import { checkTemporalServer } from '../service/temporal-namespace.ts';
import { temporalLogger } from '../temporal-logger.ts';
import { followQueue, hostQueue, serviceQueue } from '../workflows/lib/messages.ts';
import { connectWorker } from './connection.ts';
import { createLedgerService } from './ledger.ts';

/** Following costs a timer and a short look now and then: there is room for every job of every host. */
const followSlots = 2_000;
/** Before a Temporal server that can't be worked with yet is looked at again; how often it is said. */
const againMs = 2_000;
const sayAgainMs = 5 * 60_000;

export interface WorkerRun {
  /** Makes the namespace fit first, and waits for a Temporal server that isn't there yet. */
  readonly prepare?: boolean;
}

/**
 * Runs the worker until SIGTERM or SIGINT, as the first process of a container, too: one task queue for workflows and the
 * service's own activities, one activity queue for each host, and one for whatever only follows what goes on elsewhere; where
 * it is to have the ledger and can, the ledger's queue too.
 */
export async function runWorker(loaded: LoadedConfig, { prepare = false }: WorkerRun = {}): Promise<void> {
  const { config } = loaded;
  const log = createLogger({ level: config.logLevel, name: 'worker', stderr: true });
  const stopped = new AbortController();
  // Temporal's runtime hears them too, and stops its workers. The first process of a container has no other way to end.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.abort());
  const inUse = configurationInUse(loaded, config.worker.ledger === 'only' ? 'ledger' : 'worker');
  recordConfiguration(config.dataDir, inUse);
  if (prepare && !(await untilPrepared(config, log, stopped.signal))) return;

  const { ledger: role, metricsHost, metricsPort } = config.worker;
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
  const connections = await connectWorker(config);
  const { client } = connections;
  const redact = createRedact(secretsOf(config));
  const changeSwitch = createChangeSwitch(client);
  const dependencies = createDependencies({
    config,
    client,
    log,
    redact,
    changedKeys: () => changedKeys(inUse),
    refusedSchedules: () => readRefusedSchedules(config),
    changeSwitch: changeSwitch.get,
  });
  const common = {
    connection: connections.connection,
    namespace: config.temporal.namespace,
    interceptors: {
      activity: [
        countHostCalls(
          instruments,
          config.hosts.map(({ name }) => name),
        ),
        redactingInterceptor(redact),
        failureInterceptor(redact, log, () => changedKeys(inUse)),
        approvedInterceptor,
      ],
    },
    // Activities hear at once that the worker stops; they hand back what they follow, and their jobs go on.
    shutdownGraceTime: 0,
    shutdownForceTime: '30s',
    // A cancellation reaches an activity with the answer to a heartbeat, so heartbeats are sent often.
    maxHeartbeatThrottleInterval: '2s',
    defaultHeartbeatThrottleInterval: '2s',
  } satisfies Partial<WorkerOptions>;

  const ledger =
    role === 'never' ? undefined : await createLedgerService({ loaded, common, dependencies, log, redact, registry });
  const workers: Worker[] = [];
  if (role !== 'only') {
    const hostActivities = createHostActivities(dependencies);
    workers.push(
      ...(await Promise.all([
        Worker.create({
          ...common,
          taskQueue: serviceQueue,
          workflowBundle: { codePath: join(packageRoot(), 'dist', 'workflow-bundle.js') },
          activities: createServiceActivities(dependencies),
        }),
        Worker.create({
          ...common,
          taskQueue: followQueue,
          activities: hostActivities,
          maxConcurrentActivityTaskExecutions: followSlots,
        }),
        ...config.hosts.map(({ name }) =>
          Worker.create({
            ...common,
            taskQueue: hostQueue(name),
            activities: hostActivities,
            maxConcurrentActivityTaskExecutions: config.worker.maxConcurrentActivitiesPerHost,
          }),
        ),
      ])),
    );
    await reconcileSchedules({ client, config, log });
    instruments.schedulesRefused.set(Object.keys(dependencies.refusedSchedules()).length);
    await startWatch(client);
    await startAnchors(client, anchoredHosts(config));
    // A host may be configured only now.
    await changeSwitch.tellHosts();
  }
  log.info({ hosts: role === 'only' ? [] : dependencies.hosts.names, ledger: role }, 'worker is ready');
  stopped.signal.addEventListener('abort', () => ledger?.stop(), { once: true });
  if (stopped.signal.aborted) ledger?.stop();
  const serving = ledger?.run();
  await Promise.all(workers.map((worker) => worker.run()));
  if (role !== 'only') ledger?.stop();
  await serving;
  await Promise.all([dependencies.hosts.close(), dependencies.proxmox.close()]);
  await connections.close();
  await page.close();
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
