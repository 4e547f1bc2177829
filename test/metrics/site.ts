import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { localMachine, makePlace } from '../faults/places.ts';
import { startCaddy } from '../support/caddy.ts';
import { freePort, freePorts } from '../support/free-ports.ts';
import { startService, type TestService, type WorkerName } from '../support/service.ts';
import { end, type Prometheus, startPrometheus, untilReady } from './prometheus.ts';

export interface Site {
  readonly service: TestService;
  readonly prometheus: Prometheus;
  /** A run that waits for a person. */
  readonly paused: string;
  /** What a worker serves. */
  page(name: WorkerName): Promise<string>;
  stop(): Promise<void>;
}

/** As `docker-compose.yml` starts it, but with this machine's own paths, and with overlays, which may be all that it has. */
function exporterOptions(): readonly string[] {
  const { services } = parse(readFileSync(join(import.meta.dirname, '../../docker-compose.yml'), 'utf8'), {
    merge: true,
  });
  const command: readonly string[] = services['node-exporter'].command;
  return command
    .filter((option) => !/^--(path|collector\.filesystem\.fs-types-exclude)/.test(option))
    .map((option) => option.replaceAll('$$', '$'));
}

/** The service at work, with one host that answers and one that doesn't, and everything that Prometheus is to scrape. */
export async function startSite(): Promise<Site> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const machine = localMachine();
    stops.push(() => machine.stop());
    const place = await makePlace({ name: 'first', machine });
    await machine.sh(`: >${place.layout.sudoLog}; date '+%FT%T%:z test nothing' >${place.layout.authLog}`);
    const service = await startService({
      hosts: { first: place.entry, gone: await nowhere(machine.root) },
    });
    stops.push(() => service.stop());
    await Promise.all([service.startWorker(), service.startMcp()]);
    await loseTemporal(service);

    const exporterPort = await freePort();
    const exporter = spawn(
      'prometheus-node-exporter',
      [...exporterOptions(), `--web.listen-address=127.0.0.1:${exporterPort}`],
      { stdio: 'ignore' },
    );
    stops.push(() => end(exporter));
    await untilReady(exporter, `http://127.0.0.1:${exporterPort}/metrics`);
    const [front = 0, figures = 0] = await freePorts(2);
    const caddy = await startCaddy(
      `http://127.0.0.1:${front} {\n\treverse_proxy ${new URL(service.mcpUrl).host}\n}\n` +
        // A route of their own, as in `deploy/caddy/Caddyfile`.
        `http://127.0.0.1:${figures} {\n\tmetrics /metrics\n}`,
      figures,
    );
    stops.push(() => caddy.close());
    const prometheus = await startPrometheus({
      'proxmox-mcp': [{ address: new URL(service.mcpUrl).host, labels: { role: 'mcp-server' } }],
      caddy: [{ address: `127.0.0.1:${figures}` }],
      'node-exporter': [{ address: `127.0.0.1:${exporterPort}` }],
      // Here one process is a worker and has the ledger.
      worker: [{ address: `127.0.0.1:${service.config.worker.metricsPort}`, labels: { role: 'worker' } }],
      temporal: [{ address: temporalMetrics(service) }],
    });
    stops.push(() => prometheus.stop());
    const paused = await work(service, `http://127.0.0.1:${front}`);
    const page = async (name: WorkerName) =>
      (await fetch(`http://127.0.0.1:${service.metricsPort(name)}/metrics`)).text();
    return { service, prometheus, paused, page, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The dev server says where it serves them. */
function temporalMetrics({ config }: TestService): string {
  const log = readFileSync(join(config.dataDir, 'logs', 'temporal.log'), 'utf8');
  const port = [...log.matchAll(/Metrics: +http:\/\/[^:]+:(\d+)\//g)].at(-1)?.[1];
  if (port === undefined) throw new Error(`no metrics of Temporal: ${log}`);
  return `127.0.0.1:${port}`;
}

/** A host whose SSH answers to nobody. */
async function nowhere(folder: string): Promise<Readonly<Record<string, string>>> {
  const key = join(folder, 'key');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  writeFileSync(join(folder, 'known_hosts'), '');
  return {
    SSH_HOST: '127.0.0.1',
    SSH_PORT: String(await freePort()),
    SSH_USER: 'claude-user',
    SSH_KEY_PATH: key,
    SSH_KNOWN_HOSTS: join(folder, 'known_hosts'),
  };
}

/** Killed, so that asking for work fails until it is started again; then stopped, until the MCP server says that it is away. */
async function loseTemporal({ temporal, mcpUrl }: TestService): Promise<void> {
  const killed = temporal.pid();
  signal(killed, 'SIGKILL');
  await until('Temporal is started again', async () => temporal.pid() !== undefined && temporal.pid() !== killed);
  const ready = (status: number) => async () => (await fetch(`${mcpUrl}/readyz`)).status === status;
  await until('the MCP server is ready again', ready(200));
  const stopped = temporal.pid();
  signal(stopped, 'SIGSTOP');
  try {
    await until('the MCP server misses Temporal', ready(503));
  } finally {
    signal(stopped, 'SIGCONT');
  }
  await until('the MCP server is ready again', ready(200));
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) throw new Error('Temporal does not run');
  process.kill(pid, name);
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await sleep(100);
  }
}

const by = { kind: 'cli', name: 'test' } as const;

/** What a day brings, with what goes wrong in it. */
async function work(service: TestService, through: string): Promise<string> {
  const { runs, client } = service;
  const people = createPeople(peopleFile(service.config.accessDir), {
    cost: { memoryCost: 64, timeCost: 1, parallelism: 1 },
  });
  await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  writeFileSync(join(service.folder, 'policy.yaml'), 'protected: { guests: 700 }\n', { mode: 0o600 });
  const { id: paused } = await runs.start('change-policy', {}, by);
  // No version of this service has it: a workflow task that fails.
  await client.workflow.start('noSuchWorkflow', { taskQueue: 'proxmox-mcp', workflowId: 'no-such-workflow' });
  const ended = await Promise.all(
    [
      ['back-up', { host: 'first', anyTarget: true }],
      ['check-health', { host: 'first' }],
      ['back-up', { host: 'gone' }],
    ].map(async ([operation, input]) => {
      const { id } = await runs.start(operation as string, input as object, by);
      return (await runs.wait(id, { timeoutMs: 90_000 })).state;
    }),
  );
  expect(ended).toEqual(['done', 'done', 'failed']);
  expect((await runs.get(paused)).state).toBe('paused');
  await ask(service, through);
  return paused;
}

/** A client that is let in, one that isn't, and somebody who guesses a password. */
async function ask(service: TestService, through: string): Promise<void> {
  const { stdout } = await service.cli('token', 'create', 'test', '--scope', 'read');
  const token = /pmcp_\S+/.exec(stdout)?.[0] ?? '';
  const call = (name: string, args: object, bearer: string) =>
    fetch(`${through}/api/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${bearer}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
    }).then((answer) => answer.status);
  expect(await call('list_runs', {}, token)).toBe(200);
  expect(await call('get_run', { id: 'nothing' }, token)).toBe(200);
  expect(await call('check_health', { host: 'first' }, token)).toBe(200);
  expect(await call('list_runs', {}, 'wrong')).toBe(401);
  const signIn = new URLSearchParams({ name: 'nobody', password: 'guess', code: '' });
  await fetch(`${through}/sign-in`, { method: 'POST', body: signIn, redirect: 'manual', headers: { origin: through } });
}
