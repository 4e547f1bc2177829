import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { serveHttp } from '../../src/mcp/serve.ts';
import type { Reads } from '../../src/proxmox/reads.ts';
import { sampleService, signIn } from '../console/lib/sample-service.ts';

/** A server that serves a first configuration, and what it needs to get others. */
async function serve() {
  const service = sampleService();
  const closed: string[] = [];
  const of = (name: string, allowed: readonly string[], more: object = {}) =>
    Object.assign(Object.create(null) as object, service, {
      config: { ...service.config, mcp: { ...service.config.mcp, allowedHosts: allowed } },
      close: async () => void closed.push(name),
      ...more,
    }) as typeof service;
  const serving = await serveHttp(of('first', ['first.example.org']), { version: '1' });
  onTestFinished(() => serving.close());
  return { serving, of, closed, base: `http://127.0.0.1:${serving.port}` };
}

it('answers with the new configuration, and who has signed in stays so', async () => {
  const { serving, of, closed, base } = await serve();
  const { cookie } = await signIn(base, 'admin-token');
  const health = (host: string) => status(base, host);
  expect(await health('first.example.org')).toBe(200);
  expect(await health('second.example.org')).toBe(403);
  serving.reload(of('second', ['second.example.org']));
  expect(await health('first.example.org')).toBe(403);
  expect(await health('second.example.org')).toBe(200);
  const page = await fetch(`${base}/ledger`, { headers: { cookie }, redirect: 'manual' });
  expect(await page.text()).toContain('Sign out');
  await expect.poll(() => closed).toEqual(['first']);
});

it('a call that is being answered goes on with what it began with, which is let go of after it', async () => {
  const { serving, of, closed, base } = await serve();
  let answer: (value: unknown) => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    const reads = {
      apis: { has: () => true },
      inventory: {
        read: () => {
          resolve();
          return new Promise((done) => (answer = done));
        },
      },
    } as unknown as Reads;
    serving.reload(of('slow', [], { reads }));
  });
  await expect.poll(() => closed).toEqual(['first']);
  const call = fetch(`${base}/api/mcp`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer admin-token',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-06-18',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'list_guests', arguments: {} },
    }),
  });
  await asked;
  serving.reload(of('third', []));
  await sleep(200);
  expect(closed).toEqual(['first']);
  answer({ guests: [], clusters: [] });
  expect(await (await call).text()).not.toContain('"isError":true');
  await expect.poll(() => closed).toEqual(['first', 'slow']);
});

/** By its own client: `fetch` sets the header itself. */
async function status(base: string, host: string): Promise<number | undefined> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const sent = request(`${base}/livez`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end();
  });
}
