import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { expect, it, onTestFinished } from 'vitest';
import { checkDatabase, copyDatabase } from '../../src/backups/service/database.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { findTemporal } from '../../src/service/temporal-binary.ts';
import { startTemporalServer } from '../../src/service/temporal-server.ts';
import { freePort } from '../support/free-ports.ts';
import { useTemporal } from '../support/temporal.ts';

const temporal = useTemporal({ withLedger: false });

it("Temporal's database is copied while it is written, and a server starts from every copy with all that was there", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'service-database-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  let started = 0;
  let isOver = false;
  const writing = (async () => {
    while (!isOver) {
      const ids = Array.from({ length: 8 }, (_, at) => `load/${started + at}`);
      await Promise.all(
        ids.map((workflowId) => temporal.client.workflow.start('load', { workflowId, taskQueue: 'nobody' })),
      );
      started += ids.length;
    }
  })();
  await expect.poll(() => started, { timeout: 30_000 }).toBeGreaterThan(50);
  const copies: { readonly path: string; readonly least: number }[] = [];
  for (const name of ['one', 'two', 'three']) {
    const least = started;
    mkdirSync(join(folder, name));
    const path = join(folder, name, 'temporal.sqlite');
    await copyDatabase(join(temporal.dataDir, 'temporal.sqlite'), path);
    copies.push({ path, least });
  }
  isOver = true;
  await writing;
  // It was written all the while.
  expect(started).toBeGreaterThan(copies.at(-1)?.least ?? 0);

  const { path: binary } = await findTemporal({
    binary: process.env.TEMPORAL_BINARY,
    cacheDir: cacheFolder(),
    say: () => {},
  });
  const { path, least } = copies.at(-1) as (typeof copies)[number];
  const [port, uiPort] = [await freePort(), await freePort()];
  const server = await startTemporalServer({ binary, dataDir: join(path, '..'), port, uiPort, namespace: 'default' });
  const connection = await Connection.connect({ address: server.address });
  try {
    const { status } = await new Client({ connection }).workflow.getHandle(`load/${least - 1}`).describe();
    expect(status.name).toBe('RUNNING');
  } finally {
    await connection.close();
    await server.stop();
  }
}, 180_000);

it('a file that is no sound database is refused', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'service-database-')), 'temporal.sqlite');
  onTestFinished(() => rmSync(join(path, '..'), { recursive: true, force: true }));
  writeFileSync(path, 'SQLite format 3\0and nothing of it');
  await expect(checkDatabase(path)).rejects.toMatchObject({ code: 'unreadable' });
});
