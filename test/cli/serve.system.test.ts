import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { configurationFolder } from '../config/folder.ts';
import { runNode, useBuild } from '../support/built.ts';
import { freePorts } from '../support/free-ports.ts';

vi.setConfig({ testTimeout: 240_000 });
const build = useBuild();

/** A configuration whose Temporal isn't there. */
async function configuration() {
  const [mcp, temporal, ui, metrics] = await freePorts(4);
  const env = `ENABLE_LOCAL_EXECUTION=true\nHOST_NAME=here\nMCP_PORT=${mcp}\nTEMPORAL_PORT=${temporal}\nTEMPORAL_UI_PORT=${ui}\nWORKER_METRICS_PORT=${metrics}\n`;
  return { folder: configurationFolder({ '.env': env }), url: `http://127.0.0.1:${mcp}` };
}

/** The same with an API host whose secrets' files aren't there, but for the one of the reading token. */
async function onlyReading(simulator: ProxmoxSimulator) {
  const { folder, url } = await configuration();
  const { user, name, secret } = simulator.tokens.full;
  appendFileSync(
    join(folder, '.env'),
    'SMTP_HOST=smtp.example.org\nSMTP_USER=me\nSMTP_PASSWORD_FILE=secrets/none\nMAIL_TO=a@example.org\nGRAFANA_PASSWORD_FILE=secrets/none\n',
  );
  const hosts = {
    PROXMOX_HOST: simulator.host,
    PROXMOX_PORT: simulator.port,
    PROXMOX_USER: user,
    PROXMOX_TOKEN_NAME: 'changes',
    PROXMOX_TOKEN_VALUE_FILE: 'keys/none',
    PROXMOX_READ_TOKEN_NAME: name,
    PROXMOX_READ_TOKEN_VALUE_FILE: 'reading',
    PROXMOX_FINGERPRINT: simulator.certificateFingerprint,
  };
  writeFileSync(join(folder, 'hosts.yaml'), JSON.stringify({ hosts: { pve1: hosts } }), { mode: 0o600 });
  writeFileSync(join(folder, 'reading'), `${secret}\n`, { mode: 0o600 });
  return { folder, url };
}

