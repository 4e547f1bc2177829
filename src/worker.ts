import { holdReloadRequests } from './service/reload-requests.ts';

// The program that `npm start` keeps running beside a Temporal server that it has made ready.
const requests = holdReloadRequests();
// Loading it takes a moment, in which the process may be told to read its configuration already.
const [{ configurationFiles }, { loadConfig }, { createReloader }, { runWorker }] = await Promise.all([
  import('./cli/configuration-files.ts'),
  import('./config/load.ts'),
  import('./service/reload.ts'),
  import('./worker/run-worker.ts'),
]);
const options = { reader: 'worker' } as const;
const loaded = loadConfig(options);
const reader = loaded.config.worker.ledger === 'only' ? 'ledger' : 'worker';
await runWorker(
  loaded,
  (log) => createReloader({ reader, loaded, options, files: configurationFiles, requests, log }),
  // `npm start` has one worker: where its build is another one, the earlier one is gone.
  { promotes: true },
);
