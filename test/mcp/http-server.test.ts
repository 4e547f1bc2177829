import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { RateLimits } from '../../src/mcp/http/limits.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { ask } from './lib/clients.ts';
import { type MemoryService, memoryService } from './lib/memory-service.ts';

let serving: HttpServing | undefined;

afterEach(async () => {
  await serving?.close();
  serving = undefined;
});

async function serve(overrides: Parameters<typeof memoryService>[0] = {}, limits: Partial<RateLimits> = {}) {
  const service: MemoryService = memoryService(overrides);
  serving = await serveHttp(service, { version: '1.2.3', limits });
  const base = `http://127.0.0.1:${serving.port}`;
  return { service, base, url: `${base}/api/mcp` };
}

/** A request whose `Host` header is chosen freely, which `fetch` doesn't let one do. */
function get(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

describe('authentication', () => {
  it('refuses requests without a token and with a wrong one, and says where the metadata is', async () => {
    const { url, base } = await serve();
    for (const [token, error] of [
      [undefined, undefined],
      ['nobody-knows-this', 'invalid_token'],
    ] as const) {
      const { status, headers, last } = await ask(url, token, 'tools/list');
      expect(status).toBe(401);
      const challenge = headers.get('www-authenticate') ?? '';
      expect(challenge).toMatch(/^Bearer realm="proxmox-mcp"/);
      expect(challenge.includes('error="invalid_token"')).toBe(error !== undefined);
      expect(challenge).toContain(
        'resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/api/mcp"',
      );
      expect(last.error.message).toContain('npx proxmox-mcp token');
    }
    const metadata = await (await fetch(`${base}/.well-known/oauth-protected-resource/api/mcp`)).json();
    expect(metadata).toMatchObject({
      resource: 'http://127.0.0.1:8080/api/mcp',
      scopes_supported: ['read', 'operate', 'admin'],
    });
  });

  it.each([
    ['reader-token', 'check_health', { host: 'pve1' }, 200],
    ['reader-token', 'list_runs', {}, 200],
    ['reader-token', 'search_ledger', { text: 'nginx', limit: 1 }, 200],
    ['reader-token', 'back_up', { host: 'pve1' }, 403],
    ['reader-token', 'cancel_run', { id: 'x', reason: 'because' }, 403],
    ['reader-token', 'trigger_schedule', { id: 'back-up/daily/pve1' }, 403],
    ['reader-token', 'schedule_operation', { operation: 'back-up', input: { host: 'pve1' }, at: 'sun 23:00' }, 403],
    ['operator-token', 'schedule_operation', { operation: 'back-up', input: { host: 'pve1' }, at: 'sun 23:00' }, 200],
    ['operator-token', 'back_up', { host: 'pve1' }, 200],
    ['operator-token', 'pause_schedule', { id: 'back-up/daily/pve1', reason: 'holiday' }, 200],
    ['operator-token', 'change_schedule', { id: 'back-up/daily/pve1', cron: '0 3 * * *' }, 403],
    ['admin-token', 'change_schedule', { id: 'back-up/daily/pve1', cron: '0 3 * * *' }, 200],
  ] as const)('lets %s call %s: %j → %i', async (token, name, args, expected) => {
    const { url, service } = await serve();
    const { status, headers, last } = await ask(url, token, 'tools/call', { name, arguments: args });
    expect(status).toBe(expected);
    if (expected === 200) {
      expect(last.result.isError).toBeUndefined();
    } else {
      expect(headers.get('www-authenticate')).toMatch(/error="insufficient_scope", scope="(operate|admin)"/);
      expect(last.error.message).toContain('needs the scope');
      expect(service.runs.started).toEqual([]);
      expect(service.schedules.changes).toEqual([]);
    }
  });

  it('shows a token only the tools that it may call', async () => {
    const { url } = await serve();
    const { last } = await ask(url, 'reader-token', 'tools/list');
    const names = last.result.tools.map(({ name }: { name: string }) => name);
    expect(names).toContain('check_health');
    expect(names).not.toContain('back_up');
  });

  it('refuses a call that hides in a batch of the older protocol', async () => {
    const { url, service } = await serve();
    const call = (id: number) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'back_up', arguments: { host: 'pve1' } },
    });
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        authorization: 'Bearer reader-token',
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify([call(1), call(2)]),
    });
    expect(await response.text()).toContain('needs the scope');
    expect(service.runs.started).toEqual([]);
  });
});

