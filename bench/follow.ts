import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { pino } from 'pino';
import { cacheFolder } from '../src/service/paths.ts';
import { findTemporal } from '../src/service/temporal-binary.ts';
import { startTemporalServer } from '../src/service/temporal-server.ts';
import { serviceQueue } from '../src/workflows/lib/messages.ts';
import { freePort } from './lib/free-port.ts';
import { type BenchResult, contest, medianMs } from './lib/ratio.ts';

const host = 'bench';
/** As many as the host has slots: if following took one each, no look would ever be made. */
const jobs = 5;
const looks = 20;

/** Five long jobs of a host must not keep a look at it waiting, as a health check makes, or an undo or a cancellation. */
export async function benchFollow(): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const { path: binary } = await findTemporal({
      binary: process.env.TEMPORAL_BINARY,
      cacheDir: cacheFolder(),
      say: () => {},
    });
    const server = await startTemporalServer({
      binary,
      dataDir: folder,
      port: await freePort(),
      uiPort: await freePort(),
      namespace: 'default',
      log: pino({ level: 'silent' }),
    });
    closing.push(server.stop);
    const connection = await Connection.connect({ address: server.address });
    closing.push(() => connection.close());
    const worker = fork(join(import.meta.dirname, 'follow', 'worker.js'), [server.address, host, String(jobs)], {
      stdio: 'inherit',
    });
    closing.push(async () => {
      const exit = once(worker, 'exit');
      worker.kill('SIGKILL');
      await exit;
    });
    await once(worker, 'message');
    const client = new Client({ connection });
    let count = 0;
    const start = (type: string) =>
      client.workflow.start(type, { workflowId: `${type}-${count++}`, taskQueue: serviceQueue, args: [host] });
    const lookOften = () => medianMs(looks, async () => (await start('lookAtHost')).result());
    return [
      await contest({
        name: 'A look at a host while five long jobs are followed there / while none is',
        aim: { atMost: 1.25 },
        async ours() {
          const following = await Promise.all(Array.from({ length: jobs }, () => start('followJob')));
          const taken = await lookOften();
          await Promise.all(following.map((run) => run.cancel()));
          await Promise.allSettled(following.map((run) => run.result()));
          return taken;
        },
        theirs: lookOften,
        unit: 'ms',
        block: `${looks} looks, one after the other`,
        notes: [`the host has ${jobs} slots; following takes none of them`],
      }),
    ];
  } finally {
    for (const close of closing.reverse()) await close();
  }
}
