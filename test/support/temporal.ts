import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import { approvedInterceptor } from '../../src/activities/approved.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { untraced } from '../../src/activities/traced.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { findTemporal } from '../../src/service/temporal-binary.ts';
import { startTemporalServer, type TemporalServer } from '../../src/service/temporal-server.ts';
import { ledgerQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { freePort } from './free-ports.ts';
import { openTestLedger, type TestLedger } from './ledger.ts';

export interface TestTemporal {
  readonly server: TemporalServer;
  readonly client: Client;
  readonly dataDir: string;
  /** What the ledger's queue is asked and answers; served from the first worker on. */
  readonly ledger: TestLedger;
  /** Runs a worker until the file's tests are over, or until the returned function is called. */
  work(
    options: Pick<WorkerOptions, 'activities' | 'interceptors' | 'workflowBundle' | 'workerDeploymentOptions'> & {
      taskQueue?: string;
    },
  ): Promise<() => Promise<void>>;
}

/**
 * A real Temporal server of its own for a test file, as the service starts it; gone afterwards with its data.
 *
 * @param withLedger false: the file serves the ledger's queue itself, or nobody does
 */
export function useTemporal({ withLedger = true }: { readonly withLedger?: boolean } = {}): TestTemporal {
  const state: { server?: TemporalServer; client?: Client; native?: NativeConnection; dataDir?: string } = {};
  const stops: (() => Promise<void>)[] = [];
  let opened: ReturnType<typeof openTestLedger> | undefined;

  beforeAll(async () => {
    try {
      Runtime.install({ logger: new DefaultLogger('ERROR') });
    } catch {
      // Another file of the same process did.
    }
    state.dataDir = mkdtempSync(join(tmpdir(), 'proxmox-mcp-temporal-'));
    const { path } = await findTemporal({
      binary: process.env.TEMPORAL_BINARY,
      cacheDir: cacheFolder(),
      say: console.log,
    });
    state.server = await startTemporalServer({
      binary: path,
      dataDir: state.dataDir,
      port: await freePort(),
      uiPort: await freePort(),
      namespace: 'default',
      log: pino({ level: 'silent' }),
    });
    const connection = await Connection.connect({ address: state.server.address });
    state.client = new Client({ connection });
    state.native = await NativeConnection.connect({ address: state.server.address });
  }, 600_000);

  afterAll(async () => {
    for (const stop of stops.splice(0)) await stop();
    await opened?.close();
    await state.native?.close();
    await state.client?.connection.close();
    await state.server?.stop();
    if (state.dataDir) rmSync(state.dataDir, { recursive: true, force: true });
  }, 60_000);

  return {
    get server() {
      return must(state.server);
    },
    get client() {
      return must(state.client);
    },
    get dataDir() {
      return must(state.dataDir);
    },
    get ledger() {
      return must(opened).ledger;
    },
    work,
  };

  async function work({
    taskQueue = serviceQueue,
    ...options
  }: Parameters<TestTemporal['work']>[0]): Promise<() => Promise<void>> {
    if (withLedger && opened === undefined) {
      opened = openTestLedger();
      const activity = [failureInterceptor((text) => text, { error: () => {} })];
      await work({ taskQueue: ledgerQueue, activities: opened.activities, interceptors: { activity } });
    }
    const { interceptors } = options;
    const worker = await Worker.create({
      connection: must(state.native),
      taskQueue,
      shutdownGraceTime: '2s',
      shutdownForceTime: '10s',
      maxHeartbeatThrottleInterval: '1s',
      defaultHeartbeatThrottleInterval: '1s',
      sinks: untraced.sinks,
      ...options,
      interceptors: { ...interceptors, activity: [...(interceptors?.activity ?? []), approvedInterceptor] },
    });
    const running = worker.run();
    const stop = async (): Promise<void> => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running;
    };
    stops.push(stop);
    return stop;
  }
}

/** Bundles the workflows that a test's own file exports. */
export async function bundle(workflowsPath: string): Promise<{ code: string }> {
  const preloaded = join(import.meta.dirname, '../../src/workflows/preloaded.ts');
  return bundleWorkflowCode({
    workflowsPath,
    workflowInterceptorModules: [join(import.meta.dirname, '../../src/workflows/lib/approved.ts')],
    preloadModules: [preloaded],
    logger: new DefaultLogger('ERROR'),
  });
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('used before beforeAll');
  return value;
}
