import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { untraced } from '../../src/activities/traced.ts';
import type { NothingActivities } from './nothing.ts';

// node worker.js ADDRESS TASK-QUEUE ours|theirs: a worker of its own process, as in the service.
const [address = '', taskQueue = '', workflows = ''] = process.argv.slice(2);
const logger = new DefaultLogger('ERROR');
Runtime.install({ logger });
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({
  connection,
  taskQueue,
  workflowBundle: await bundleWorkflowCode({
    workflowsPath: `${import.meta.dirname}/${workflows}.js`,
    preloadModules: workflows === 'ours' ? [`${import.meta.dirname}/../../src/workflows/preloaded.js`] : [],
    logger,
  }),
  sinks: untraced.sinks,
  activities: { async nothing() {} } satisfies NothingActivities,
});
process.send?.('ready');
await worker.run();
await connection.close();
