import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { docker } from '../lab/engine.ts';
import { ensureImages } from '../lab/images.ts';
import { holding } from './lib/clean-up.ts';
import { type BenchResult, quantile } from './lib/ratio.ts';

const starts = 5;
const aimStart = 4;
const aimSize = 3;

/** Answers as ours does, and nothing else: what Docker and Node.js take by themselves. */
const nothing = 'require("node:http").createServer((q, a) => a.end("{}")).listen(8080, "0.0.0.0")';

/** Of the image: how large it is, and how long `docker run` takes until it answers, each over its base with `node` alone. */
export async function benchImage(): Promise<BenchResult[]> {
  const { app, node } = await ensureImages('app', 'node');
  const [ours, base] = [await size(app), await size(node)];
  const own = ['--env', 'PROXMOX_MCP_DEPLOYMENT=compose', '--env', 'MCP_HOST=0.0.0.0', '--env', 'DATA_DIR=/tmp/data'];
  const local = [
    '--env',
    'ENABLE_LOCAL_EXECUTION=true',
    '--env',
    'ENABLE_SSH=false',
    '--env',
    'ENABLE_PROXMOX_API=false',
  ];
  const seconds: { readonly ours: number; readonly theirs: number }[] = [];
  for (let start = 0; start <= starts; start += 1) {
    const pair = {
      ours: await startOnce([...own, ...local, app]),
      theirs: await startOnce([node, 'node', '--eval', nothing]),
    };
    // The first finds no file in the machine's cache.
    if (start > 0) seconds.push(pair);
  }
  const ratios = seconds.map((pair) => pair.ours / pair.theirs);
  const median = (of: 'ours' | 'theirs') =>
    quantile(
      seconds.map((pair) => pair[of]),
      0.5,
    ).toFixed(2);
  return [
    {
      name: 'Size of the image / its base',
      ratio: ours / base,
      aim: { atMost: aimSize },
      spread: undefined,
      counts: '1 image',
      notes: [`${megabytes(ours)} over a base of ${megabytes(base)}, unpacked`],
    },
    {
      name: 'docker run to an answer / the same of node alone',
      ratio: quantile(ratios, 0.5),
      aim: { atMost: aimStart },
      spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
      counts: `${starts} starts each, in turn`,
      notes: [`median ${median('ours')} s over ${median('theirs')} s`],
    },
  ];
}

async function size(image: string): Promise<number> {
  return Number(await docker(['image', 'inspect', '--format', '{{.Size}}', image]));
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

async function startOnce(args: readonly string[]): Promise<number> {
  const name = `proxmox-mcp-bench-${randomBytes(4).toString('hex')}`;
  return await holding(
    () => docker(['rm', '--force', name]),
    async () => {
      const begun = performance.now();
      await docker(['run', '--detach', '--read-only', '--tmpfs', '/tmp', '--name', name, ...args]);
      const address = await docker(['inspect', '--format', '{{.NetworkSettings.IPAddress}}', name]);
      while (!(await answers(address))) {
        if (performance.now() - begun > 60_000) throw new Error(await docker(['logs', name]));
        await sleep(10);
      }
      return (performance.now() - begun) / 1_000;
    },
  );
}

function answers(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host, port: 8080, path: '/livez', headers: { host: 'localhost' }, timeout: 2_000 });
    asked.on('response', (response) => resolve(response.resume().statusCode === 200));
    asked.on('error', () => resolve(false));
    asked.on('timeout', () => asked.destroy());
    asked.end();
  });
}
