import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from '@temporalio/worker';
import type { Registry } from 'prom-client';
import type { ActivityDependencies } from '../activities/dependencies.ts';
import { createLedgerActivities } from '../activities/index.generated.ts';
import { explain, ServiceError } from '../errors.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import { ledgerPaths } from '../ledger/paths.ts';
import type { Log } from '../log.ts';
import { startServiceState } from '../metrics/service-state.ts';
import type { Redact } from '../secret.ts';
import { acquireKernelLock } from '../service/kernel-lock.ts';
import { createTokenStore, tokensFile } from '../tokens/store.ts';
import { ledgerQueue } from '../workflows/lib/messages.ts';
import { countGeneration } from './count-generation.ts';
import { giveUp, type MakeWorker, stopWorker } from './generation.ts';
import { findRestored } from './restored.ts';

/** An append takes milliseconds, and what is asked for at the same time is written at the same time. */
const ledgerSlots = 20;
/** Before it is tried again to open a ledger that another process has: a worker that is still ending, most of all. */
const againMs = 5_000;
/** How much of what was done since a backup at least tells that it was restored. */
const countEveryMs = 60 * 60_000;

/** What of a generation the ledger's worker is made with. */
interface Served {
  /** Makes a worker of no build. */
  readonly make: MakeWorker;
  readonly dependencies: ActivityDependencies;
}

/** The ledger, served with another generation's connection from `take` on. */
export interface NextLedger {
  /** Resolves when what was served before has ended. */
  take(): Promise<void>;
  giveUp(): Promise<void>;
}

export interface LedgerService {
  /** Answers for the ledger as long as this process runs, once it has it. Resolves when it has let go of it. */
  run(): Promise<void>;
  /** Throws where Temporal doesn't take another worker. */
  prepare(next: Served): Promise<NextLedger>;
  stop(): void;
}

interface LedgerOptions extends Served {
  /** Where `policy.yaml` is. */
  readonly folder: string;
  readonly log: Log;
  readonly redact: Redact;
  readonly registry: Registry;
}

/**
 * The ledger, policy, people and approvals: one process has them for all. Where the ledger can't be opened everything that
 * needs none is done all the same, and it is tried again. Once open it stays so, whatever it is served with.
 */
export async function createLedgerService(options: LedgerOptions): Promise<LedgerService> {
  const { log, redact, registry } = options;
  const { dataDir, accessDir } = options.dependencies.config;
  const folder = join(dataDir, 'ledger');
  const tokens = createTokenStore(tokensFile(accessDir));
  const stopped = new AbortController();
  let lastRefusal: string | undefined;
  let served: Served = options;
  let ledger: Ledger | undefined;
  let worker: Worker | undefined;
  let running: Promise<void> | undefined;
  await open();

  function serve({ make, dependencies }: Served, opened: Ledger): Promise<Worker> {
    return make({
      taskQueue: ledgerQueue,
      activities: createLedgerActivities({
        ...dependencies,
        ledger: opened,
        configFolder: options.folder,
        tokens: () => tokens.list(),
      }),
      maxConcurrentActivityTaskExecutions: ledgerSlots,
    });
  }

  /** Leaves it where it can't be opened. */
  async function open(): Promise<void> {
    let opened: Ledger | undefined;
    try {
      opened = openLedger({ folder, claim: () => acquireKernelLock(ledgerPaths(folder).claim), redact });
      const using = served;
      await countGeneration(using.dependencies.client, folder, opened.head());
      let made = await serve(using, opened);
      if (using !== served) {
        // The configuration was read again meanwhile.
        await giveUp(made);
        made = await serve(served, opened);
      }
      worker = made;
      ledger = opened;
    } catch (error) {
      await opened?.close();
      const why = error instanceof ServiceError ? explain(error) : String(error);
      if (why !== lastRefusal) log.error({ folder }, `The ledger can't be opened, and it is tried again: ${why}`);
      lastRefusal = why;
    }
  }

  /** Where one of the two is older than the other knows it, that is said instead, and every worker ends. */
  async function count(): Promise<void> {
    const { client, config } = served.dependencies;
    try {
      await findRestored(config, client);
      await countGeneration(client, folder, ledger?.head());
    } catch (error) {
      log.warn(
        { err: error },
        'the generation of ledger and Temporal could not be counted on; it is tried again in an hour',
      );
    }
  }

  return {
    async run() {
      while (worker === undefined) {
        await sleep(againMs, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
        if (stopped.signal.aborted) return;
        await open();
      }
      // One process has the ledger, so that nothing is counted twice.
      const state = startServiceState({
        current: () => served.dependencies,
        log,
        registry,
        file: join(dataDir, 'counted-runs.json'),
      });
      const counting = setInterval(() => void count(), countEveryMs).unref();
      running = worker.run();
      // Another one may have taken over when one has ended.
      for (let current: Promise<void> | undefined; current !== running; ) {
        current = running;
        await current;
      }
      clearInterval(counting);
      await state.stop();
      await ledger?.close();
    },
    async prepare(next) {
      const before = worker;
      const opened = ledger;
      if (opened === undefined) {
        // Whenever it is opened, then.
        const take = async () => {
          served = next;
        };
        return { take, giveUp: async () => undefined };
      }
      const made = await serve(next, opened);
      return {
        async take() {
          served = next;
          const ending = running;
          worker = made;
          running = made.run();
          if (before !== undefined) stopWorker(before);
          await ending;
        },
        giveUp: () => giveUp(made),
      };
    },
    stop: () => stopped.abort(),
  };
}
