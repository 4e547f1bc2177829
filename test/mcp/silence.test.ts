import { setTimeout as sleep } from 'node:timers/promises';
import { Client as CurrentClient } from '@modelcontextprotocol/client';
import { InMemoryTransport } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { afterEach, describe, expect, it } from 'vitest';
import { createSdkServer } from '../../src/mcp/sdk/server.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { createServiceSurface } from '../../src/mcp/service-surface.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { memoryService } from './lib/memory-service.ts';

const info = { name: 'test', version: '1' };

/** A minute of a proxy's patience, and a quarter of it. */
const idleMs = 1_500;
const keepAliveMs = 200;
/** Far longer than the proxy's patience. */
const lastsMs = 3_000;

let serving: HttpServing | undefined;
let proxy: TcpProxy | undefined;

afterEach(async () => {
  await proxy?.stop();
  await serving?.close();
});

/** A service all of whose answers take long, behind a proxy that ends silent connections. */
async function start(options: {
  readonly keepAliveMs: number;
}): Promise<{ url: string; run: string; waits: AbortSignal[] }> {
  const service = memoryService({
    stepMs: 60_000,
    reads: { ...memoryService().reads, node: () => sleep(lastsMs, undefined) },
  });
  const { id: run } = await service.runs.start('back-up', { host: 'pve1' }, { kind: 'mcp', name: 'test' });
  const { get, wait } = service.runs;
  const waits: AbortSignal[] = [];
  const runs: typeof service.runs = {
    ...service.runs,
    wait(id, options) {
      if (options.signal) waits.push(options.signal);
      return wait(id, options);
    },
    async get(id: string) {
      await sleep(lastsMs);
      return get(id);
    },
  };
  serving = await serveHttp({ ...service, runs }, { version: '1', ...options });
  proxy = await startTcpProxy(serving.port);
  proxy.endSilent(idleMs);
  return { url: `http://127.0.0.1:${proxy.port}/api/mcp`, run, waits };
}

/** One request by hand that asks for no progress. */
async function ask(
  url: string,
  protocol: string,
  method: string,
  params: Record<string, unknown>,
  { accept = 'application/json, text/event-stream', ...init }: { accept?: string; signal?: AbortSignal } = {},
) {
  const modern = protocol === '2026-07-28';
  const meta = {
    'io.modelcontextprotocol/protocolVersion': protocol,
    'io.modelcontextprotocol/clientInfo': info,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const response = await fetch(url, {
    ...init,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept,
      authorization: 'Bearer operator-token',
      'mcp-protocol-version': protocol,
      ...(modern ? { 'mcp-method': method, 'mcp-name': String(params.name ?? params.uri) } : {}),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, ...(modern ? { _meta: meta } : {}) } }),
  });
  return { type: response.headers.get('content-type'), text: await response.text() };
}

const wait = (id: string) => ({ name: 'wait_for_run', arguments: { id, timeoutSeconds: lastsMs / 1_000 } });

describe.each(['2026-07-28', '2025-11-25'])('through a proxy that ends silent connections (%s)', (protocol) => {
  it('a wait goes on to its end', async () => {
    const { url, run } = await start({ keepAliveMs });
    const { type, text } = await ask(url, protocol, 'tools/call', wait(run));
    expect(type).toBe('text/event-stream');
    expect(text.match(/^: keepalive$/gm)?.length).toBeGreaterThanOrEqual(lastsMs / keepAliveMs / 2);
    expect(text).toMatch(/^data: .*wait_for_run waits for its report/m);
  });

  it('so do looks, reports and errors', async () => {
    const { url, run } = await start({ keepAliveMs });
    const calls: readonly (readonly [string, Record<string, unknown>, string])[] = [
      ['tools/call', { name: 'get_host', arguments: { host: 'pve1' } }, '"pve1'],
      ['tools/call', { name: 'get_run', arguments: { id: run } }, 'Temporal UI'],
      ['resources/read', { uri: `proxmox-mcp://runs/${run}/report` }, 'Temporal UI'],
      ['resources/read', { uri: 'proxmox-mcp://runs/back-up/pve1/none/report' }, '"error"'],
    ];
    const answers = await Promise.all(calls.map(([method, params]) => ask(url, protocol, method, params)));
    for (const [at, [method, , words]] of calls.entries()) {
      expect(answers[at]?.text, method).toContain(': keepalive');
      expect(answers[at]?.text, method).toContain(words);
    }
  });

  it('is cut where nothing keeps it alive', async () => {
    const { url, run } = await start({ keepAliveMs: 60_000 });
    await expect(ask(url, protocol, 'tools/call', wait(run))).rejects.toThrow();
  });
});

it('a client that takes only JSON gets JSON', async () => {
  const { url, run } = await start({ keepAliveMs });
  const { type, text } = await ask(url, '2026-07-28', 'tools/call', wait(run), { accept: 'application/json' });
  expect(type).toBe('application/json');
  expect(text).toMatch(/^ +\{/);
  expect(JSON.parse(text).result.structuredContent.run.state).toBe('running');
});

it.each(['2026-07-28', '2025-11-25'])('a client that goes away ends its wait (%s)', async (protocol) => {
  const { url, run, waits } = await start({ keepAliveMs });
  const gone = new AbortController();
  const asked = ask(url, protocol, 'tools/call', wait(run), { signal: gone.signal });
  setTimeout(() => gone.abort(), 3 * keepAliveMs);
  await expect(asked).rejects.toThrow();
  await expect.poll(() => waits.map(({ aborted }) => aborted)).toEqual([true]);
});

describe('over stdio', () => {
  const caller = { name: 'login', scope: 'operate' } as const;
  const clients = [
    {
      protocol: '2026-07-28',
      make: () => new CurrentClient(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } }),
    },
    { protocol: '2025-11-25', make: () => new CurrentClient(info) },
  ];

  it.each(clients)(
    'a wait about which nothing can be said is answered in time ($protocol)',
    async ({ protocol, make }) => {
      const service = memoryService({ stepMs: 60_000 });
      const { id } = await service.runs.start('back-up', { host: 'pve1' }, { kind: 'mcp', name: 'test' });
      const surface = createServiceSurface(service, '1');
      const [ofServer, ofClient] = InMemoryTransport.createLinkedPair();
      const options = { surface, log: service.log, localCaller: caller, silentMs: 200 };
      const handle = serveStdio(() => createSdkServer(options, caller), { transport: ofServer });
      const client = make();
      await client.connect(ofClient);
      expect(client.getNegotiatedProtocolVersion()).toBe(protocol);
      const silent = await client.callTool(wait(id));
      expect(silent.structuredContent).toMatchObject({ run: { state: 'running' } });

      const started = Date.now();
      const told: unknown[] = [];
      await client.callTool(wait(id), { onprogress: (progress) => void told.push(progress) });
      expect(Date.now() - started).toBeGreaterThan(900);
      expect(told).not.toEqual([]);
      await client.close();
      await handle.close();
    },
  );
});
