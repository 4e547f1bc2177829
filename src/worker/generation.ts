import { Worker, type WorkerOptions } from '@temporalio/worker';
import { approvedInterceptor } from '../activities/approved.ts';
import { type ActivityDependencies, createDependencies } from '../activities/dependencies.ts';
import { failureInterceptor, redactingInterceptor } from '../activities/failures.ts';
import { createHostActivities, createServiceActivities } from '../activities/index.generated.ts';
import { traceRuns } from '../activities/traced.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { countHostCalls } from '../metrics/host-calls.ts';
import type { WorkerInstruments } from '../metrics/instruments.ts';
import { readRefusedSchedules } from '../runs/refused-schedules.ts';
import { createChangeSwitch } from '../runs/switch.ts';
import type { Redact } from '../secret.ts';
import { followQueue, followQueueOf, hostQueue, serviceQueue } from '../workflows/lib/messages.ts';
import { connectWorker, type WorkerConnections } from './connection.ts';
import type { Versioned } from './versioning.ts';

/** Following costs a timer and a short look now and then: there is room for every job of every host. */
const followSlots = 2_000;
/** And it is begun seldom: one call that waits for more is enough, and another one while that brings some. */
const followPolls = 2;

export interface GenerationOptions {
  readonly loaded: LoadedConfig;
  readonly versioned: Versioned;
  readonly redact: Redact;
  readonly changedKeys: () => readonly string[];
  readonly log: Log;
  readonly instruments: WorkerInstruments;
}

/** A worker of one queue, with what all have in common. */
export type MakeWorker = (options: Pick<WorkerOptions, 'taskQueue'> & Partial<WorkerOptions>) => Promise<Worker>;

/**
 * What the worker process works with as long as it has one configuration: its connections to Temporal and the hosts, and a
 * worker for each of its queues. Two of them may work side by side for a while, because each has a connection of its own.
 */
export interface Generation {
  readonly client: WorkerConnections['client'];
  readonly dependencies: ActivityDependencies;
  /** Makes one more, which is of no build. */
  readonly make: MakeWorker;
  /** Resolves when all of its workers have ended: they were told to, or the process was. */
  run(): Promise<void>;
  /** Takes no more work; what is followed is handed back, and what else is done ends. Before `run` it is given up. */
  shutdown(): void;
  /** Lets go of the connections, after `run`. */
  close(): Promise<void>;
}

/** Throws what is wrong, most often that Temporal doesn't answer; then nothing of it is left. */
export async function createGeneration(options: GenerationOptions): Promise<Generation> {
  const { loaded, versioned, redact, changedKeys, log, instruments } = options;
  const { config } = loaded;
  const connections = await connectWorker(config, log);
  const { client } = connections;
  const dependencies = createDependencies({
    config,
    client,
    log,
    redact,
    changedKeys,
    refusedSchedules: () => readRefusedSchedules(config),
    changeSwitch: createChangeSwitch(client).get,
  });
  const traces = traceRuns(client);
  const common = {
    namespace: config.temporal.namespace,
    interceptors: {
      activity: [
        ...traces.activity,
        countHostCalls(instruments, servedHosts(config)),
        redactingInterceptor(redact),
        failureInterceptor(redact, log, changedKeys),
        approvedInterceptor,
      ],
    },
    // Activities hear at once that the worker stops; they hand back what they follow, and their jobs go on. What doesn't
    // listen ends in its own time: given up it would be tried again beside itself.
    shutdownGraceTime: 0,
    // A cancellation reaches an activity with the answer to a heartbeat, so heartbeats are sent often.
    maxHeartbeatThrottleInterval: '2s',
    defaultHeartbeatThrottleInterval: '2s',
  } satisfies Partial<WorkerOptions>;
  const make: MakeWorker = async (own) =>
    connections.add(await Worker.create({ ...common, ...own, connection: connections.connection() }));
  const workers: Worker[] = [];
  const close = async () => {
    await Promise.all([dependencies.hosts.close(), dependencies.proxmox.close()]);
    await connections.close();
  };
  try {
    const made = await Promise.allSettled(
      workersOf(options, dependencies, traces.sinks).map((own) => make({ ...versioned.options, ...own })),
    );
    for (const one of made) if (one.status === 'fulfilled') workers.push(one.value);
    for (const one of made) if (one.status === 'rejected') throw one.reason;
  } catch (error) {
    await Promise.all(workers.map(giveUp));
    await close();
    throw error;
  }
  let isGivenUp = false;
  return {
    client,
    dependencies,
    make,
    async run() {
      await Promise.all(workers.map((worker) => (isGivenUp ? giveUp(worker) : worker.run())));
    },
    shutdown() {
      isGivenUp = true;
      for (const worker of workers) stopWorker(worker);
    },
    close,
  };
}

type OwnOptions = Pick<WorkerOptions, 'taskQueue'> & Partial<WorkerOptions>;

/** The hosts that this process serves. */
export function servedHosts({ hosts, worker }: Config): readonly string[] {
  return worker.ledger === 'only' ? [] : hosts.flatMap(({ name, isElsewhere }) => (isElsewhere ? [] : name));
}

/** One queue for workflows and the service's own activities; for each host its own, and one for whatever only follows there. */
function workersOf(
  { loaded, versioned }: GenerationOptions,
  dependencies: ActivityDependencies,
  sinks: WorkerOptions['sinks'],
): readonly OwnOptions[] {
  const { hosts, worker } = loaded.config;
  if (worker.ledger === 'only') return [];
  const served = servedHosts(loaded.config);
  const activities = createHostActivities(dependencies);
  const follow = (taskQueue: string) => ({
    taskQueue,
    activities,
    maxConcurrentActivityTaskExecutions: followSlots,
    maxConcurrentActivityTaskPolls: followPolls,
  });
  return [
    {
      taskQueue: serviceQueue,
      workflowBundle: versioned.workflowBundle,
      ...(sinks && { sinks }),
      activities: createServiceActivities(dependencies),
    },
    // What runs of an earlier version follow may be of any host.
    ...(served.length === hosts.length ? [follow(followQueue)] : []),
    ...served.flatMap((name) => [
      {
        taskQueue: hostQueue(name),
        activities,
        maxConcurrentActivityTaskExecutions: worker.maxConcurrentActivitiesPerHost,
      },
      follow(followQueueOf(name)),
    ]),
  ];
}

/** Unless it is ending already: the runtime hears SIGTERM too. */
export function stopWorker(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** One that was made and isn't needed: only one that has run can be let go of. */
export async function giveUp(worker: Worker): Promise<void> {
  if (worker.getState() === 'INITIALIZED') await worker.runUntil(Promise.resolve());
}
