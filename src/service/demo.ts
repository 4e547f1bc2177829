import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeDemoHost } from '../config/demo-host.ts';
import type { Config, ProxmoxApiConfig } from '../config.ts';
import { replacePrivateFile } from '../private-file.ts';
import { renderText } from '../reports/text.ts';
import { createRuns } from '../runs/create-runs.ts';
import { failureText } from '../runs/failure-text.ts';
import type { RunDetails, Runs } from '../runs/runs.ts';
import { connectTemporal } from '../runs/temporal-client.ts';
import { Secret } from '../secret.ts';
import { createTokenStore, tokensFile } from '../tokens/store.ts';
import { demoHostName, makeDemoHost } from './demo-host.ts';

export interface Demo {
  /** The configuration with the demo's host. */
  readonly config: Config;
  readonly close: () => Promise<void>;
}

/** With nothing configured: the simulated Proxmox API and a host inside the data folder, kept from start to start. */
export async function prepareDemo(config: Config): Promise<Demo> {
  const folder = join(config.dataDir, 'demo');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const secretFile = join(folder, 'api-token');
  // Only the demo needs the simulator, and it takes its time to load.
  const { createProxmoxSimulator } = await import('../../lab/proxmox/simulator.ts');
  const kept = readText(secretFile);
  const id = 'mcp@pve!full';
  const simulator = await createProxmoxSimulator({
    certificateFolder: join(folder, 'proxmox-api'),
    ...(kept !== undefined && { tokenSecrets: { [id]: kept } }),
  });
  const { full } = simulator.tokens;
  if (kept !== full.secret) replacePrivateFile(secretFile, full.secret);
  const proxy = await startProxy();
  const api: ProxmoxApiConfig = {
    host: simulator.host,
    port: simulator.port,
    user: full.user,
    tokenName: full.name,
    tokenValue: new Secret(full.secret),
    trust: { kind: 'fingerprint', sha256: simulator.certificateFingerprint },
  };
  const host = makeDemoHost(config, api, proxy.url);
  writeDemoHost(config.dataDir, host);
  const close = async () => {
    await proxy.close();
    await simulator.close();
  };
  return { config: { ...config, hosts: [host] }, close };
}

/** Stands in for the installation's reverse proxy, as the simulator does for the Proxmox API. */
async function startProxy(): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { Server: 'Caddy', 'Content-Type': 'text/plain' }).end('demo\n');
  });
  await once(server.listen({ host: '127.0.0.1', port: 0 }), 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

/** Runs a backup and a health check as anybody would, and prints their reports. A failed one is said, not thrown. */
export async function runDemo(config: Config, print: (line: string) => void, signal: AbortSignal): Promise<void> {
  const client = await connectTemporal(config);
  try {
    const runs = createRuns({ client, config });
    // A host without any backup isn't well.
    // Its folder may be in memory: it is only a demo.
    for (const [operation, input] of [
      ['back-up', { anyTarget: true }],
      ['check-health', {}],
    ] as const) {
      if (signal.aborted) return;
      print(await runAndDescribe(runs, operation, input, signal));
    }
  } finally {
    await client.connection.close();
  }
}

/** A token for the demo, the same from start to start, so that a client that was added once stays welcome. */
export async function ensureDemoToken(config: Config): Promise<string> {
  const file = tokenFile(config);
  const store = createTokenStore(tokensFile(config.accessDir));
  const kept = readText(file);
  if (kept !== undefined && store.verify(kept)) return kept;
  if (store.list().some(({ name }) => name === demoHostName)) await store.revoke(demoHostName);
  const { token } = await store.create({ name: demoHostName, scope: 'operate' });
  replacePrivateFile(file, token);
  return token;
}

/** Real hosts are not to be reached with the demo's token, which lies in a file as it is. Answers whether there was one. */
export async function revokeDemoToken(config: Config): Promise<boolean> {
  const file = tokenFile(config);
  const kept = readText(file);
  if (kept === undefined) return false;
  const store = createTokenStore(tokensFile(config.accessDir));
  const known = store.verify(kept);
  if (known !== undefined) await store.revoke(known.name);
  rmSync(file, { force: true });
  return known !== undefined;
}

function tokenFile({ dataDir }: Config): string {
  return join(dataDir, 'demo', 'mcp-token');
}

async function runAndDescribe(runs: Runs, operation: string, input: object, signal: AbortSignal): Promise<string> {
  const started = await runs.start(operation, { host: demoHostName, ...input }, { kind: 'demo', name: 'npm start' });
  let run: RunDetails;
  do {
    run = await runs.wait(started.id, { timeoutMs: 60_000, signal });
  } while (run.closedAt === undefined && !signal.aborted && (await sleep(200, true)));
  const failure = run.failure && failureText(run.failure);
  const said = run.result ? renderText(run.result.report) : `${operation}: ${run.state}. ${failure ?? ''}`;
  return `\n${said.trimEnd()}\n  ${run.url}`;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
