import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../../lab/proxmox/certificate.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { memoryConfig, memoryService } from '../mcp/lib/memory-service.ts';
import { bareEnvironment, runNode, useBuild } from '../support/built.ts';
import { type RunningProgram, running, startCaddy, whyNoCaddy } from '../support/caddy.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { freePort } from '../support/free-ports.ts';

const nginx = ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find((one) => existsSync(one));
if (exhaustive && nginx === undefined)
  console.error('\nNOT TESTED: nginx is missing (Debian: apt install nginx-light).\n');
const page = readFileSync(join(import.meta.dirname, '../../docs/external-access.md'), 'utf8');

/** A block of the page, which is what is tried. */
function blockOf(language: string): string {
  const block = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(page)?.[1];
  if (block === undefined) throw new Error(`docs/external-access.md has no block of ${language}`);
  return block;
}

/** The MCP server on a port of its own, as one that a proxy on this machine stands before. */
async function serve(): Promise<HttpServing> {
  const config = memoryConfig();
  const mcp = { ...config.mcp, trustedProxies: ['127.0.0.1'] };
  return await serveHttp(memoryService({ config: { ...config, mcp } }), { version: '1.2.3' });
}

/** An HTTPS request that trusts one CA, from an address of this machine that is no proxy's. */
function ask(url: string, ca: string, headers: Record<string, string>, body?: string) {
  return new Promise<{ readonly status: number | undefined; readonly text: string }>((resolve, reject) => {
    const sent = request(
      url,
      { ca, headers, localAddress: '127.0.0.2', method: body === undefined ? 'GET' : 'POST' },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
      },
    );
    sent.on('error', reject).end(body);
  });
}

const listTools = {
  headers: {
    authorization: 'Bearer reader-token',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2025-06-18',
  },
  body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
};

