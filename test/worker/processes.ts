import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../src/package.ts';
import { bareEnvironment } from '../support/built.ts';
import { freePort } from '../support/free-ports.ts';

type Entries = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface WorkerOptions {
  /** Lines of `.env`; it gets a port for its metrics. */
  readonly env: Readonly<Record<string, string>>;
  readonly hosts: Entries;
  /** Beside `.env`, mode 0600. */
  readonly files?: Readonly<Record<string, string>>;
  /** What it is started by: `unshare …`. */
  readonly wrapper?: readonly string[];
}

/** `proxmox-mcp worker` on a machine of its own: it has a folder, and nothing of the others'. */
export interface WorkerProcess {
  readonly folder: string;
  readonly child: ChildProcess;
  /** As Temporal knows it. */
  readonly identity: string;
  readonly log: () => string;
  /** Waits until its log says so. */
  says(what: RegExp, withinMs?: number): Promise<void>;
  /** Resolves with its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

const running = new Set<WorkerProcess>();

/** Ends those that a test has left, and removes their folders. */
export async function endWorkers(): Promise<void> {
  for (const one of [...running]) {
    await one.end('SIGKILL');
    rmSync(one.folder, { recursive: true, force: true, maxRetries: 5 });
    running.delete(one);
  }
}

export async function spawnWorker({ env, hosts, files = {}, wrapper = [] }: WorkerOptions): Promise<WorkerProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-worker-'));
  const metrics = String(await freePort());
  const lines = Object.entries({ DATA_DIR: './data', WORKER_METRICS_PORT: metrics, ...env });
  const all = {
    '.env': lines.map(([key, value]) => `${key}=${value}\n`).join(''),
    'hosts.yaml': JSON.stringify({ hosts }),
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
  const file = join(folder, 'worker.log');
  const output = openSync(file, 'a');
  const command = [...wrapper, process.execPath, join(packageRoot(), 'dist/src/cli.js'), 'worker'];
  const child = spawn(command[0] as string, command.slice(1), {
    env: { ...bareEnvironment(), PROXMOX_MCP_CONFIG_DIR: folder },
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const log = () => readFileSync(file, 'utf8');
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const worker: WorkerProcess = {
    folder,
    child,
    identity: `${child.pid}@${hostname()}`,
    log,
    async says(what, withinMs = 60_000) {
      const deadline = Date.now() + withinMs;
      while (!what.test(log())) {
        if (hasEnded() || Date.now() > deadline) throw new Error(`the worker did not say ${what}: ${log()}`);
        await sleep(50);
      }
    },
    async end(signal = 'SIGTERM') {
      if (!hasEnded()) {
        const exit = once(child, 'exit');
        child.kill(signal);
        await exit;
      }
      return child.exitCode;
    },
  };
  running.add(worker);
  return worker;
}

/** And waits until it is ready. */
export async function startWorker(options: WorkerOptions): Promise<WorkerProcess> {
  const worker = await spawnWorker(options);
  await worker.says(/worker is ready/);
  return worker;
}
