import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { exhaustive } from './exhaustive.ts';

/** Debian's Caddy is too old; this one is built from its Go module, once. */
const version = '2.11.9';
const built = join(homedir(), `.cache/proxmox-mcp/caddy-${version}`, 'caddy');

/** The Caddy that there is: `CADDY`, one that was built, or a recent one on the path. */
export function findCaddy(): string | undefined {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'caddy'));
  return (
    [process.env.CADDY, built].find((one) => one !== undefined && existsSync(one)) ??
    onPath.find((one) => existsSync(one) && isRecent(one))
  );
}

function isRecent(program: string): boolean {
  const [, minor] = /^v2\.(\d+)\./.exec(execFileSync(program, ['version'], { encoding: 'utf8' })) ?? [];
  return Number(minor) >= 8;
}

/** Why tests with Caddy are left out here, or undefined: building it takes minutes, so that only the exhaustive form does. */
export function whyNoCaddy(): string | undefined {
  return findCaddy() !== undefined || exhaustive ? undefined : `skipped, no Caddy at ${built}`;
}

async function caddy(): Promise<string> {
  const found = findCaddy();
  if (found !== undefined) return found;
  mkdirSync(join(built, '..'), { recursive: true });
  const env = { ...process.env, GOBIN: join(built, '..'), CGO_ENABLED: '0' };
  const argv = ['install', '-trimpath', '-ldflags=-s -w', `github.com/caddyserver/caddy/v2/cmd/caddy@v${version}`];
  await promisify(execFile)('go', argv, { env, maxBuffer: 64 * 1024 * 1024 });
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
    `{\n\tadmin off\n\tpersist_config off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tstorage file_system ${folder}/storage\n}\n\n${sites}\n`,
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
