import { join } from 'node:path';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { approvedInterceptor } from './activities/approved.ts';
import { createDependencies } from './activities/dependencies.ts';
import { failureInterceptor, redactingInterceptor } from './activities/failures.ts';
import { createHostActivities, createServiceActivities } from './activities/index.generated.ts';
import { changedKeys, configurationInUse, recordConfiguration } from './config/in-use.ts';
import { loadConfig } from './config/load.ts';
import { secretsOf } from './config/secrets.ts';
import { createLogger } from './logger.ts';
import { reconcileSchedules } from './runs/reconcile-schedules.ts';
import { readRefusedSchedules } from './runs/refused-schedules.ts';
import { connectTemporal, temporalAddress } from './runs/temporal-client.ts';
import { startWatch } from './runs/watch.ts';
import { createRedact } from './secret.ts';
import { temporalLogger } from './temporal-logger.ts';
import { followQueue, hostQueue, serviceQueue } from './workflows/lib/messages.ts';

// The worker: one task queue for workflows and the service's own activities, one activity queue for each host, and one
// for whatever only follows what goes on elsewhere.
const loaded = loadConfig();
const { config } = loaded;
const inUse = configurationInUse(loaded);
recordConfiguration(config.dataDir, 'worker', inUse);
const log = createLogger({ level: config.logLevel, name: 'worker', stderr: true });

Runtime.install({
  logger: temporalLogger(log),
  telemetryOptions: { metrics: { prometheus: { bindAddress: `127.0.0.1:${config.worker.metricsPort}` } } },
});
const client = await connectTemporal(config);
const connection = await NativeConnection.connect({ address: temporalAddress(config) });
const redact = createRedact(secretsOf(config));
const refusedSchedules = () => readRefusedSchedules(config);
const dependencies = createDependencies({
  config,
  client,
  log,
  redact,
  changedKeys: () => changedKeys(inUse),
  refusedSchedules,
});

const common = {
  connection,
  namespace: config.temporal.namespace,
  interceptors: {
    activity: [
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
log.info({ hosts: dependencies.hosts.names }, 'worker is ready');
await Promise.all(workers.map((worker) => worker.run()));
await Promise.all([dependencies.hosts.close(), dependencies.proxmox.close()]);
await connection.close();
await client.connection.close();
