import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { serviceQueue } from '../../src/workflows/lib/queues.ts';

// node worker.js ADDRESS: a worker of its own process, as in the service.
const logger = new DefaultLogger('ERROR');
Runtime.install({ logger });
const connection = await NativeConnection.connect({ address: process.argv[2] ?? '' });
const worker = await Worker.create({
  connection,
  taskQueue: serviceQueue,
  workflowBundle: await bundleWorkflowCode({ workflowsPath: `${import.meta.dirname}/workflows.js`, logger }),
  activities: { async nothing() {} },
});
process.send?.('ready');
await worker.run();
await connection.close();
