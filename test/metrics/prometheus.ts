import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { freePort } from '../support/free-ports.ts';

export const folder = join(import.meta.dirname, '../../deploy/monitoring/prometheus');

const sample = z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) });
export type Sample = z.infer<typeof sample>;

export interface Prometheus {
  /** An instant query; throws what it says is wrong with it. */
  query(expr: string): Promise<readonly Sample[]>;
  stop(): Promise<void>;
}

/** What is missing on this machine, or undefined; said once. Under CI nothing may be. */
export function whyNoPrometheus(): string | undefined {
  const missing = ['prometheus', 'promtool', 'prometheus-node-exporter'].filter(
    (program) => spawnSync(program, ['--version']).status !== 0,
  );
  if (process.env.CI || missing.length === 0) return undefined;
  console.error(
    `\nNOT TESTED: ${missing.join(' and ')} missing (Debian: apt install prometheus prometheus-node-exporter).\n`,
  );
  return missing.join();
}

interface Target {
  readonly address: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * A real Prometheus with the shipped configuration and rules, of which only where each job's targets are, and how often they
 * are asked, is another. A job without targets here, or targets without a job there, is an error.
 */
export async function startPrometheus(targets: Readonly<Record<string, readonly Target[]>>): Promise<Prometheus> {
  const place = mkdtempSync(join(tmpdir(), 'proxmox-mcp-prometheus-'));
  const config = parse(readFileSync(join(folder, 'prometheus.yml'), 'utf8'));
  const port = await freePort();
  const all: Readonly<Record<string, readonly Target[]>> = {
    ...targets,
    prometheus: [{ address: `127.0.0.1:${port}` }],
  };
  const names = config.scrape_configs.map(({ job_name }: { job_name: string }) => job_name);
  if (names.sort().join() !== Object.keys(all).sort().join()) throw new Error(`jobs: ${names.join()}`);
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' };
  const kept = (name: string) => config.scrape_configs.find((one: { job_name: string }) => one.job_name === name);
  config.scrape_configs = Object.entries(all).map(([job_name, some]) => ({
    job_name,
    ...(kept(job_name).metric_relabel_configs && { metric_relabel_configs: kept(job_name).metric_relabel_configs }),
    static_configs: some.map(({ address, labels = {} }) => ({ targets: [address], labels })),
  }));
  writeFileSync(join(place, 'prometheus.yml'), stringify(config));
  copyFileSync(join(folder, 'rules.yml'), join(place, 'rules.yml'));
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(place, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(place, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await untilReady(child, `${url}/-/ready`);
  return {
    async query(expr) {
      const answer = await fetch(`${url}/api/v1/query`, { method: 'POST', body: new URLSearchParams({ query: expr }) });
      const said: unknown = await answer.json();
      const { status, error, data } = z
        .object({
          status: z.string(),
          error: z.string().optional(),
          data: z.object({ result: z.array(sample) }).optional(),
        })
        .parse(said);
      if (status !== 'success' || data === undefined) throw new Error(`${expr}: ${error}`);
      return data.result;
    },
    async stop() {
      await end(child);
      rmSync(place, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export async function untilReady(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${child.spawnfile} did not get ready`);
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(100);
  }
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
