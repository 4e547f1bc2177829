import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EnvHttpProxyAgent, request } from 'undici';
import { expect, it, onTestFinished, vi } from 'vitest';
import { bypassProxies } from '../../src/service/proxy-bypass.ts';

it('this machine is asked past a proxy, and what was asked past it before still is', async () => {
  vi.stubEnv('http_proxy', 'http://127.0.0.1:9');
  vi.stubEnv('no_proxy', undefined);
  vi.stubEnv('NO_PROXY', 'pve1.example.org, .lan');
  onTestFinished(() => void vi.unstubAllEnvs());
  const server = createServer((_request, response) => response.end('here'));
  await once(server.listen(0), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const ask = async (host: string) => {
    const dispatcher = new EnvHttpProxyAgent();
    const answer = await request(`http://${host}:${port}`, { dispatcher });
    return await answer.body.text();
  };
  await expect(ask('127.0.0.1')).rejects.toThrow();
  bypassProxies();
  expect(await ask('127.0.0.1')).toBe('here');
  expect(await ask('[::1]')).toBe('here');
  expect(await ask('localhost')).toBe('here');
  expect(process.env.no_proxy?.split(',').slice(0, 2)).toEqual(['pve1.example.org', '.lan']);
  const before = process.env.no_proxy;
  bypassProxies();
  expect([process.env.no_proxy, process.env.NO_PROXY]).toEqual([before, before]);
});
