import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { pino } from 'pino';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../lab/proxmox/simulator.ts';
import type { SimulatedGuest } from '../lab/proxmox/state.ts';
import { loadConfig } from '../src/config/load.ts';
import { createProxmoxApis } from '../src/proxmox/connect.ts';
import { createRuns } from '../src/runs/create-runs.ts';
import { cacheFolder } from '../src/service/paths.ts';
import { findTemporal } from '../src/service/temporal-binary.ts';
import { startTemporalServer } from '../src/service/temporal-server.ts';
import { freePort } from './lib/free-port.ts';
import type { BenchResult } from './lib/ratio.ts';

const guests = 1_000;
const atOnce = 8;
/** How long each of the simulated tasks takes. */
const taskMs = 1_500;
/** By a bare client, whose pace needs no longer look. */
const sampled = 120;
const firstVmid = 1_000;

/**
 * A thousand guests get a snapshot as one run, against a client that only starts tasks and asks for their state, both
 * eight at a time. Takes about four minutes.
 */
export async function benchBulk(): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
    closing.push(simulator.close);
    addGuests(simulator);
    simulator.inject({ kind: 'task-slow', delayMs: taskMs }, { task: 'qmsnapshot' });
    const service = await startService(folder, simulator, closing);
    const theirs = await bare(service.config.hosts, 'bare');
    const rss: number[] = [];
    const watch = setInterval(() => rss.push(residentMiB(service.pid)), 2_000);
    closing.push(() => clearInterval(watch));
    const ours = await throughService(service.runs);
    const early = Math.max(...rss.slice(0, Math.ceil(rss.length / 4)));
    const late = Math.max(...rss.slice(-Math.ceil(rss.length / 4)));
    const tasks = [...simulator.state.tasks.values()].filter(({ type }) => type === 'qmsnapshot').length;
    return [
      {
        name: `${guests} guests snapshotted as one run, ${atOnce} at once / a bare client, guests per second`,
        ratio: ours / theirs,
        aim: { atLeast: 0.9 },
        spread: undefined,
        counts: `one run of ${guests} guests, and ${sampled} guests by the client; each task ${taskMs} ms`,
        notes: [
          `ours ${ours.toFixed(2)}, theirs ${theirs.toFixed(2)}, at best ${((atOnce * 1000) / taskMs).toFixed(2)} guests per second`,
          `${tasks - sampled} tasks started for ${guests} guests`,
          `memory of the worker: at most ${early} MiB in the first quarter, ${late} MiB in the last`,
        ],
      },
    ];
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

function addGuests({ state }: ProxmoxSimulator): void {
  for (let vmid = firstVmid; vmid < firstVmid + guests; vmid += 1) {
    state.guests.set(vmid, {
      vmid,
      type: 'qemu',
      name: `web-${vmid}`,
      node: 'pve1',
      status: 'stopped',
      cpus: 1,
      memory: 2 ** 30,
      disk: 2 ** 33,
      template: false,
      tags: 'bench',
    } as SimulatedGuest);
  }
}

/** Temporal, and a worker in a process of its own. */
async function startService(folder: string, simulator: ProxmoxSimulator, closing: (() => unknown)[]) {
  const [port, uiPort, metricsPort] = [await freePort(), await freePort(), await freePort()];
  const { user, name, secret } = simulator.tokens.full;
  const entry = {
    PROXMOX_HOST: simulator.host,
    PROXMOX_PORT: String(simulator.port),
    PROXMOX_USER: user,
    PROXMOX_TOKEN_NAME: name,
    PROXMOX_TOKEN_VALUE: secret,
    PROXMOX_FINGERPRINT: simulator.certificateFingerprint,
  };
  mkdirSync(join(folder, 'data'));
  const env = [
    `DATA_DIR=./data`,
    `TEMPORAL_PORT=${port}`,
    `TEMPORAL_UI_PORT=${uiPort}`,
    `WORKER_METRICS_PORT=${metricsPort}`,
  ];
  writeFileSync(join(folder, '.env'), `${env.join('\n')}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'hosts.yaml'), JSON.stringify({ hosts: { pve1: entry } }), { mode: 0o600 });
  const { config } = loadConfig({ cwd: folder, env: {} });
  const { path: binary } = await findTemporal({
    binary: process.env.TEMPORAL_BINARY,
    cacheDir: cacheFolder(),
    say: () => {},
  });
  const server = await startTemporalServer({
    binary,
    dataDir: join(folder, 'data'),
    port,
    uiPort,
    namespace: config.temporal.namespace,
    log: pino({ level: 'silent' }),
  });
  closing.push(server.stop);
  const connection = await Connection.connect({ address: server.address });
  closing.push(() => connection.close());
  const { PATH = '', HOME = '' } = process.env;
  const worker = spawn(process.execPath, [join(import.meta.dirname, '../src/worker.js')], {
    env: { PATH, HOME, PROXMOX_MCP_CONFIG_DIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  closing.push(async () => {
    const exit = once(worker, 'exit');
    worker.kill('SIGKILL');
    await exit;
  });
  let said = '';
  worker.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-20_000);
  });
  for (const until = Date.now() + 60_000; !said.includes('worker is ready'); await sleep(50)) {
    if (Date.now() > until) throw new Error(`the worker did not get ready: ${said}`);
  }
  const client = new Client({ connection });
  return { config, pid: worker.pid ?? 0, runs: createRuns({ client, config }) };
}

async function throughService(runs: ReturnType<typeof createRuns>): Promise<number> {
  const begun = performance.now();
  const input = { host: 'pve1', change: 'snapshot', with: { snapshot: 'ours' }, tag: 'bench', atOnce };
  const { id } = await runs.start('change-guests', input, { kind: 'cli', name: 'bench' });
  for (;;) {
    const run = await runs.wait(id, { timeoutMs: 60_000 });
    if (run.closedAt === undefined) continue;
    const { done } = (run.result?.output ?? {}) as { done?: readonly number[] };
    if (done?.length !== guests)
      throw new Error(`${run.state}: ${done?.length ?? 0} of ${guests}; ${run.failure?.message ?? ''}`);
    return guests / ((performance.now() - begun) / 1000);
  }
}

/** Starts a task, asks for its state as often as makes sense, and takes the next guest. */
async function bare(hosts: Parameters<typeof createProxmoxApis>[0]['hosts'], snapname: string): Promise<number> {
  const apis = createProxmoxApis({ hosts }, pino({ level: 'silent' }));
  const api = apis.get('pve1');
  const rest = Array.from({ length: sampled }, (_, index) => firstVmid + index);
  const begun = performance.now();
  const next = async () => {
    for (let vmid = rest.shift(); vmid !== undefined; vmid = rest.shift()) {
      const upid = (await api.api().nodes.$('pve1').qemu.$(vmid).snapshot.$post({ snapname })) as string;
      while ((await api.taskStatus(upid)).status === 'running') await sleep(100);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  const seconds = (performance.now() - begun) / 1000;
  await apis.close();
  return sampled / seconds;
}

function residentMiB(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}
