import { type ChildProcess, spawn } from 'node:child_process';
import { Client, Connection } from '@temporalio/client';
import { msNumberToTs } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { serviceChecks } from '../../src/cli/doctor/service.ts';
import { searchAttributes } from '../../src/operations/search-attributes.ts';
import { operations } from '../../src/runs/find-operation.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { findTemporal } from '../../src/service/temporal-binary.ts';
import { checkTemporalServer, missingAttributes } from '../../src/service/temporal-namespace.ts';
import { startOptions } from '../../src/workflows/lib/attributes.ts';
import { loadedConfig } from '../support/config.ts';
import { freePort } from '../support/free-ports.ts';

// A Temporal server that isn't the service's own: nobody has prepared it.
const keyword = 2;
let server: ChildProcess;
let address: string;
let connection: Connection;
const at = (namespace: string) => ({ address, namespace, isOthers: true, isCloud: false });

beforeAll(async () => {
  const { path } = await findTemporal({
    binary: process.env.TEMPORAL_BINARY,
    cacheDir: cacheFolder(),
    say: console.log,
  });
  const port = await freePort();
  address = `127.0.0.1:${port}`;
  server = spawn(path, ['server', 'start-dev', '--headless', '--port', String(port), '--log-level', 'error'], {
    stdio: 'ignore',
  });
  connection = await Connection.connect({ address, connectTimeout: 30_000 });
}, 600_000);

afterAll(async () => {
  await connection?.close();
  server?.kill('SIGKILL');
});

it('gets the search attributes that it lacks, and takes runs with them from then on', async () => {
  await expect.poll(() => missingAttributes(connection, 'default')).toEqual(Object.values(searchAttributes));
  await checkTemporalServer(at('default'));
  expect(await missingAttributes(connection, 'default')).toEqual([]);
  const [backUp] = [operations['back-up']];
  if (backUp === undefined) throw new Error('there is no such operation');
  const client = new Client({ connection });
  const handle = await client.workflow.start('backUp', {
    workflowId: 'back-up/pve1/1',
    taskQueue: 'nobody',
    ...startOptions(backUp, { host: 'pve1', dryRun: true }, { kind: 'cli', name: 'test' }),
  });
  await handle.terminate();
  const found = async () => {
    const ids: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query: "OpsDryRun = 'yes'" })) ids.push(workflowId);
    return ids;
  };
  await expect.poll(found, { timeout: 10_000 }).toEqual([handle.workflowId]);
});

it('that refuses to add them is told with what is missing and the command that adds it', async () => {
  const names = Array.from({ length: 10 }, (_, index) => `Other${index}`);
  await connection.workflowService.registerNamespace({
    namespace: 'full',
    workflowExecutionRetentionPeriod: msNumberToTs(86_400_000),
  });
  const fill = () =>
    connection.operatorService.addSearchAttributes({
      namespace: 'full',
      searchAttributes: Object.fromEntries(names.map((name) => [name, keyword])),
    });
  await expect.poll(() => fill().then(() => 'filled', String), { timeout: 30_000 }).toBe('filled');
  await expect(checkTemporalServer(at('full'))).rejects.toMatchObject({
    code: 'configuration',
    message: expect.stringMatching(
      /The namespace full has no search attributes OpsOperation, .*OpsDryRun, and its server refused/,
    ),
    remedy: expect.stringContaining(
      'temporal operator search-attribute create --namespace full --name OpsOperation --type Keyword',
    ),
  });
});

it('doctor says where closed runs are kept for less than 30 days, and the command', async () => {
  await connection.workflowService.updateNamespace({
    namespace: 'default',
    config: { workflowExecutionRetentionTtl: msNumberToTs(86_400_000) },
  });
  const given = loadedConfig();
  const config = { ...given, temporal: { ...given.temporal, address, namespace: 'default' } };
  const check = serviceChecks(config).find((one) => one.check === 'Temporal server');
  const look = async () => await check?.run(AbortSignal.timeout(20_000));
  await expect.poll(look, { timeout: 30_000 }).toMatchObject({
    verdict: 'warning',
    summary: 'The namespace default keeps closed runs for 24 hours only, instead of 30 days',
    remedy: expect.stringContaining('temporal operator namespace update --retention 720h --namespace default'),
  });
  await checkTemporalServer(at('default'));
  await expect.poll(look, { timeout: 30_000 }).toMatchObject({ verdict: 'ok' });
}, 90_000);
