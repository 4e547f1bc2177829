import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker } from '../../lab/engine.ts';
import { ensureImages } from '../../lab/images.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { freePorts } from '../support/free-ports.ts';
import { end, untilReady } from './prometheus.ts';

/** Caddy in front of the MCP server. Its metrics come from a route of their own, as in `deploy/caddy/Caddyfile`. */
export async function startCaddy(
  to: string,
): Promise<{ readonly url: string; readonly metrics: string; stop(): Promise<void> }> {
  const place = mkdtempSync(join(tmpdir(), 'proxmox-mcp-caddy-'));
  const [port, metrics] = await freePorts(2);
  const file = join(place, 'Caddyfile');
  const options = '{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tmetrics\n}\n';
  const front = `http://127.0.0.1:${port} {\n\treverse_proxy ${new URL(to).host}\n}\n`;
  writeFileSync(file, `${options}${front}http://127.0.0.1:${metrics} {\n\tmetrics /metrics\n}\n`);
  const child = spawn(await binary(), ['run', '--config', file, '--adapter', 'caddyfile'], {
    env: { HOME: place, XDG_DATA_HOME: place, XDG_CONFIG_HOME: place },
    stdio: 'ignore',
  });
  await untilReady(child, `http://127.0.0.1:${metrics}/metrics`);
  return {
    url: `http://127.0.0.1:${port}`,
    metrics: `127.0.0.1:${metrics}`,
    async stop() {
      await end(child);
      rmSync(place, { recursive: true, force: true });
    },
  };
}

/** The program of the lab's image, copied out of it once. */
async function binary(): Promise<string> {
  const { caddy: image } = await ensureImages('caddy');
  const path = join(cacheFolder(), 'lab', image.replace(':', '-'));
  if (existsSync(path)) return path;
  mkdirSync(join(cacheFolder(), 'lab'), { recursive: true });
  const container = (await docker(['create', image])).trim();
  const copy = `${path}.${process.pid}`;
  try {
    await docker(['cp', `${container}:/usr/bin/caddy`, copy]);
  } finally {
    await docker(['rm', container]);
  }
  // Without the file's capability, which not every machine can give.
  chmodSync(copy, 0o755);
  renameSync(copy, path);
  return path;
}
