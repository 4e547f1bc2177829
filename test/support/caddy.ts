import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cacheFolder } from '../../src/service/paths.ts';
import { exhaustive } from './exhaustive.ts';

/** The pinned module of the lab's image, so that there is one version. Debian's Caddy is too old. */
const recipe = join(import.meta.dirname, '../../lab/images/caddy');
const lab = join(cacheFolder(), 'lab');
const built = join(
  lab,
  `caddy-${createHash('sha256')
    .update(readFileSync(join(recipe, 'go.sum')))
    .digest('hex')
    .slice(0, 12)}`,
);

let isSaid = false;

/**
 * Why tests with Caddy are left out here, or undefined; said once. Never in CI, which has built it already; elsewhere the
 * build takes minutes, so that only the exhaustive form does it.
 */
export function whyNoCaddy(): string | undefined {
  if (existsSync(built) || process.env.CI) return undefined;
  const go = spawnSync('go', ['version']).status === 0;
  if (go && exhaustive) return undefined;
  const why = go
    ? 'there is no Caddy yet, and only npm run test:exhaustive builds one'
    : 'Go is missing, which builds Caddy';
  if (!isSaid) console.error(`\nNOT TESTED: what stands behind Caddy, as ${why}.\n`);
  isSaid = true;
  return why;
}

async function caddy(): Promise<string> {
  if (existsSync(built)) return built;
  mkdirSync(lab, { recursive: true });
  const env = {
    ...process.env,
    CGO_ENABLED: '0',
    GOCACHE: process.env.GOCACHE ?? join(lab, 'go/build'),
    GOMODCACHE: process.env.GOMODCACHE ?? join(lab, 'go/modules'),
    GOFLAGS: '-mod=readonly -modcacherw -buildvcs=false',
  };
  const mine = `${built}.${process.pid}`;
  const argv = ['build', '-trimpath', '-ldflags=-s -w', '-o', mine, 'github.com/caddyserver/caddy/v2/cmd/caddy'];
  await promisify(execFile)('go', argv, { cwd: recipe, env, maxBuffer: 64 * 1024 * 1024 });
  renameSync(mine, built);
  return built;
}

export interface RunningProgram {
  /** Its own; gone when it is closed. */
  readonly folder?: string;
  close(): Promise<void>;
}

/** Runs Caddy with a Caddyfile, whose options are added: nothing of it is left behind, and no port but its sites' is taken. */
export async function startCaddy(sites: string, port: number): Promise<RunningProgram> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-caddy-'));
  const file = join(folder, 'Caddyfile');
  writeFileSync(
    file,
    `{\n\tadmin off\n\tpersist_config off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tmetrics\n\tstorage file_system ${folder}/storage\n}\n\n${sites}\n`,
  );
  const argv = ['run', '--config', file, '--adapter', 'caddyfile'];
  const program = spawn(await caddy(), argv, {
    env: { ...process.env, HOME: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const caddyRuns = await running(program, port, () => rmSync(folder, { recursive: true, force: true }));
  return { ...caddyRuns, folder };
}

/** Waits until a program listens; what it said is the error where it doesn't. */
export async function running(program: ChildProcess, port: number, cleanUp: () => void): Promise<RunningProgram> {
  let said = '';
  program.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const close = async () => {
    if (program.exitCode === null && program.signalCode === null) {
      const ended = once(program, 'exit');
      program.kill();
      await ended;
    }
    cleanUp();
  };
  for (let tries = 0; tries < 200; tries += 1) {
    if (program.exitCode !== null) break;
    const isThere = await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' }).then(
      () => true,
      (error: unknown) => !String((error as Error).cause).includes('ECONNREFUSED'),
    );
    if (isThere) return { close };
    await sleep(50);
  }
  await close();
  throw new Error(`It doesn't listen on ${port}: ${said}`);
}

/** What Caddy makes of the shipped Caddyfile with the words that `start.sh` gives it for these settings: its own JSON. */
export async function adaptShipped(settings: Readonly<Record<string, string>>): Promise<string> {
  const shipped = join(import.meta.dirname, '../../deploy/caddy');
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-caddy-'));
  try {
    const standIn = `#!/bin/sh\nexec '${await caddy()}' adapt --config '${shipped}/Caddyfile' --adapter caddyfile\n`;
    writeFileSync(join(folder, 'caddy'), standIn, { mode: 0o755 });
    const env = { PATH: `${folder}:/usr/bin:/bin`, HOME: folder, CADDY_GATEWAY: '172.20.0.1', ...settings };
    const { stdout } = await promisify(execFile)('sh', [join(shipped, 'start.sh')], { env });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
