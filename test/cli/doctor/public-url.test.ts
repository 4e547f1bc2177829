import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { runChecks } from '../../../src/cli/doctor/check.ts';
import { networkCheck, overlappingRoutes, publicUrlCheck } from '../../../src/cli/doctor/public-url.ts';
import type { Config } from '../../../src/config.ts';
import { type HttpServing, serveHttp } from '../../../src/mcp/serve.ts';
import { memoryConfig, memoryService } from '../../mcp/lib/memory-service.ts';
import { freePort } from '../../support/free-ports.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function serve(trustedProxies: readonly string[]): Promise<{ serving: HttpServing; config: Config }> {
  const config = memoryConfig();
  const mcp = { ...config.mcp, trustedProxies };
  const serving = await serveHttp(memoryService({ config: { ...config, mcp } }), { version: '1.2.3' });
  closers.push(() => serving.close());
  return { serving, config: { ...config, mcp: { ...mcp, port: serving.port } } };
}

interface Proxy {
  /** What it makes of the headers. Default: as a good proxy. */
  readonly headers?: (headers: IncomingHttpHeaders) => IncomingHttpHeaders;
  /** Holds the answer back until it is whole. */
  readonly buffers?: boolean;
  /** Answers itself. */
  readonly answer?: (response: ServerResponse) => void;
}

const good = (headers: IncomingHttpHeaders): IncomingHttpHeaders => ({
  ...headers,
  'x-forwarded-for': '203.0.113.9',
  'x-forwarded-proto': 'http',
});

/** What `doctor` says of a server behind a proxy. */
async function said({ headers = good, buffers = false, answer }: Proxy, trusted: readonly string[] = ['127.0.0.1']) {
  const { serving, config } = await serve(trusted);
  const proxy = createServer((incoming, outgoing) => {
    if (answer !== undefined) return answer(outgoing);
    const to = { host: '127.0.0.1', port: serving.port, path: incoming.url, headers: headers(incoming.headers) };
    request(to, async (response) => {
      if (!buffers) {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        return response.pipe(outgoing);
      }
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      outgoing.writeHead(response.statusCode ?? 502, { 'content-type': 'text/event-stream' });
      return outgoing.end(Buffer.concat(parts));
    }).end();
  });
  const port = await listening(proxy);
  const mcp = { ...config.mcp, publicUrl: `http://127.0.0.1:${port}` };
  const [finding] = await runChecks([publicUrlCheck({ ...config, mcp })], 10_000);
  return finding;
}

describe('a proxy that stands before the MCP server', () => {
  it('is well where it leaves everything as it is and says for whom it asks', async () => {
    expect(await said({})).toMatchObject({
      verdict: 'ok',
      summary: expect.stringContaining('is known by its address (203.0.113.9)'),
    });
  });

  const without =
    (...names: string[]) =>
    (headers: IncomingHttpHeaders) =>
      Object.fromEntries(Object.entries(good(headers)).filter(([name]) => !names.includes(name)));

  it.each([
    [
      'Authorization',
      { headers: without('authorization') },
      'failed',
      'drops the header Authorization',
      '$http_authorization;',
    ],
    [
      'X-Forwarded-For',
      { headers: without('x-forwarded-for') },
      'warning',
      'loses X-Forwarded-For',
      '$proxy_add_x_forwarded_for;',
    ],
    [
      'X-Forwarded-Proto',
      { headers: without('x-forwarded-proto') },
      'warning',
      'loses X-Forwarded-Proto',
      'X-Forwarded-Proto $scheme;',
    ],
    [
      'the scheme',
      { headers: (one: IncomingHttpHeaders) => ({ ...good(one), 'x-forwarded-proto': 'https' }) },
      'warning',
      'X-Forwarded-Proto (it says https)',
      'trustedIPs',
    ],
    [
      'Host, by a name that isn’t served',
      { headers: (one: IncomingHttpHeaders) => ({ ...good(one), host: 'backend:8080' }) },
      'failed',
      'rewrites the header Host: here it is "backend:8080"',
      'passHostHeader: true',
    ],
    [
      'Host, by one that is',
      { headers: (one: IncomingHttpHeaders) => ({ ...good(one), host: 'localhost' }) },
      'warning',
      'loses Host',
      'proxy_set_header Host $http_host;',
    ],
    ['time', { buffers: true }, 'failed', 'holds event streams back until they end', 'flush_interval -1'],
  ] satisfies [string, Proxy, string, string, string][])(
    'loses %s: which line mends it',
    async (_, proxy, verdict, summary, line) => {
      const finding = await said(proxy);
      expect(finding).toMatchObject({ verdict, summary: expect.stringContaining(summary) });
      expect(finding?.remedy).toContain(line);
      for (const name of ['nginx: ', 'Traefik: ', 'Caddy: ']) expect(finding?.remedy).toContain(name);
    },
  );

  it('isn’t named', async () => {
    expect(await said({}, [])).toMatchObject({
      verdict: 'warning',
      remedy: expect.stringContaining('TRUSTED_PROXIES'),
    });
  });

  it.each([
    [
      'sends clients on',
      { answer: (response: ServerResponse) => response.writeHead(308, { location: 'https://mcp.example/' }).end() },
      'sends clients on to https://mcp.example/',
    ],
    [
      'answers itself',
      { answer: (response: ServerResponse) => response.writeHead(502).end('Bad Gateway') },
      'something else answers',
    ],
  ] satisfies [string, Proxy, string][])('%s', async (_, proxy, summary) => {
    expect(await said(proxy)).toMatchObject({ verdict: 'failed', summary: expect.stringContaining(summary) });
  });

  it('leads to another server', async () => {
    const other = await serve(['127.0.0.1']);
    const here = await serve(['127.0.0.1']);
    const mcp = { ...here.config.mcp, publicUrl: `http://127.0.0.1:${other.serving.port}` };
    const [finding] = await runChecks([publicUrlCheck({ ...here.config, mcp })], 10_000);
    expect(finding).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining('another server than this one'),
    });
  });
});