describe('the proxies of docs/external-access.md', () => {
  const build = useBuild();
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-proxies-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** What the real doctor says of the public URL, with one more CA. */
  async function doctor(port: number, publicUrl: string, ca?: string): Promise<Finding | undefined> {
    const settings = {
      SSH_HOST: '192.0.2.1',
      ENABLE_SSH: 'true',
      MCP_PORT: String(port),
      MCP_PUBLIC_URL: publicUrl,
      TRUSTED_PROXIES: '127.0.0.1',
      PROXMOX_MCP_CONFIG_DIR: folder,
    };
    const env = { ...bareEnvironment(), ...settings, ...(ca && { NODE_EXTRA_CA_CERTS: ca }) };
    const { stdout } = await runNode(build.path('src/cli.js'), ['doctor', '--json', '--timeout', '10'], { env });
    return (JSON.parse(stdout) as { findings: Finding[] }).findings.find(({ check }) => check === 'Public URL');
  }

  describe.skipIf(nginx === undefined || !exhaustive)('nginx', () => {
    it('as it is written there, it leaves all as it is, and each line is needed', async () => {
      const serving = await serve();
      const certificate = await makeCertificate('proxy', ['127.0.0.1']);
      const [key, leaf, ca] = ['key.pem', 'leaf.pem', 'ca.pem'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      writeFileSync(key, certificate.key);
      writeFileSync(leaf, certificate.certificate);
      writeFileSync(ca, certificate.ca);

      /** Runs it with the block, some of whose lines may be others. */
      async function behind<T>(edit: (block: string) => string, work: (url: string) => Promise<T>): Promise<T> {
        const port = await freePort();
        const block = edit(blockOf('nginx'))
          .replace('listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`)
          .replace(/ssl_certificate .*;/, `ssl_certificate ${leaf};`)
          .replace(/ssl_certificate_key .*;/, `ssl_certificate_key ${key};`)
          .replace('http://127.0.0.1:8080', `http://127.0.0.1:${serving.port}`);
        const own = mkdtempSync(join(folder, 'nginx-'));
        mkdirSync(join(own, 'tmp'));
        const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
          (one) => `${one}_temp_path ${own}/tmp/${one};`,
        );
        writeFileSync(
          join(own, 'nginx.conf'),
          `daemon off;\nmaster_process off;\npid ${own}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\n${block}\n}\n`,
        );
        const program = spawn(nginx ?? '', ['-c', join(own, 'nginx.conf'), '-p', own, '-e', 'stderr'], {
          env: bareEnvironment(),
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        const it = await running(program, port, () => undefined);
        try {
          return await work(`https://127.0.0.1:${port}`);
        } finally {
          await it.close();
        }
      }
      const without = (line: RegExp) => (block: string) => {
        expect(block).toMatch(line);
        return block.replace(line, '');
      };
      const said = (edit: (block: string) => string) => behind(edit, (url) => doctor(serving.port, url, ca));

      try {
        await behind(
          (block) => block,
          async (url) => {
            expect(await doctor(serving.port, url, ca)).toMatchObject({
              verdict: 'ok',
              summary: expect.stringContaining('(127.0.0.1)'),
            });
            expect(await doctor(serving.port, url)).toMatchObject({
              verdict: 'warning',
              remedy: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
            });
            const { status, text } = await ask(`${url}/api/mcp`, certificate.ca, listTools.headers, listTools.body);
            expect([status, text]).toEqual([200, expect.stringContaining('list_guests')]);
            // What a client makes up of its address, its host and its scheme is nothing.
            const made = {
              'x-forwarded-for': '203.0.113.9',
              'x-forwarded-host': 'evil.example',
              'x-forwarded-proto': 'http',
              forwarded: 'for=203.0.113.9',
            };
            const arrived = (await ask(`${url}/reach`, certificate.ca, made)).text;
            expect(arrived).toContain('"scheme":"https"');
            expect(arrived).toContain('"address":"127.0.0.2"');
            expect(arrived).not.toMatch(/203\.0\.113\.9|evil/);
          },
        );
        expect(await said(without(/.*X-Forwarded-For.*\n/))).toMatchObject({
          verdict: 'warning',
          summary: expect.stringContaining('loses X-Forwarded-For'),
        });
        expect(await said(without(/.*X-Forwarded-Proto.*\n/))).toMatchObject({
          verdict: 'warning',
          summary: expect.stringContaining('loses X-Forwarded-Proto'),
        });
        expect(
          await said((block) => without(/.*X-Forwarded-Host.*\n/)(block.replace('Host $http_host', 'Host backend'))),
        ).toMatchObject({
          verdict: 'failed',
          summary: expect.stringContaining('rewrites the header Host: here it is "backend"'),
        });
        expect(
          await said((block) =>
            block.replace('proxy_buffering off;', 'proxy_buffering on;\nproxy_ignore_headers X-Accel-Buffering;'),
          ),
        ).toMatchObject({
          verdict: 'failed',
          summary: expect.stringContaining('holds event streams back'),
        });
        expect(
          await said((block) => block.replace('proxy_buffering off;', 'proxy_set_header Authorization "";')),
        ).toMatchObject({
          verdict: 'failed',
          summary: expect.stringContaining('drops the header Authorization'),
        });
      } finally {
        await serving.close();
      }
    }, 180_000);
  });

  describe.skipIf(whyNoCaddy())('Caddy', () => {
    it('with a CA of its own leaves all as it is, and whoever has that CA’s certificate trusts it', async () => {
      const serving = await serve();
      const port = await freePort();
      const url = `https://127.0.0.1:${port}`;
      const body = /reverse_proxy .*/
        .exec(blockOf('caddy'))?.[0]
        .replace('127.0.0.1:8080', `127.0.0.1:${serving.port}`);
      const caddy: RunningProgram = await startCaddy(`${url} {\n\tbind 127.0.0.1\n\ttls internal\n\t${body}\n}`, port);
      try {
        // Where the shipped Caddy has it below /data.
        const root = join(caddy.folder ?? '', 'storage/pki/authorities/local/root.crt');
        expect(await doctor(serving.port, url, root)).toMatchObject({
          verdict: 'ok',
          summary: expect.stringContaining('(127.0.0.1)'),
        });
        const { status, text } = await ask(
          `${url}/api/mcp`,
          readFileSync(root, 'utf8'),
          listTools.headers,
          listTools.body,
        );
        expect([status, text]).toEqual([200, expect.stringContaining('list_guests')]);
      } finally {
        await caddy.close();
        await serving.close();
      }
    }, 180_000);
  });
});
