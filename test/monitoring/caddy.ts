import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../src/service/paths.ts';
import { freePorts } from '../support/free-ports.ts';
import { end, untilReady } from './prometheus.ts';

const root = join(import.meta.dirname, '../..');

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
  const child = spawn(binary(), ['run', '--config', file, '--adapter', 'caddyfile'], {
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
function binary(): string {
  if (process.env.TMP_CADDY) return process.env.TMP_CADDY;
  const image = execFileSync('bash', [join(root, 'lab/images/ensure.sh'), 'caddy'], { encoding: 'utf8' }).trim();
  const path = join(cacheFolder(), 'lab', image.replace(':', '-'));
  if (existsSync(path)) return path;
  mkdirSync(join(cacheFolder(), 'lab'), { recursive: true });
  const container = execFileSync('docker', ['create', image], { encoding: 'utf8' }).trim();
  try {
    execFileSync('docker', ['cp', `${container}:/usr/bin/caddy`, `${path}.new`]);
  } finally {
    execFileSync('docker', ['rm', container]);
  }
  // Without the file's capability, which not every machine can give.
  chmodSync(`${path}.new`, 0o755);
  renameSync(`${path}.new`, path);
  return path;
}
