import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import { pino } from 'pino';
import { expect, it, vi } from 'vitest';
import type { Config } from '../../src/config.ts';
import { searchAttributes } from '../../src/operations/search-attributes.ts';
import { connectTemporal } from '../../src/runs/temporal-client.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { identify, isAlive } from '../../src/service/process-identity.ts';
import { findTemporal } from '../../src/service/temporal-binary.ts';
import { startTemporalServer, type TemporalServer } from '../../src/service/temporal-server.ts';
import { freePort } from '../support/free-ports.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

const log = pino({ level: 'silent' });
const target = defineSearchAttributeKey(searchAttributes.target, SearchAttributeType.KEYWORD);

async function binary(): Promise<string> {
  const found = await findTemporal({ binary: process.env.TEMPORAL_BINARY, cacheDir: cacheFolder(), say: console.log });
  return found.path;
}

async function start(dataDir: string, ports?: { port: number; uiPort: number }) {
  const said: string[] = [];
  const { port, uiPort } = ports ?? { port: await freePort(), uiPort: await freePort() };
  const options = { binary: await binary(), dataDir, port, uiPort, namespace: 'default', log };
  const server = await startTemporalServer({ ...options, say: (line) => said.push(line) });
  afterwards(server.stop);
  return { server, said, ports: { port, uiPort } };
}

async function connect(server: TemporalServer): Promise<Client> {
  const connection = await Connection.connect({ address: server.address, connectTimeout: 20_000 });
  afterwards(() => connection.close());
  return new Client({ connection });
}

/** Nobody works on its queue: it stays running. */
async function startRun(client: Client, id: string): Promise<void> {
  await client.workflow.start('waiting', {
    workflowId: id,
    taskQueue: 'nobody',
    typedSearchAttributes: new TypedSearchAttributes([{ key: target, value: 'pve1' }]),
  });
}

async function found(client: Client): Promise<string[]> {
  const ids: string[] = [];
  for await (const run of client.workflow.list({ query: `${searchAttributes.target} = "pve1"` }))
    ids.push(run.workflowId);
  return ids;
}

it('keeps runs for 30 days, answers on loopback only, and serves its UI', async () => {
  const { server } = await start(temporaryFolder());
  const client = await connect(server);
  const { config } = await client.workflowService.describeNamespace({ namespace: 'default' });
  expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(30 * 24 * 3600);
  expect((await fetch(server.uiUrl)).status).toBe(200);
  expect(server.address).toMatch(/^127\.0\.0\.1:/);
});

it('is started again after kill -9, with its runs and search attributes', async () => {
  const { server, said } = await start(temporaryFolder());
  const client = await connect(server);
  await startRun(client, 'before');
  await expect.poll(() => found(client), { timeout: 5_000 }).toEqual(['before']);

  const first = server.pid();
  if (first === undefined) throw new Error('it has no process');
  process.kill(first, 'SIGKILL');
  await vi.waitFor(() => expect(said).toContain('The Temporal server is back.'), { timeout: 20_000 });
  expect(server.pid()).not.toBe(first);
  expect(said[0]).toBe('The Temporal server died (SIGKILL); starting it again.');

  const again = await connect(server);
  await expect.poll(() => found(again), { timeout: 5_000 }).toEqual(['before']);
  expect((await again.workflow.getHandle('before').describe()).status.name).toBe('RUNNING');
});

it('keeps what was there over a stop and a start, and leaves no process', async () => {
  const dataDir = temporaryFolder();
  const { server, ports } = await start(dataDir);
  await startRun(await connect(server), 'kept');
  const identity = identify(server.pid() ?? 0);
  await server.stop();
  expect(identity && isAlive(identity)).toBe(false);
  const second = await start(dataDir, ports);
  const client = await connect(second.server);
  await expect.poll(() => found(client), { timeout: 5_000 }).toEqual(['kept']);
});

