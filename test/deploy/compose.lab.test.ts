import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Agent, fetch as fetchWith } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { guide } from '../config/guide.ts';
import { type Deployment, deploy, longLived } from '../support/deployment.ts';

// The shipped compose file and Dockerfile on a Debian 13 with its own Docker. Only images' names and limits of processors are
// others: no registry is asked, and the lab's engine has no controllers.

const root = join(import.meta.dirname, '../..');

describe.skipIf(whyNoLab())('install.sh with Docker Compose', () => {
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
      let answer = await client.callTool({ name, arguments: { host: 'this' } });
      const id = /[a-z-]+\/this\/[\w-]+/.exec(JSON.stringify(answer))?.[0];
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

  it('is a clean project with the guide’s own .env', async () => {
    await host.writeFile('/root/guide.env', guide);
    const file = '/opt/proxmox-mcp/docker-compose.yml';
    const read = await host.exec([
      'docker',
      'compose',
      '--env-file',
      '/root/guide.env',
      '-f',
      file,
      'config',
      '--quiet',
    ]);
    expect([read.exitCode, read.stdout, read.stderr]).toEqual([0, '', '']);
  });

  it('takes each docker-compose.override.yml that the documentation has', async () => {
    const pages = ['scaling', 'temporal', 'tracing', 'upgrading-workers'];
    const blocks = pages.flatMap((page) =>
      [
        ...readFileSync(join(root, `docs/${page}.md`), 'utf8').matchAll(/```yaml\n((?:#.*\n)?services:\n[^`]*)```/g),
      ].map(([, text = '']) => ({ page, text })),
    );
    expect(new Set(blocks.map(({ page }) => page))).toEqual(new Set(pages));
    for (const { page, text } of blocks) {
      await host.writeFile('/opt/proxmox-mcp/tried.yml', text);
      const both = ['-f', '/opt/proxmox-mcp/docker-compose.yml', '-f', '/opt/proxmox-mcp/tried.yml'];
      const read = await host.exec(['docker', 'compose', ...both, 'config', '--services']);
      expect([read.exitCode, read.stderr], `${page}: ${text}`).toEqual([0, '']);
      const services = read.stdout.trim().split('\n');
      if (page === 'temporal') expect(services.sort()).toEqual(['caddy', 'ledger', 'mcp-server', 'volumes', 'worker']);
      else expect(services).toEqual(expect.arrayContaining([...longLived]));
    }
    await host.must(['rm', '/opt/proxmox-mcp/tried.yml']);
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
    // Nor does a user of the host reach Temporal, its UI or its database by their containers' addresses: no route leads there.
    const routes = await host.must(['ip', '-4', 'route', 'show', 'root', '172.20.0.0/16']);
    expect(routes.match(/172\.20\.\d+\.0\/24/g)?.sort()).toEqual(['172.20.0.0/24', '172.20.1.0/24']);
  });

  it('checks and backs up a host for a client that comes through Caddy', { timeout: 300_000 }, async () => {
    const report = await runTool('check_health');
    expect(report, report).toContain('"outcome":"done"');
    expect(report).toMatch(/proxmox-mcp-server/);
    const backup = await runTool('back_up');
    expect(backup, backup).toContain('"outcome":"done"');
    expect(await host.must(['ls', '/opt/proxmox-mcp-backups'])).toMatch(/^daily-backup-.*\.tar\.gz$/m);
  });

  it('is scraped by the Prometheus of its profile, which finds each by its name', { timeout: 120_000 }, async () => {
    const monitoring = (...args: readonly string[]) => deployment.compose(['--profile', 'monitoring', ...args]);
    await monitoring('up', '--detach', 'prometheus');
    try {
      const answers = async () => {
        const url = 'http://127.0.0.1:9090/api/v1/query?query=up';
        const { exitCode, stdout } = await host.exec(['curl', '--silent', '--fail', url]);
        if (exitCode !== 0) return {};
        const { data } = JSON.parse(stdout) as {
          data: { result: { metric: Record<string, string>; value: [0, string] }[] };
        };
        return Object.fromEntries(
          data.result.map(({ metric, value }) => [`${metric.job} ${metric.role ?? ''}`.trim(), value[1]]),
        );
      };
      await expect.poll(answers, { timeout: 90_000, interval: 1_000 }).toEqual({
        'proxmox-mcp mcp-server': '1',
        'worker worker': '1',
        'worker ledger': '1',
        caddy: '1',
        temporal: '1',
        prometheus: '1',
        // It isn't started here.
        'node-exporter': '0',
      });
    } finally {
      await monitoring('rm', '--stop', '--force', '--volumes', 'prometheus');
    }
  });

  it('is what the machine says of itself', { timeout: 120_000 }, async () => {
    const checks = await host.exec(['/usr/local/lib/proxmox-mcp/checks.sh', 'doctor']);
    expect(checks.stdout.split('\n').filter((line) => /^(failed|unknown)/.test(line))).toEqual([]);
    const doctor = await host.exec(['proxmox-mcp', 'doctor'], { timeoutMs: 120_000 });
    expect(doctor.stdout).toMatch(/Machine: Unit.*proxmox-mcp is active/);
    expect(doctor.stdout).toContain('ready at http://mcp-server:8080/readyz');
    const status = await host.exec(['proxmox-mcp', 'status'], { timeoutMs: 60_000 });
    expect([status.exitCode, status.stdout]).toEqual([0, expect.stringContaining('is running, in containers.')]);
    const report = await host.must(['sh', '-c', 'cat /opt/proxmox-mcp/installation-report-*.md']);
    expect(report).toContain(`${deployment.url}/api/mcp`);
    expect(report).not.toContain((await host.must(['cat', '/opt/proxmox-mcp/secrets/postgres_password'])).trim());
    expect(await host.must(['systemctl', 'is-active', 'proxmox-mcp', 'proxmox-mcp-watch.timer'])).toBe(
      'active\nactive\n',
    );
    // The key of the service counts from the containers' network and the machine itself alone.
    expect(await host.must(['cat', '/home/claude-user/.ssh/authorized_keys'])).toMatch(
      new RegExp(`from="172\\.20\\.1\\.0/24(,172\\.[\\d.]+|,${host.address.host})*"`),
    );
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
    expect(JSON.stringify(listed)).toMatch(/back-up\/this/);
    expect(await runTool('check_health')).toContain('"outcome":"done"');
  });

  it('leaves nothing when it is taken off', { timeout: 300_000 }, async () => {
    await host.must(['/srv/sources/install.sh', '--uninstall', '--yes'], { timeoutMs: 280_000 });
    const left = await host.must([
      'sh',
      '-c',
      `ls -d /opt/proxmox-mcp /usr/local/lib/proxmox-mcp /usr/local/bin/proxmox-mcp /var/lib/proxmox-mcp* /etc/systemd/system/proxmox-mcp* /etc/sudoers.d/claude-user 2>/dev/null
       docker ps --all --format '{{.Names}}'; docker volume ls --quiet; docker network ls --format '{{.Name}}' | grep mcp; docker image ls --format '{{.Repository}}:{{.Tag}}' proxmox-mcp-server; true`,
    ]);
    expect(left).toBe('');
    expect(await host.must(['ls', '/opt/proxmox-mcp-backups'])).toMatch(/daily-backup/);
  });
});
