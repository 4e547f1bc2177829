import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createLedgerStoreActivities } from '../../src/activities/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { ledgerPaths } from '../../src/ledger/paths.ts';
import { acquireKernelLock } from '../../src/service/kernel-lock.ts';
import { ledgerQueue } from '../../src/workflows/lib/messages.ts';
import type { NothingActivities } from './nothing.ts';

// node worker.js ADDRESS TASK-QUEUE ours|theirs [LEDGER]: a worker of its own process, as in the service. With the folder of
// a ledger it answers for that, too, as one worker of the service does: every run asks it and writes into it.
const [address = '', taskQueue = '', workflows = '', ledgerFolder] = process.argv.slice(2);
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
  activities: { async nothing() {} } satisfies NothingActivities,
  // As in a service that traces nothing.
  sinks: { run: { began: { fn() {} }, ended: { fn() {} } } },
});
const ledger = ledgerFolder === undefined ? undefined : await serveLedger(ledgerFolder);
process.send?.('ready');
await worker.run();
await ledger?.stop();
await connection.close();

async function serveLedger(folder: string): Promise<{ stop(): Promise<void> }> {
  const claim = () => acquireKernelLock(ledgerPaths(folder).claim);
  const opened = openLedger({ folder, claim, redact: (text) => text });
  const allowed = { judge: async () => ({ verdict: 'allowed' as const }) };
  const serving = await Worker.create({
    connection,
    taskQueue: ledgerQueue,
    activities: { ...createLedgerStoreActivities({ ledger: opened }), ...allowed },
  });
  // It ends by the same signal as the other.
  const running = serving.run();
  return {
    async stop() {
      if (serving.getState() === 'RUNNING') serving.shutdown();
      await running;
      await opened.close();
    },
  };
}
