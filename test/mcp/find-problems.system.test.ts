import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createFindProblems } from '../../src/mcp/find-problems.ts';
import { makeAuthority } from '../support/certificates.ts';
import { useTemporal } from '../support/temporal.ts';
import { refusals, startTemporalFront, type TemporalFront } from '../support/temporal-front.ts';
import { memoryConfig } from './lib/memory-service.ts';

const temporal = useTemporal({ withLedger: false });
let front: TemporalFront;
let client: Client;
/** What the server answers now instead of what it would; it knows by itself who it is. */
let answer: { readonly code: number; readonly message: string } | undefined;

beforeAll(async () => {
  const authority = await makeAuthority('Ours');
  front = await startTemporalFront({
    target: temporal.server.address,
    server: await authority.issue('127.0.0.1'),
    refuse: (path) => (path.endsWith('/GetSystemInfo') ? undefined : answer),
  });
  const tls = { serverRootCACertificate: Buffer.from(authority.ca) };
  client = new Client({ connection: await Connection.connect({ address: `127.0.0.1:${front.port}`, tls }) });
});
afterAll(async () => {
  await client?.connection.close();
  await front?.close();
});

it('tells no worker, a database that is away, a refusal and a server that is away apart', async () => {
  const findProblems = createFindProblems(client, memoryConfig());
  expect(await findProblems()).toMatchObject([{ check: 'Worker', verdict: 'failed' }]);
  // As the server says it without its PostgreSQL.
  answer = { code: refusals.unavailable, message: 'no usable database connection found' };
  expect(await findProblems()).toMatchObject([
    { check: "Temporal's database", verdict: 'failed', summary: expect.stringContaining('answers, but can') },
  ]);
  answer = { code: refusals.permissionDenied, message: 'Request unauthorized.' };
  expect(await findProblems()).toMatchObject([
    { check: 'Temporal', verdict: 'failed', summary: expect.stringContaining("doesn't let the service in") },
  ]);
  answer = undefined;
  expect(await findProblems()).toMatchObject([{ check: 'Worker' }]);
  await front.close();
  expect(await findProblems()).toMatchObject([
    { check: 'Temporal', summary: expect.stringContaining("doesn't answer: nothing can be started") },
  ]);
});
