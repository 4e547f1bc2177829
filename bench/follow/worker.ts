import { Context } from '@temporalio/activity';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { followQueueOf, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import type { FollowActivities } from './workflows.ts';

// node worker.js ADDRESS HOST SLOTS: the queues of the service's worker, with so many slots for the host.
const [address = '', host = '', slots = ''] = process.argv.slice(2);
const logger = new DefaultLogger('ERROR');
Runtime.install({ logger });
const connection = await NativeConnection.connect({ address });
const activities: FollowActivities = {
  async look() {},
  async follow() {
    const context = Context.current();
    const timer = setInterval(() => context.heartbeat(), 1_000);
    try {
      await context.cancelled;
    } finally {
      clearInterval(timer);
    }
  },
};
const workflowBundle = await bundleWorkflowCode({
  workflowsPath: `${import.meta.dirname}/workflows.js`,
  preloadModules: [`${import.meta.dirname}/../../src/workflows/preloaded.js`],
  logger,
});
const common = { connection, maxHeartbeatThrottleInterval: '1s', defaultHeartbeatThrottleInterval: '1s' } as const;
const workers = await Promise.all([
  Worker.create({ ...common, taskQueue: serviceQueue, workflowBundle }),
  Worker.create({ ...common, taskQueue: followQueueOf(host), activities }),
  Worker.create({
    ...common,
    taskQueue: hostQueue(host),
    activities,
    maxConcurrentActivityTaskExecutions: Number(slots),
  }),
]);
process.send?.('ready');
await Promise.all(workers.map((worker) => worker.run()));
await connection.close();
