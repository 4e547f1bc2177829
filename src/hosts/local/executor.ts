import { setMaxListeners } from 'node:events';
import type { Log } from '../../log.ts';
import type { Executor } from '../execution/executor.ts';
import { copyFile } from './copy.ts';
import { execHere } from './exec.ts';

export interface LocalExecutorOptions {
  /** The host's name in the configuration, for messages. */
  readonly name: string;
  readonly log: Log;
}

/** Runs programs on this machine, without a shell and without this process's environment. */
export function createLocalExecutor({ name }: LocalExecutorOptions): Executor {
  const running = new Set<Promise<unknown>>();
  const stop = new AbortController();
  // One for each command that runs.
  setMaxListeners(0, stop.signal);
  return {
    kind: 'local',
    async exec(argv, options) {
      const run = execHere(name, stop.signal, argv, options);
      const settled = run.then(
        () => undefined,
        () => undefined,
      );
      running.add(settled);
      settled.finally(() => running.delete(settled));
      return run;
    },
    upload: (from, to, options) => copyFile(`${name}: upload of ${from} to ${to}`, from, to, options),
    download: (from, to, options) => copyFile(`${name}: download of ${from} to ${to}`, from, to, options),
    async close() {
      stop.abort();
      await Promise.all(running);
    },
  };
}
