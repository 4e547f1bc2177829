import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLedgerStoreActivities } from '../../src/activities/ledger/ledger.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import { ofTypes } from '../../src/runs/list-runs.ts';
import { ledgerQueue } from '../../src/workflows/lib/messages.ts';
import { fill, open } from '../ledger/lib.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

const temporal = useTemporal({ withLedger: false });

beforeAll(async () => {
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
  });
}, 240_000);

/** A worker that has a ledger open. */
async function withLedger(): Promise<{ ledger: Ledger; stop: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  const ledger = open(folder);
  const stop = await temporal.work({
    taskQueue: ledgerQueue,
    activities: createLedgerStoreActivities({ ledger }),
    interceptors: { activity: [failureInterceptor((text) => text, { error: () => undefined })] },
  });
  onTestFinished(async () => {
    await stop();
    await ledger.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { ledger, stop };
}

it('answers through the worker that has it, and leaves no run in lists', async () => {
  const { ledger } = await withLedger();
  const asked = createLedgerClient(temporal.client);
  expect(await asked.head()).toBeUndefined();
  await fill(ledger, 60);
  expect(await asked.head()).toEqual(ledger.head());
  const page = await asked.search({ limit: 25, text: 'nginx', since: '1h' }, 'Europe/Berlin');
  expect(page.records.map(({ seq }) => seq)).toEqual(Array.from({ length: 25 }, (_, at) => 60 - at));
  const next = await asked.search({ limit: 25, text: 'nginx', cursor: page.cursor }, 'UTC');
  expect(next.records[0]?.seq).toBe(35);
  expect((await asked.search({ limit: 5, until: '1h' }, 'UTC')).records).toEqual([]);
  expect(await asked.get(7)).toEqual(ledger.get(7));
  expect(await asked.verify([])).toMatchObject({ verdict: 'intact', records: 60 });
  const head = ledger.head();
  if (head === undefined) throw new Error('there is no head');
  expect(await asked.verify([{ seq: head.seq, hash: 'f'.repeat(64) }])).toMatchObject({ verdict: 'broken' });
  for await (const run of temporal.client.workflow.list({ query: ofTypes() })) expect(run.workflowId).toBe('none');
  await expect(asked.get(61)).rejects.toMatchObject({ code: 'not-found' });
  await expect(asked.search({ limit: 5, cursor: 'x' }, 'UTC')).rejects.toMatchObject({ code: 'invalid-input' });
  await expect(asked.search({ limit: 5, since: 'when' }, 'UTC')).rejects.toMatchObject({ code: 'invalid-input' });
});

it('says that no worker has it, instead of waiting for ever', async () => {
  const started = Date.now();
  await expect(createLedgerClient(temporal.client).head()).rejects.toMatchObject({
    code: 'unavailable',
    message: 'No worker answers for the ledger',
  });
  expect(Date.now() - started).toBeLessThan(60_000);
});
