import { loadConfig } from './config/load.ts';
import { runWorker } from './worker/run-worker.ts';

// The program that `npm start` keeps running beside a Temporal server that it has made ready.
await runWorker(loadConfig({ reader: 'worker' }));