describe('without a proxy', () => {
  const of = async (mcp: Partial<Config['mcp']>, more: Partial<Config> = {}) => {
    const config = memoryConfig();
    return (await runChecks([publicUrlCheck({ ...config, ...more, mcp: { ...config.mcp, ...mcp } })], 10_000))[0];
  };

  it('there is nothing to ask', async () => {
    expect(await of({ publicUrl: 'http://127.0.0.1:8080', port: 8080 })).toMatchObject({ verdict: 'skipped' });
  });

  it('a name without an address, and nobody there', async () => {
    expect(await of({ publicUrl: 'https://mcp.invalid' })).toMatchObject({
      verdict: 'failed',
      summary: 'mcp.invalid has no address',
    });
    expect(await of({ publicUrl: `https://127.0.0.1:${await freePort()}` })).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining('ECONNREFUSED'),
    });
  });
});

describe('routes that overlap the containers’ network', () => {
  const head = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n';
  const row = (name: string, destination: string, mask: string) =>
    `${name}\t${destination}\t00000000\t0001\t0\t0\t0\t${mask}\t0\t0\t0\n`;
  it.each([
    ['the default route', row('eth0', '00000000', '00000000'), []],
    ['another network', row('eth0', '0001A8C0', '00FFFFFF'), []],
    ['a part of it', row('tun0', '000514AC', '00FFFFFF'), ['172.20.5.0/24 (tun0)']],
    ['one around it', row('tun0', '000010AC', '0000F0FF'), ['172.16.0.0/12 (tun0)']],
    ['all of 172', row('tun0', '000000AC', '000000FF'), ['172.0.0.0/8 (tun0)']],
    ['the one beside it', row('tun0', '000015AC', '0000FFFF'), []],
    ['Docker’s own', row('br-0123456789ab', '000014AC', '00FFFFFF'), []],
    ['no table', 'nonsense\n', []],
  ])('%s', (_, rows, expected) => {
    expect(overlappingRoutes('172.20', head + rows)).toEqual(expected);
  });

  it('are looked for where there are containers', async () => {
    const compose = { ownCa: true, publishAddress: '127.0.0.1', httpPort: 80, httpsPort: 443, networkPrefix: '172.20' };
    const config = { ...memoryConfig(), compose };
    const [check] = networkCheck(config, () => head + row('tun0', '000514AC', '00FFFFFF'));
    expect(check?.tried).toContain('172.20.0.0/16');
    expect(networkCheck(memoryConfig())).toEqual([]);
  });
});