describe('proxmox-mcp serve', () => {
  it('needs only the reading API token of all secrets, and reads with it', async () => {
    const simulator = await createProxmoxSimulator();
    onTestFinished(() => simulator.close());
    const { folder, url } = await onlyReading(simulator);
    const args = ['--config-dir', folder];
    const server = spawn(process.execPath, [build.path('src/cli.js'), ...args, 'serve'], {
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    onTestFinished(() => void server.kill('SIGKILL'));
    let log = '';
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const alive = () =>
      fetch(`${url}/livez`).then(
        ({ status }) => status,
        () => log,
      );
    await expect.poll(alive, { timeout: 90_000 }).toBe(200);
    const guests = await runNode(build.path('src/cli.js'), [...args, 'call', 'list_guests', '{}']);
    expect(guests).toMatchObject({ code: 0, stdout: expect.stringContaining('pve1') });
    expect(simulator.requests.length).toBeGreaterThan(0);
    // Whoever changes something needs them.
    const check = await runNode(build.path('src/cli.js'), [...args, 'config', 'check']);
    expect(check.code).not.toBe(0);
    for (const key of ['SMTP_PASSWORD_FILE', 'GRAFANA_PASSWORD_FILE', 'pve1.PROXMOX_TOKEN_VALUE_FILE']) {
      expect(check.stderr).toContain(key);
    }
  });

  it('serves MCP without Temporal, says that it is missing, and stops cleanly', async () => {
    const { folder, url } = await configuration();
    const args = [build.path('src/cli.js'), '--config-dir', folder];
    const server = spawn(process.execPath, [...args, 'serve'], { stdio: ['ignore', 'inherit', 'pipe'] });
    onTestFinished(() => void server.kill('SIGKILL'));
    let log = '';
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    await expect
      .poll(
        () =>
          fetch(`${url}/livez`).then(
            ({ status }) => status,
            () => log,
          ),
        { timeout: 90_000 },
      )
      .toBe(200);
    const readiness = async () => {
      const answer = await fetch(`${url}/readyz`);
      return `${answer.status} ${await answer.text()}`;
    };
    // On a busy machine the server may need longer than it gives itself to be examined; it says so, and is asked again.
    await expect.poll(readiness, { timeout: 60_000 }).toMatch(/^503 .*Temporal server at 127\.0\.0\.1/);

    const cli = (...more: string[]) => runNode(args[0] ?? '', [...args.slice(1), ...more]);
    const tools = await cli('tools');
    expect(tools).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('back_up') });
    const hosts = await cli('call', 'list_hosts', '{}', '--json');
    expect(JSON.parse(hosts.stdout)).toMatchObject({ structuredContent: { hosts: [{ name: 'here' }] } });
    expect(await cli('call', 'get_host', '{"host":"nowhere"}')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('here'),
    });
    expect((await cli('call', 'no_such_tool')).code).toBe(1);
    expect(JSON.parse((await cli('token', 'list', '--json')).stdout)).toEqual([]);

    const made = (await cli('token', 'create', 'reader', '--scope', 'read')).stdout.trim();
    const foreign = { env: { PROXMOX_MCP_TOKEN: made } };
    const reader = await runNode(args[0] ?? '', ['tools', '--url', `${url}/api/mcp`], foreign);
    expect(reader.stdout).not.toContain('back_up');
    await cli('token', 'revoke', 'reader');
    const revoked = await runNode(args[0] ?? '', ['tools', '--url', `${url}/api/mcp`], foreign);
    expect(revoked).toMatchObject({ code: 1, stderr: expect.stringContaining('refused the token') });
    expect(revoked.stderr).not.toContain(made);

    const examined = async () => {
      const doctor = await cli('doctor', '--json', '--timeout', '10');
      const { findings } = JSON.parse(doctor.stdout) as { findings: Finding[] };
      return findings.find(({ check }) => check === 'MCP server');
    };
    await expect.poll(examined, { timeout: 60_000 }).toMatchObject({
      verdict: 'failed',
      summary: "it runs, but isn't ready",
      evidence: expect.stringContaining('Temporal server'),
    });

    server.kill('SIGTERM');
    expect(await new Promise((resolve) => server.once('exit', (code, signal) => resolve(code ?? signal)))).toBe(0);
    expect(log).not.toContain('Error');
  });

  it('leaves no token behind when a call is interrupted', async () => {
    // Takes every request and never answers.
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => {
      silent.closeAllConnections();
      silent.close();
    });
    const { port } = silent.address() as AddressInfo;
    const folder = configurationFolder({ '.env': `ENABLE_LOCAL_EXECUTION=true\nMCP_PORT=${port}\n` });
    const args = [build.path('src/cli.js'), '--config-dir', folder];
    const asked = once(silent, 'request');
    const call = spawn(process.execPath, [...args, 'call', 'list_hosts'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const gone = once(call, 'exit');
    let said = '';
    call.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await asked;
    const tokens = () => runNode(args[0] ?? '', [...args.slice(1), 'token', 'list', '--json']);
    expect(JSON.parse((await tokens()).stdout)).toMatchObject([{ scope: 'admin' }]);
    call.kill('SIGINT');
    expect(await gone, said).toEqual([130, null]);
    expect(JSON.parse((await tokens()).stdout)).toEqual([]);
  });

  it('serves MCP on standard input and output', async () => {
    const { folder } = await configuration();
    const client = new Client({ name: 'test', version: '1' });
    const args = [build.path('src/cli.js'), '--config-dir', folder, 'stdio', '--scope', 'read'];
    await client.connect(new StdioClientTransport({ command: process.execPath, args }) as never);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('check_health');
    expect(tools.map(({ name }) => name)).not.toContain('back_up');
    await client.close();
  });
});
