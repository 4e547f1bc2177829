import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Agent, fetch as fetchWith } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { type Deployment, deploy } from '../support/deployment.ts';

// The shipped compose file and Dockerfile on a Debian 13 with its own Docker. Only images' names and limits of processors are
// others: no registry is asked, and the lab's engine has no controllers.
const longLived = ['caddy', 'ledger', 'mcp-server', 'postgres', 'temporal', 'temporal-ui', 'worker'];

describe.skipIf(whyNoLab())('the deployment with Docker Compose', () => {
  let host: LabHost;
  let deployment: Deployment;
  let token: string;
  let agent: Agent;

  beforeAll(
    async () => {
      host = await startLabHost({ debian: 'trixie', docker: true });
      deployment = await deploy(host);
      token = (await deployment.cli('token', 'create', 'test', '--scope', 'operate')).trim();
      agent = new Agent({ connect: { ca: await deployment.ca() } });
    },
    startTimeoutMs + 10 * 60_000,
  );
  afterAll(async () => {
    await agent?.close();
    await host?.stop();
  }, 120_000);

  const get = (url: string) => fetchWith(url, { dispatcher: agent, redirect: 'manual' });

  async function withClient<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
    const client = new Client({ name: 'test', version: '1.0.0' });
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${deployment.url}/api/mcp`), {
        requestInit: { headers: { authorization: `Bearer ${token}` } },
        fetch: ((url: string | URL, init: object) =>
          fetchWith(url, { ...init, dispatcher: agent })) as unknown as typeof fetch,
      }),
    );
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  /** Starts an operation by its tool and waits for its end; its report as text. */
  function runTool(name: string): Promise<string> {
    return withClient(async (client) => {
      let answer = await client.callTool({ name, arguments: { host: 'pve1' } });
      const id = /[a-z-]+\/pve1\/[\w-]+/.exec(JSON.stringify(answer))?.[0];
      expect(id, JSON.stringify(answer)).toBeDefined();
      for (let tries = 0; tries < 10; tries += 1) {
        answer = await client.callTool({ name: 'wait_for_run', arguments: { id } });
        if (!/"state":"running"/.test(JSON.stringify(answer))) break;
      }
      return JSON.stringify(answer);
    });
  }

  it('starts as a whole, and all of it is healthy', async () => {
    expect(await deployment.states()).toEqual(Object.fromEntries(longLived.map((name) => [name, 'running healthy'])));
    const health = await get(`${deployment.url}/health`);
    expect([health.status, await health.json()]).toEqual([200, expect.objectContaining({ status: 'healthy' })]);
    expect(health.headers.get('strict-transport-security')).toBe('max-age=31536000');
  });

  it('shows others nothing but the service, and that with TLS alone', async () => {
    expect((await get(`${deployment.url}/metrics`)).status).toBe(404);
    expect((await get(`${deployment.url}/metrics/`)).status).toBe(404);
    const { host: address } = host.address;
    const plain = await get(`http://${address}:8080/health`);
    expect([plain.status, await plain.text()]).toEqual([403, expect.stringContaining(deployment.url)]);
    const redirected = await get(`http://${address}/page`);
    expect([redirected.status, redirected.headers.get('location')]).toEqual([308, `${deployment.url}/page`]);
    // On the host itself as the guide has it.
    expect(await host.must(['curl', '--silent', 'http://localhost:8080/health'])).toContain('"status":"healthy"');
    // Temporal's UI and Caddy's own figures are for nobody outside.
    for (const port of [8233, 2019, 2020, 7233, 9464, 5432]) {
      await expect(get(`http://${address}:${port}/`), String(port)).rejects.toThrow();
    }
  });

  it('checks and backs up a host for a client that comes through Caddy', { timeout: 300_000 }, async () => {
    const report = await runTool('check_health');
    expect(report).toContain('"outcome":"done"');
    expect(report).toMatch(/proxmox-mcp-server/);
    expect(await runTool('back_up')).toContain('"outcome":"done"');
    expect(await host.must(['ls', '/opt/proxmox-mcp-backups'])).toMatch(/^daily-backup-.*\.tar\.gz$/m);
  });

  it('is all there again after the host was restarted', { timeout: 400_000 }, async () => {
    const ca = await deployment.ca();
    await host.reboot();
    await expect
      .poll(() => deployment.states().catch(() => ({})), { timeout: 240_000, interval: 2_000 })
      .toEqual(Object.fromEntries(longLived.map((name) => [name, 'running healthy'])));
    expect(await deployment.ca()).toBe(ca);
    await expect.poll(async () => (await get(`${deployment.url}/health`)).status, { timeout: 60_000 }).toBe(200);
    const listed = await withClient((client) => client.callTool({ name: 'list_runs', arguments: {} }));
    expect(JSON.stringify(listed)).toMatch(/back-up\/pve1/);
    expect(await runTool('check_health')).toContain('"outcome":"done"');
  });
});
