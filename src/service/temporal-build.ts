import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { ServiceError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { readableDuration } from '../reports/units.ts';
import { temporalVersion } from './temporal-version.ts';

const command = 'github.com/temporalio/cli/cmd/temporal';
/** From 1.21 on, Go gets the toolchain that go.mod names by itself. */
const oldestGo = [1, 21] as const;

/**
 * Builds the Temporal CLI from the module pinned in temporal-server/ (go.sum checks every byte). Takes 4 to 7 minutes on
 * 2 cores and about 4 GB, which are given back: Go's caches are used only where the user has chosen or filled them.
 */
export async function buildTemporal(to: string, say: (line: string) => void, signal?: AbortSignal): Promise<void> {
  const module = join(packageRoot(), 'temporal-server');
  const go = await goSettings(module);
  const scratch = await mkdtemp(join(dirname(to), 'build-'));
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    CGO_ENABLED: '0',
    GOFLAGS: '-mod=readonly -modcacherw',
    GOTMPDIR: scratch,
    GOCACHE: process.env.GOCACHE ?? join(scratch, 'build'),
    GOMODCACHE: existsSync(go.GOMODCACHE) ? go.GOMODCACHE : join(scratch, 'modules'),
  };
  try {
    say(
      `building the Temporal CLI ${temporalVersion} with ${go.GOVERSION}; this is done once and takes 4 to 7 minutes`,
    );
    const packages = await run('go', ['list', '-deps', command], { cwd: module, env, ...(signal && { signal }) });
    const total = packages.stdout.trim().split('\n').length;
    const flags = `-s -w -X github.com/temporalio/cli/internal/temporalcli.Version=${temporalVersion}`;
    await compile(
      ['build', '-v', '-trimpath', `-ldflags=${flags}`, '-o', to, command],
      { cwd: module, env, ...(signal && { signal }) },
      total,
      say,
    );
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

const run = promisify(execFile) as (
  program: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv; signal?: AbortSignal; maxBuffer?: number },
) => Promise<{ stdout: string }>;

async function goSettings(module: string): Promise<{ GOVERSION: string; GOMODCACHE: string }> {
  let settings: { GOVERSION: string; GOMODCACHE: string };
  try {
    // Outside the module: inside, an older Go would get the newer toolchain already here.
    const { stdout } = await run('go', ['env', '-json', 'GOVERSION', 'GOMODCACHE'], { cwd: tmpdir() });
    settings = JSON.parse(stdout) as typeof settings;
  } catch (error) {
    throw unavailable('there is no Go to build it with', error);
  }
  const [major = 0, minor = 0] = settings.GOVERSION.replace(/^go/, '').split('.').map(Number);
  if (major < oldestGo[0] || (major === oldestGo[0] && minor < oldestGo[1])) {
    throw unavailable(
      `${settings.GOVERSION} is too old to build it (1.26.8 is best, ${oldestGo.join('.')} gets that itself)`,
    );
  }
  if (!existsSync(join(module, 'go.mod'))) throw unavailable(`${module} is not there`);
  return settings;
}

/** `go build -v` names each package it has finished: that, counted, is the progress. */
function compile(
  args: readonly string[],
  { cwd, env, signal }: { cwd: string; env: NodeJS.ProcessEnv; signal?: AbortSignal },
  total: number,
  say: (line: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const started = Date.now();
    // A process group of its own, so that its compilers end with it.
    const child = spawn('go', args, { cwd, env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    const last: string[] = [];
    let built = 0;
    const timer = setInterval(() => {
      const time = readableDuration(Date.now() - started);
      say(`  ${built} of ${total} packages after ${time}${built >= total - 2 ? '; linking' : ''}`);
    }, 20_000);
    const end = () => void (child.pid !== undefined && killGroup(child.pid));
    process.once('exit', end);
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted) end();
    createInterface({ input: child.stderr }).on('line', (line) => {
      built += 1;
      last.push(line);
      if (last.length > 5) last.shift();
    });
    child.once('error', (error) => reject(unavailable('go could not be started', error)));
    child.once('close', (code) => {
      clearInterval(timer);
      process.off('exit', end);
      signal?.removeEventListener('abort', end);
      if (code === 0) resolve();
      else reject(unavailable(`go build ended with ${code}: ${last.join(' | ').slice(0, 600)}`));
    });
  });
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function unavailable(message: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message,
    remedy: 'Install Go 1.26.8 (https://go.dev/dl), or set TEMPORAL_BINARY',
    cause,
  });
}
