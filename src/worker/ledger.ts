import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import type { Registry } from 'prom-client';
import type { ActivityDependencies } from '../activities/dependencies.ts';
import { createLedgerActivities } from '../activities/index.generated.ts';
import type { LoadedConfig } from '../config/load.ts';
import { explain, ServiceError } from '../errors.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import { ledgerPaths } from '../ledger/paths.ts';
import type { Log } from '../log.ts';
import { startServiceState } from '../metrics/service-state.ts';
import type { Redact } from '../secret.ts';
import { acquireKernelLock } from '../service/kernel-lock.ts';
import { createTokenStore, tokensFile } from '../tokens/store.ts';
import { ledgerQueue } from '../workflows/lib/messages.ts';

/** An append takes milliseconds, and what is asked for at the same time is written at the same time. */
const ledgerSlots = 20;
/** Before it is tried again to open a ledger that another process has: a worker that is still ending, most of all. */
const againMs = 5_000;

export interface LedgerService {
  /** Answers for the ledger as long as this process runs, once it has it. Resolves when it has let go of it. */
  run(): Promise<void>;
  stop(): void;
}

interface LedgerOptions {
  readonly loaded: Pick<LoadedConfig, 'config' | 'folder'>;
  readonly common: Pick<WorkerOptions, 'namespace'> & Partial<WorkerOptions>;
  readonly dependencies: ActivityDependencies;
  readonly log: Log;
  readonly redact: Redact;
  readonly registry: Registry;
}

/**
 * The ledger, policy, people and approvals: one process has them for all. Where the ledger can't be opened everything that
 * needs none is done all the same, and it is tried again.
 */
export async function createLedgerService(options: LedgerOptions): Promise<LedgerService> {
  const { loaded, common, dependencies, log, redact, registry } = options;
  const folder = join(loaded.config.dataDir, 'ledger');
  const tokens = createTokenStore(tokensFile(loaded.config.accessDir));
  const stopped = new AbortController();
  let lastRefusal: string | undefined;
  let opened = await open();

  /** Undefined where it can't be opened. */
  async function open(): Promise<{ readonly ledger: Ledger; readonly worker: Worker } | undefined> {
    let ledger: Ledger | undefined;
    try {
      ledger = openLedger({ folder, claim: () => acquireKernelLock(ledgerPaths(folder).claim), redact });
      const worker = await Worker.create({
        ...common,
        taskQueue: ledgerQueue,
        activities: createLedgerActivities({
          ...dependencies,
          ledger,
          configFolder: loaded.folder,
          tokens: () => tokens.list(),
        }),
        maxConcurrentActivityTaskExecutions: ledgerSlots,
      });
      return { ledger, worker };
    } catch (error) {
      await ledger?.close();
      const why = error instanceof ServiceError ? explain(error) : String(error);
      if (why !== lastRefusal) log.error({ folder }, `The ledger can't be opened, and it is tried again: ${why}`);
      lastRefusal = why;
      return undefined;
    }
  }

  return {
    async run() {
      while (opened === undefined) {
        await sleep(againMs, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
        if (stopped.signal.aborted) return;
        opened = await open();
      }
      // One process has the ledger, so that nothing is counted twice.
      const state = startServiceState({
        client: dependencies.client,
        config: loaded.config,
        log,
        registry,
        file: join(loaded.config.dataDir, 'counted-runs.json'),
      });
      await opened.worker.run();
      await state.stop();
      await opened.ledger.close();
    },
    stop: () => stopped.abort(),
  };
}
