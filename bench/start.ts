import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { loadConfig } from '../src/config/load.ts';
import { cacheFolder } from '../src/service/paths.ts';
import { startService } from '../src/service/supervisor.ts';
import { findTemporal } from '../src/service/temporal-binary.ts';
import { startTemporalServer } from '../src/service/temporal-server.ts';
import { freePort } from './lib/free-port.ts';
import { type BenchResult, quantile } from './lib/ratio.ts';

const starts = 5;
const aimSeconds = 3;

/** From nothing to a worker that polls and an MCP server that is ready, with Temporal up. Seconds, over three. */
export async function benchStart(): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  const { path: binary } = await findTemporal({
    binary: process.env.TEMPORAL_BINARY,
    cacheDir: cacheFolder(),
    say: () => {},
  });
  const [port, uiPort] = [await freePort(), await freePort()];
  const log = pino({ level: 'silent' });
  const server = await startTemporalServer({ binary, dataDir: folder, port, uiPort, namespace: 'default', log });
  try {
    const seconds: number[] = [];
    for (let start = 0; start <= starts; start++) {
      const taken = await startOnce(server.address, join(folder, 'service'));
      // The first finds no file in the machine's cache.
      if (start > 0) seconds.push(taken);
    }
    const over = seconds.map((taken) => taken / aimSeconds);
    return [
      {
        name: `Cold start to ready with Temporal up / ${aimSeconds} s`,
        ratio: quantile(over, 0.5),
        aim: { atMost: 1 },
        spread: [quantile(over, 0.25), quantile(over, 0.75)],
        counts: `${starts} starts`,
        notes: [`median ${quantile(seconds, 0.5).toFixed(2)} s`],
      },
    ];
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startOnce(address: string, dataDir: string): Promise<number> {
  const settings = {
    DATA_DIR: dataDir,
    TEMPORAL_ADDRESS: address,
    MCP_PORT: String(await freePort()),
    WORKER_METRICS_PORT: String(await freePort()),
    ENABLE_LOCAL_EXECUTION: 'true',
    ENABLE_SSH: 'false',
    ENABLE_PROXMOX_API: 'false',
    LOG_LEVEL: 'WARN',
  };
  Object.assign(process.env, settings);
  const { config } = loadConfig({ cwd: '/', env: settings });
  const begun = performance.now();
  const service = await startService({
    config,
    say: () => {},
    signal: new AbortController().signal,
    onGivenUp: (error) => {
      throw error;
    },
  });
  const taken = (performance.now() - begun) / 1_000;
  await service.stop();
  return taken;
}
