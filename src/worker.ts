import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { approvedInterceptor } from './activities/approved.ts';
import { createDependencies } from './activities/dependencies.ts';
import { failureInterceptor, redactingInterceptor } from './activities/failures.ts';
import { createHostActivities, createLedgerActivities, createServiceActivities } from './activities/index.generated.ts';
import { changedKeys, configurationInUse, recordConfiguration } from './config/in-use.ts';
import { loadConfig } from './config/load.ts';
import { secretsOf } from './config/secrets.ts';
import { explain, ServiceError } from './errors.ts';
import { type Ledger, openLedger } from './ledger/ledger.ts';
import { ledgerPaths } from './ledger/paths.ts';
import { createLogger } from './logger.ts';
import { countHostCalls } from './metrics/host-calls.ts';
import { createRegistry, workerInstruments } from './metrics/instruments.ts';
import { freeLoopbackPort, serveMetrics } from './metrics/page.ts';
import { startServiceState } from './metrics/service-state.ts';
import { lockWait } from './operations/lock-wait.ts';
import { packageVersion } from './package.ts';
import { startAnchors } from './runs/ledger.ts';
import { reconcileSchedules } from './runs/reconcile-schedules.ts';
import { readRefusedSchedules } from './runs/refused-schedules.ts';
import { createChangeSwitch } from './runs/switch.ts';
import { connectTemporal, temporalAddress } from './runs/temporal-client.ts';
import { startWatch } from './runs/watch.ts';
import { createRedact } from './secret.ts';
import { acquireLock } from './service/lock-file.ts';
import { temporalLogger } from './temporal-logger.ts';
import { createTokenStore } from './tokens/store.ts';
import { followQueue, hostQueue, ledgerQueue, serviceQueue } from './workflows/lib/messages.ts';

// The worker: one task queue for workflows and the service's own activities, one activity queue for each host, and one
// for whatever only follows what goes on elsewhere; where it can have the ledger open, the ledger's queue too.
const loaded = loadConfig({ reader: 'worker' });
const { config } = loaded;
const inUse = configurationInUse(loaded, 'worker');
recordConfiguration(config.dataDir, inUse);
const log = createLogger({ level: config.logLevel, name: 'worker', stderr: true });

const registry = createRegistry({ role: 'worker', version: packageVersion() });
const sdkPort = await freeLoopbackPort();
Runtime.install({
  logger: temporalLogger(log),
  telemetryOptions: {
    metrics: {
      prometheus: {
        bindAddress: `127.0.0.1:${sdkPort}`,
        histogramBucketOverrides: { [lockWait.name]: [...lockWait.buckets] },
      },
    },
  },
});
const page = await serveMetrics({ host: '127.0.0.1', port: config.worker.metricsPort, registry, sdkPort });
const client = await connectTemporal(config);
const connection = await NativeConnection.connect({ address: temporalAddress(config) });
const redact = createRedact(secretsOf(config));
const changeSwitch = createChangeSwitch(client);
const tokens = createTokenStore(join(config.dataDir, 'tokens.json'));
const refusedSchedules = () => readRefusedSchedules(config);
const dependencies = createDependencies({
  config,
  client,
  log,
  redact,
  changedKeys: () => changedKeys(inUse),
  refusedSchedules,
  changeSwitch: changeSwitch.get,
});

const common = {
  connection,
  namespace: config.temporal.namespace,
  interceptors: {
    activity: [
      countHostCalls(
        workerInstruments(registry),
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

/** Following costs a timer and a short look now and then: there is room for every job of every host. */
const followSlots = 2_000;

/** An append takes milliseconds, and what is asked for at the same time is written at the same time. */
const ledgerSlots = 20;
/** Before it is tried again to open a ledger that another process has: a worker that is still ending, most of all. */
const ledgerAgainMs = 5_000;

/** Undefined where the ledger can't be opened: everything that needs none is done all the same. */
async function openOwnLedger(): Promise<{ readonly ledger: Ledger; readonly worker: Worker } | undefined> {
  const folder = join(config.dataDir, 'ledger');
  let ledger: Ledger | undefined;
  try {
    ledger = openLedger({ folder, claim: () => acquireLock(ledgerPaths(folder).claim), redact });
    const worker = await Worker.create({
      ...common,
      taskQueue: ledgerQueue,
      activities: createLedgerActivities({
        ...dependencies,
        ledger,
        configFolder: loaded.folder,
        tokens: () => tokens.list(),
      }),
      maxConcurrentActivityTaskExecutions: ledgerSlots,
    });
    return { ledger, worker };
  } catch (error) {
    await ledger?.close();
    const why = error instanceof ServiceError ? explain(error) : String(error);
    if (why !== lastRefusal) log.error({ folder }, `The ledger can't be opened, and it is tried again: ${why}`);
    lastRefusal = why;
    return undefined;
  }
}

/** Hosts that have a journal of their own: the demo's is a folder of this machine. */
function anchoredHosts(): readonly string[] {
  return config.hosts
    .filter(({ ssh, local, layout }) => (ssh ?? local) !== undefined && layout.hostRoot === '')
    .map(({ name }) => name);
}

let lastRefusal: string | undefined;
let opened = await openOwnLedger();
const stopped = new AbortController();

/** Answers for the ledger as long as this process runs, once it has it. */
async function serveLedger(): Promise<void> {
  while (opened === undefined) {
    await sleep(ledgerAgainMs, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
    if (stopped.signal.aborted) return;
    opened = await openOwnLedger();
  }
  // One process has the ledger, so that nothing is counted twice.
  const state = startServiceState({
    client,
    config,
    log,
    registry,
    refusedSchedules,
    file: join(config.dataDir, 'run', 'counted-runs.json'),
  });
  await opened.worker.run();
  await state.stop();
  await opened.ledger.close();
}

const hostActivities = createHostActivities(dependencies);
const workers = await Promise.all([
  Worker.create({
    ...common,
    taskQueue: serviceQueue,
    workflowBundle: { codePath: join(import.meta.dirname, '..', 'workflow-bundle.js') },
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
]);

await reconcileSchedules({ client, config, log });
await startWatch(client);
await startAnchors(client, anchoredHosts());
// A host may be configured only now.
await changeSwitch.tellHosts();
log.info({ hosts: dependencies.hosts.names }, 'worker is ready');
const serving = serveLedger();
await Promise.all(workers.map((worker) => worker.run()));
stopped.abort();
await serving;
await Promise.all([dependencies.hosts.close(), dependencies.proxmox.close()]);
await connection.close();
await client.connection.close();
await page.close();