it('ends a server that a killed start left behind on the same data, and goes on with its runs', async () => {
  const dataDir = temporaryFolder();
  const ports = { port: await freePort(), uiPort: await freePort() };
  // As a start that was killed before it could record it: nothing but the process itself tells whose it is.
  const orphan = spawn(
    await binary(),
    [
      'server',
      'start-dev',
      '--db-filename',
      join(dataDir, 'temporal.sqlite'),
      '--ip',
      '127.0.0.1',
      '--log-level',
      'error',
    ].concat([
      '--port',
      String(ports.port),
      '--ui-port',
      String(ports.uiPort),
      '--search-attribute',
      'OpsTarget=Keyword',
    ]),
    { detached: true, stdio: 'ignore' },
  );
  afterwards(() => void orphan.kill('SIGKILL'));
  const before = await Connection.connect({ address: `127.0.0.1:${ports.port}`, connectTimeout: 20_000 });
  await startRun(new Client({ connection: before }), 'orphaned');
  await before.close();

  const { server, said } = await start(dataDir, ports);
  expect(said[0]).toContain(`left running (process ${orphan.pid})`);
  const client = await connect(server);
  await expect.poll(() => found(client), { timeout: 5_000 }).toEqual(['orphaned']);
  expect(orphan.exitCode !== null || orphan.signalCode !== null).toBe(true);
});

it("names the stranger that has the port and the key to change, and doesn't touch it", async () => {
  const stranger = createServer((_request, response) => response.end('mine'));
  const ports = { port: await freePort(), uiPort: await freePort() };
  await new Promise<void>((resolve) => stranger.listen(ports.uiPort, '127.0.0.1', resolve));
  afterwards(() => void stranger.close());
  await expect(start(temporaryFolder(), ports)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(
      `Port ${ports.uiPort} on 127.0.0.1, for the Temporal server, is used by process ${process.pid} (`,
    ),
    remedy: expect.stringContaining('TEMPORAL_UI_PORT'),
  });
  expect(await (await fetch(`http://127.0.0.1:${ports.uiPort}`)).text()).toBe('mine');
});

it('is reached past the proxies of the environment', async () => {
  for (const name of ['http_proxy', 'https_proxy', 'grpc_proxy', 'HTTPS_PROXY', 'ALL_PROXY']) {
    vi.stubEnv(name, 'http://127.0.0.1:9');
  }
  afterwards(() => void vi.unstubAllEnvs());
  const began = Date.now();
  const { server } = await start(temporaryFolder());
  expect(server.pid()).toBeDefined();
  const port = Number(server.address.split(':')[1]);
  const config = { temporal: { address: undefined, port, namespace: 'default' } } as unknown as Config;
  const client = await connectTemporal(config);
  afterwards(() => client.connection.close());
  await startRun(client, 'past');
  expect(Date.now() - began).toBeLessThan(50_000);
});

it.each(['a b#c%20d', 'a b#e', 'a b', 'x?y', 'é', '%zz', `q'q"q`, 'n\nl', 'a&mode=memory', 'b\\c', ':memory:', '-d'])(
  'keeps its database in the folder %j and nowhere else',
  async (name) => {
    const parent = temporaryFolder();
    const dataDir = join(parent, name);
    mkdirSync(dataDir);
    const { server, ports } = await start(dataDir);
    await startRun(await connect(server), 'here');
    expect(readdirSync(parent)).toEqual([name]);
    expect(readdirSync(dataDir)).toContain('temporal.sqlite');
    // What a killed start left behind is known by its folder.
    const left = server.pid() ?? 0;
    rmSync(join(dataDir, 'run'), { recursive: true });
    const { said } = await start(dataDir, ports);
    expect(said[0]).toContain(`left running (process ${left})`);
  },
);

it('a server that does not get ready is not called damaged', async () => {
  const binary = join(temporaryFolder(), 'temporal');
  writeFileSync(binary, '#!/bin/sh\necho "Error: no room"; exit 1\n', { mode: 0o755 });
  const ports = { port: await freePort(), uiPort: await freePort() };
  const options = { binary, dataDir: temporaryFolder(), ...ports, namespace: 'default' };
  const error = await startTemporalServer(options).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('Error: no room') });
  expect(error.remedy).not.toMatch(/away|damaged|lost/);
});

it('says why with the end of its log when it does not start', async () => {
  const dataDir = temporaryFolder();
  writeFileSync(
    join(dataDir, 'temporal.sqlite'),
    'this is no database, but long enough to be read as a header by SQLite'.repeat(20),
  );
  await expect(start(dataDir)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/ended before it was ready \(exit code 1\); its log .* ends with: .*not a database/),
    remedy: expect.stringContaining('move it away'),
  });
});