describe('who is let in', () => {
  it.each([
    ['localhost:8080', 200],
    ['127.0.0.1', 200],
    ['[::1]:8080', 200],
    ['mcp.example', 200],
    ['MCP.EXAMPLE:443', 200],
    ['evil.example', 403],
    ['mcp.example.evil.example', 403],
    ['evil.example@localhost', 403],
  ])('Host %j → %i', async (host, expected) => {
    const { base } = await serve();
    expect(await get(`${base}/livez`, { host })).toBe(expected);
  });

  it.each([
    ['http://localhost:6274', 200],
    ['https://mcp.example', 200],
    ['http://evil.example', 403],
    ['null', 403],
    ['https://mcp.example.evil.example', 403],
    ['file://localhost', 403],
  ])('Origin %j → %i', async (origin, expected) => {
    const { url } = await serve();
    const { status } = await ask(url, 'reader-token', 'tools/list', {}, { headers: { origin } });
    expect(status).toBe(expected);
  });

  it('refuses a body over 1 MiB, declared or not, one that is not JSON and one of another type', async () => {
    const { url } = await serve();
    const headers = { authorization: 'Bearer reader-token', 'content-type': 'application/json' };
    const large = `{"a":"${'x'.repeat(1_100_000)}"}`;
    expect((await fetch(url, { method: 'POST', headers, body: large })).status).toBe(413);
    const streamed = new Blob([large]).stream();
    // Refused in the middle, a client may see the refusal or the closed connection.
    const status = await fetch(url, { method: 'POST', headers, body: streamed, duplex: 'half' } as RequestInit).then(
      (response) => response.status,
      () => 413,
    );
    expect(status).toBe(413);
    const broken = await fetch(url, { method: 'POST', headers, body: '{"a":' });
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({ error: { code: -32_700 } });
    const plain = { ...headers, 'content-type': 'text/plain' };
    expect((await fetch(url, { method: 'POST', headers: plain, body: '{}' })).status).toBe(415);
  });

  it('limits a token, and an address that keeps failing, and says when to come back', async () => {
    const { url } = await serve({}, { perToken: 5, failedPerAddress: 3 });
    const statuses: number[] = [];
    for (let i = 0; i < 6; i += 1) statuses.push((await ask(url, 'reader-token', 'tools/list')).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
    const { status, headers } = await ask(url, 'reader-token', 'tools/list');
    expect(status).toBe(429);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    for (let i = 0; i < 3; i += 1) expect((await ask(url, 'wrong', 'tools/list')).status).toBe(401);
    expect((await ask(url, 'wrong', 'tools/list')).status).toBe(429);
  });

  it('keeps nobody with a good token waiting for what others send from the same address', async () => {
    const { base, url } = await serve({}, { failedPerAddress: 3, perAddress: 5 });
    // What any page in a browser on this machine can send: a picture's address, without Origin.
    for (let i = 0; i < 7; i += 1) await get(url, { host: 'localhost' });
    expect(await get(url, { host: 'localhost' })).toBe(429);
    expect(await get(`${base}/tools`, { host: 'localhost' })).toBe(429);
    expect((await ask(url, 'admin-token', 'tools/list')).status).toBe(200);
  });
});

describe('beside MCP', () => {
  it('says healthy, and why not', async () => {
    const findings: Finding[] = [];
    const { base } = await serve({ findProblems: async () => findings });
    const good = await fetch(`${base}/health`);
    expect(good.status).toBe(200);
    expect(await good.json()).toEqual({ status: 'healthy', findings: [], version: '1.2.3' });
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    const found: Finding = {
      check: 'Temporal',
      verdict: 'failed',
      summary: 'Temporal does not answer at 127.0.0.1:7233.',
      remedy: 'Run npx proxmox-mcp doctor.',
    };
    findings.push(found);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const bad = await fetch(`${base}/health`);
    expect(bad.status).toBe(503);
    const text = await bad.text();
    expect(JSON.parse(text)).toMatchObject({ status: 'failing', findings: [found] });
    expect(text).not.toContain('healthy');
    const notReady = await fetch(`${base}/readyz`);
    expect(notReady.status).toBe(503);
    expect(await notReady.json()).toEqual({ ready: false, findings: [found] });
    expect((await fetch(`${base}/livez`)).status).toBe(200);
  });

  it('counts from 0 on what its first failures are to be seen by', async () => {
    const { base } = await serve();
    const text = await (await fetch(`${base}/metrics`)).text();
    for (const tool of ['back_up', 'list_guests']) {
      expect(text).toContain(`proxmox_mcp_tool_calls_total{tool="${tool}",outcome="ok"} 0`);
      expect(text).toContain(`proxmox_mcp_tool_duration_seconds_count{tool="${tool}"} 0`);
    }
    for (const route of ['/api/mcp', '/health', '/', '/sign-in', '/runs/:id', 'other']) {
      expect(text).toContain(`proxmox_mcp_http_requests_total{route="${route}",status="503"} 0`);
    }
  });

  it('counts tool calls by name and outcome and runs by operation', async () => {
    const { base, url } = await serve();
    await ask(url, 'operator-token', 'tools/call', { name: 'back_up', arguments: { host: 'pve1' } });
    await ask(url, 'operator-token', 'tools/call', { name: 'back_up', arguments: { host: 'x y' } });
    const text = await (await fetch(`${base}/metrics`)).text();
    expect(text).toContain('proxmox_mcp_tool_calls_total{tool="back_up",outcome="ok"} 1');
    expect(text).toContain('proxmox_mcp_tool_calls_total{tool="back_up",outcome="invalid-input"} 1');
    expect(text).toContain('proxmox_mcp_runs_started_total{operation="back-up",existing="false"} 1');
    expect(text).not.toContain('operator-token');
  });

  it('answers unknown paths and methods', async () => {
    const { base, url } = await serve();
    expect((await fetch(`${base}/nothing`)).status).toBe(404);
    expect((await fetch(`${base}/health`, { method: 'POST' })).status).toBe(405);
    const authorization = 'Bearer reader-token';
    expect((await fetch(url, { headers: { authorization } })).status).toBe(405);
    expect((await fetch(url, { method: 'DELETE', headers: { authorization } })).status).toBe(405);
  });

  it('says who is in the way when the port is taken', async () => {
    const { service } = await serve();
    const config = { ...service.config, mcp: { ...service.config.mcp, port: serving?.port ?? 0 } };
    await expect(serveHttp(memoryService({ config }), { version: '1' })).rejects.toThrow(/Another program listens/);
  });
});
