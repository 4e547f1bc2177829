import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { memoryConfig } from '../mcp/lib/memory-service.ts';
import { cheap, password, peopleOf } from '../people/people.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { type RunningProgram, startCaddy, whyNoCaddy } from '../support/caddy.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { freePorts } from '../support/free-ports.ts';
import { useTemporal } from '../support/temporal.ts';
import { sampleService, signInAs } from './lib/sample-service.ts';

const snippet = join(import.meta.dirname, '../../deploy/caddy/temporal-ui.caddy');

/** What the UI's own server was asked, as it arrived there. */
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

describe.skipIf(whyNoCaddy() ?? whyNoBrowser())('the Temporal UI behind the shipped Caddy file', () => {
  const seen: Seen[] = [];
  let ui: Server;
  let serving: HttpServing;
  let caddy: RunningProgram;
  let browser: Browser;
  let folder: string;
  let base: string;
  let other: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-ui-'));
    const people = createPeople(peopleFile(folder), { cost: cheap });
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    await people.add({ name: 'olga', role: 'operator', password, first: false });
    const config = memoryConfig();
    // Reached by https elsewhere: at the UI's port there is none.
    const mcp = { ...config.mcp, publicUrl: 'https://mcp.example', trustedProxies: ['127.0.0.1'] };
    serving = await serveHttp(sampleService([], [], { people, config: { ...config, mcp } }), { version: '1.2.3' });
    const [port = 0, uiPort = 0, otherPort = 0] = await freePorts(3);
    ui = createServer((request, response) => {
      seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
      response.setHeader('content-type', request.url?.startsWith('/api/') ? 'application/json' : 'text/html');
      response.setHeader('set-cookie', '_csrf=of-the-ui; Path=/; SameSite=Strict');
      response.end(
        request.url?.startsWith('/api/')
          ? '{"done":true}'
          : '<!doctype html><link rel="icon" href="data:,"><title>UI</title><h1>Workflows</h1>',
      );
    });
    ui.on('upgrade', (request, socket) => {
      seen.push({ method: 'UPGRADE', url: request.url ?? '', headers: request.headers });
      socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
    });
    await new Promise<void>((resolve) => ui.listen(uiPort, '127.0.0.1', resolve));
    const site = (at: number, body: string) => `http://:${at} {\n\tbind 127.0.0.1\n\t${body}\n}\n`;
    caddy = await startCaddy(
      site(port, `import ${snippet} 127.0.0.1:${serving.port} 127.0.0.1:${uiPort}`) +
        // Another program of the same machine, as Grafana is.
        site(otherPort, 'header content-type text/html\n\trespond "<!doctype html><title>Other</title>"'),
      port,
    );
    [base, other] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${otherPort}`];
    browser = await launchBrowser();
  }, 600_000);

  afterAll(async () => {
    await browser?.close();
    await caddy?.close();
    await serving?.close();
    ui?.closeAllConnections();
    ui?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  async function signedIn() {
    const page = await browser.newPage();
    await page.goto(`${base}/namespaces/default/workflows?query=a%20b`);
    await page.getByLabel('Name').fill('anna');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('heading', { name: 'Workflows' }).waitFor();
    return page;
  }

  it('a browser is sent to the sign-in, with styles, and back to where it was going', async () => {
    const complaints: string[] = [];
    const page = await browser.newPage();
    page.on('console', (message) => void complaints.push(message.text()));
    await page.goto(`${base}/namespaces/default/workflows?query=a%20b`);
    expect(new URL(page.url()).pathname).toBe('/sign-in');
    expect(seen).toEqual([]);
    expect(await page.evaluate('getComputedStyle(document.querySelector("button")).backgroundColor')).not.toBe(
      'rgb(239, 239, 239)',
    );
    await page.getByLabel('Name').fill('olga');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByText('olga has signed in, and is no administrator.').waitFor();
    expect(seen).toEqual([]);
    await page.getByLabel('Name').fill('anna');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('heading', { name: 'Workflows' }).waitFor();
    expect(page.url()).toBe(`${base}/namespaces/default/workflows?query=a%20b`);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('its own pages ask and change, and its server never has the session', async () => {
    const page = await signedIn();
    seen.length = 0;
    const done = await page.evaluate(`Promise.all([
      fetch('/api/v1/namespaces').then((answer) => answer.json()),
      fetch('/api/v1/terminate', { method: 'POST', headers: { 'x-csrf-token': 'of-the-ui' }, body: '{}' }).then((answer) => answer.json()),
    ])`);
    expect(done).toEqual([{ done: true }, { done: true }]);
    expect(seen.map(({ method }) => method).sort()).toEqual(['GET', 'POST']);
    for (const { headers } of seen) expect(headers.cookie).toBe('_csrf=of-the-ui');
    await page.close();
  });

  it('a page of another port changes nothing, sees nothing and frames nothing', async () => {
    const page = await signedIn();
    await page.goto(`${other}/`);
    seen.length = 0;
    // The browser sends the session: it is the same host.
    const answers = await page.evaluate(`Promise.all([
      fetch('${base}/api/v1/terminate', { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' }),
      fetch('${base}/api/v1/namespaces', { mode: 'no-cors', credentials: 'include' }),
    ]).then((all) => all.map(({ type }) => type))`);
    // no-cors answers can't be read by the page.
    expect(answers).toEqual(['opaque', 'opaque']);
    await page.evaluate(`new Promise((resolve) => {
      const form = document.createElement('form');
      form.method = 'post';
      form.action = '${base}/api/v1/terminate';
      form.target = 'there';
      const frame = document.createElement('iframe');
      frame.name = 'there';
      frame.onload = resolve;
      document.body.append(frame, form);
      form.submit();
    })`);
    expect(seen).toEqual([]);
    // A link from there is followed.
    await page.goto(`${other}/`);
    await page.evaluate(`location.href = '${base}/namespaces'`);
    await page.getByRole('heading', { name: 'Workflows' }).waitFor();
    await page.close();
  });

  it('what is no page load gets 401, an upgrade too, and neither reaches the UI', async () => {
    seen.length = 0;
    expect((await fetch(`${base}/api/v1/namespaces`, { redirect: 'manual' })).status).toBe(401);
    expect((await fetch(`${base}/api/v1/terminate`, { method: 'POST', body: '{}', redirect: 'manual' })).status).toBe(
      401,
    );
    expect(await upgrade(base)).toMatch(/^HTTP\/1\.1 401 /);
    expect((await fetch(base, { headers: { authorization: 'Bearer admin-token' } })).status).toBe(401);
    expect(seen).toEqual([]);
    const { cookie } = await signInAs(base, { name: 'anna', password });
    expect(await upgrade(base, `Cookie: ${cookie}`, `Origin: ${base}`)).toMatch(/^HTTP\/1\.1 101 /);
    expect(await upgrade(base, `Cookie: ${cookie}`, `Origin: ${other}`)).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('nobody is believed who says that somebody else asks', async () => {
    seen.length = 0;
    const answer = await firstBytes(base, '//evil.example/a', [
      'Accept: text/html',
      'X-Forwarded-Uri: //evil.example',
      'X-Forwarded-Method: GET',
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 303 /);
    expect(answer).toMatch(/^Location: \/sign-in\?administrator&to=%2F\r$/m);
    const { cookie } = await signInAs(base, { name: 'anna', password });
    const forged = { cookie, 'x-forwarded-method': 'GET', origin: other };
    expect((await fetch(`${base}/api/v1/terminate`, { method: 'POST', headers: forged })).status).toBe(403);
    expect(seen).toEqual([]);
  });

  it('nothing else of the MCP server is at this address', async () => {
    for (const path of ['/api/mcp', '/metrics', '/ledger', '/auth/administrator', '/sign-out', '/decide']) {
      expect((await fetch(`${base}${path}`, { method: path === '/decide' ? 'POST' : 'GET' })).status).toBe(401);
    }
  });
});

describe.skipIf(!exhaustive || (whyNoCaddy() ?? whyNoBrowser()))('the real Temporal UI behind it', () => {
  const temporal = useTemporal();
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  it('shows a run with its frames, and changes it, for an administrator', async () => {
    const { people } = peopleOf();
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    const config = memoryConfig();
    const mcp = { ...config.mcp, trustedProxies: ['127.0.0.1'] };
    const serving = await serveHttp(sampleService([], [], { people, config: { ...config, mcp } }), {
      version: '1.2.3',
    });
    const [port = 0] = await freePorts(1);
    const { host } = new URL(temporal.server.uiUrl);
    const site = `import ${snippet} 127.0.0.1:${serving.port} ${host}`;
    const caddy = await startCaddy(`http://:${port} {\n\tbind 127.0.0.1\n\t${site}\n}`, port);
    try {
      const workflowId = 'nobody/takes/it';
      const staticDetails = 'Told in **Markdown** of a frame';
      const handle = await temporal.client.workflow.start('nobody', { workflowId, taskQueue: 'nobody', staticDetails });
      const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
      const path = `/namespaces/default/workflows/${encodeURIComponent(workflowId)}`;
      await page.goto(`http://127.0.0.1:${port}${path}`);
      await page.getByLabel('Name').fill('anna');
      await page.getByLabel('Password').fill(password);
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      // The UI renders Markdown in frames of its own.
      const reads = (wanted: string) =>
        vi.waitFor(
          async () => {
            const texts = page.frames().map((frame) => frame.locator('body').innerText({ timeout: 5_000 }));
            expect((await Promise.all(texts)).join('\n')).toContain(wanted);
          },
          { timeout: 60_000, interval: 500 },
        );
      await reads('RUNNING');
      await page.goto(`http://127.0.0.1:${port}${path}/${handle.firstExecutionRunId}/user-metadata`);
      await reads('Told in Markdown of a frame');
      const status = await page.evaluate(`fetch('/api/v1${path}/terminate', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-csrf-token': /_csrf=([^;]+)/.exec(document.cookie)?.[1] ?? '' },
        body: JSON.stringify({ reason: 'by the test' }),
      }).then((answer) => answer.status)`);
      expect(status).toBe(200);
      expect((await handle.describe()).status.name).toBe('TERMINATED');
    } finally {
      await caddy.close();
      await serving.close();
    }
  }, 180_000);
});

/** What is answered to a request for a web socket. */
function upgrade(at: string, ...headers: string[]): Promise<string> {
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
  const wanted = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', key];
  return firstBytes(at, '/api/v1/socket', [...wanted, ...headers]);
}

/** The first bytes that are answered, to just these headers: fetch adds some of its own. */
function firstBytes(at: string, path: string, headers: readonly string[]): Promise<string> {
  const { hostname, port, host } = new URL(at);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.write([`GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers, '', ''].join('\r\n'));
  });
}
