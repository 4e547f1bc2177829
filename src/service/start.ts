import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type Demo, ensureDemoToken, prepareDemo, revokeDemoToken, runDemo } from './demo.ts';
import { acquireLock } from './lock-file.ts';
import { onStopRequests } from './stop-requests.ts';
import { summary } from './summary.ts';
import { type Service, startService } from './supervisor.ts';

/**
 * `proxmox-mcp start`: runs the whole service until Ctrl-C (or SIGTERM, SIGHUP), then stops it in order; a second
 * Ctrl-C ends everything at once. Resolves when it has stopped. Throws `conflict` when a start already runs on the data
 * folder, and what a part failed with when one can't be kept running.
 */
export async function start(configured: Config, print: (line: string) => void): Promise<void> {
  mkdirSync(configured.dataDir, { recursive: true, mode: 0o700 });
  const release = lockDataFolder(configured.dataDir);
  const stopping = new AbortController();
  let failure: ServiceError | undefined;
  let kill = () => {};
  const requests = onStopRequests({
    first: () => {
      print('Stopping. Ctrl-C again ends everything at once.');
      stopping.abort();
    },
    second: () => {
      kill();
      release();
      process.exit(130);
    },
  });
  let demo: Demo | undefined;
  let service: Service | undefined;
  try {
    demo = configured.demo ? await prepareDemo(configured) : undefined;
    const config = demo?.config ?? configured;
    if (demo === undefined && (await revokeDemoToken(config))) {
      print(
        "· The demo's MCP token is revoked; for your hosts make one: proxmox-mcp token create NAME --scope operate",
      );
    }
    service = await startService({
      config,
      say: (line) => print(`· ${line}`),
      signal: stopping.signal,
      onGivenUp: (error) => {
        failure = error;
        stopping.abort();
      },
    });
    kill = service.kill;
    if (demo && !stopping.signal.aborted) {
      print(
        `· Nothing is configured: this is a demo, with a host and a Proxmox API of its own in ${config.dataDir}/demo.`,
      );
      await runDemo(config, print, stopping.signal);
    }
    if (!stopping.signal.aborted) {
      print(summary(config, demo && (await ensureDemoToken(config))).join('\n'));
      await untilAborted(stopping.signal);
    }
  } catch (error) {
    // Ctrl-C while it starts, or while the demo shows its runs, isn't an error.
    if (!(error instanceof ServiceError && error.code === 'cancelled')) throw error;
  } finally {
    await service?.stop();
    await demo?.close();
    requests.dispose();
    release();
  }
  if (failure) throw failure;
  print('Stopped. Starting again goes on where this ended.');
}

function lockDataFolder(dataDir: string): () => void {
  const attempt = acquireLock(join(dataDir, 'run', 'start.lock'));
  if (attempt.held) return attempt.release;
  throw new ServiceError({
    code: 'conflict',
    message: `Process ${attempt.holder.pid} already runs the service on ${dataDir}`,
    remedy: `Stop it first (Ctrl-C in its terminal, or kill ${attempt.holder.pid}), or set DATA_DIR to another folder`,
    details: { pid: attempt.holder.pid },
  });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
