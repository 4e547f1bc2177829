import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { isAlive } from '../../src/service/process-identity.ts';
import { runningPart, runningService } from '../../src/service/record.ts';
import { configurationFolder } from '../config/folder.ts';
import { runNode, useDist } from '../support/built.ts';
import { sample } from '../support/exhaustive.ts';
import { freePorts } from '../support/free-ports.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

const root = packageRoot();
const parts = ['temporal', 'worker', 'mcp-server'] as const;
const build = useDist();

/** A service with one host, which is this machine, and nothing scheduled soon enough to matter. */
async function service() {
  const dataDir = join(temporaryFolder(), 'data');
  const [temporal, ui, metrics, mcp] = await freePorts(4);
  const settings = {
    ENABLE_LOCAL_EXECUTION: 'true',
    HOST_NAME: 'here',
    DATA_DIR: dataDir,
    TEMPORAL_PORT: temporal,
    TEMPORAL_UI_PORT: ui,
    WORKER_METRICS_PORT: metrics,
    MCP_PORT: mcp,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
  const folder = configurationFolder({ '.env': lines.join('') });
  const { npm_lifecycle_event: _, ...rest } = process.env;
  const env = { ...rest, PROXMOX_MCP_CONFIG_DIR: folder };
  const cli = (...args: string[]) =>
    runNode(build.path('src/cli.js'), args, { env: { PROXMOX_MCP_CONFIG_DIR: folder } });
  const isReady = () => runningService({ dataDir })?.phase === 'running';
  afterwards(async () => {
    await cli('stop');
  });
  return { dataDir, env, folder, cli, isReady };
}

/** A command line in a session of its own, as a terminal has one. */
function inSession(line: string, env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn('/bin/sh', ['-c', line], { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout?.resume();
  child.stderr?.resume();
  afterwards(() => signal(child, 'SIGKILL'));
  return child;
}

/** To all of the session, as a terminal does it. */
function signal({ pid = 0 }: ChildProcess, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // It has ended.
  }
}

/** The process of npm above the start. */
function npmOf(pid: number): number {
  for (let one = pid; one > 1; one = parentOf(one)) {
    if (/^npm (start|exec)/.test(readFileSync(`/proc/${one}/cmdline`, 'utf8').replaceAll('\0', ' '))) return one;
  }
  throw new Error('it was not started by npm');
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

const ends: readonly (readonly [what: string, line: string, end: (at: Ended) => void])[] = [
  ['the start is killed', 'exec node dist/src/cli.js start', ({ start }: Ended) => process.kill(start, 'SIGKILL')],
  ['npm is killed', 'npm start', ({ start }: Ended) => process.kill(npmOf(start), 'SIGKILL')],
  ['npm alone is asked to stop', 'npm start', ({ start }: Ended) => process.kill(npmOf(start), 'SIGTERM')],
  ['Ctrl-C ends a reader, too', 'npm start | cat', ({ session }: Ended) => signal(session, 'SIGINT')],
  ['its terminal is closed', 'npm start', ({ session }: Ended) => signal(session, 'SIGHUP')],
];

it.each(sample(ends, 3))(
  'nothing of it lives on when %s',
  async (_, line, end) => {
    const { dataDir, env, isReady } = await service();
    const session = inSession(line, env);
    await expect.poll(isReady, { timeout: 120_000 }).toBe(true);
    const start = runningService({ dataDir });
    const running = parts.map((part) => runningPart({ dataDir }, part));
    expect(running).not.toContain(undefined);
    end({ session, start: start?.pid ?? 0 });
    const left = () => [start, ...running].filter((one) => one !== undefined && isAlive(one));
    await expect.poll(left, { timeout: 30_000 }).toEqual([]);
  },
  180_000,
);

interface Ended {
  readonly session: ChildProcess;
  /** Its number. */
  readonly start: number;
}

it('a reader that goes while it starts ends it', async () => {
  const { dataDir, env } = await service();
  // Silent, as npm test may be, too: what npm itself prints would be read first.
  const session = inSession('npm start --silent | head -1', env);
  await expect.poll(() => readdirSync(dataDir).includes('temporal.sqlite'), { timeout: 120_000 }).toBe(true);
  await expect
    .poll(() => runningService({ dataDir }) ?? parts.find((part) => runningPart({ dataDir }, part)), {
      timeout: 60_000,
    })
    .toBeUndefined();
  await expect.poll(() => session.exitCode, { timeout: 30_000 }).not.toBeNull();
}, 180_000);

it('is kept running without a terminal, says how it is, notices a changed .env, and is stopped', async () => {
  const { dataDir, env, folder, cli, isReady } = await service();
  expect(await cli('status')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(`is not running on ${dataDir}`),
  });
  const session = inSession('npm start -- --keep', env);
  let said = '';
  session.stdout?.on('data', (text) => (said += String(text)));
  await expect.poll(() => session.exitCode, { timeout: 120_000 }).toBe(0);
  signal(session, 'SIGHUP');
  expect(isReady()).toBe(true);
  // Which of both comes first is a matter of the time of day.
  expect(said).toMatch(/Hosts +here\n +Next +here: (check-health .*; back-up|back-up .*; check-health) /);
  expect(said).toContain(`It runs on without this terminal (process ${runningService({ dataDir })?.pid})`);

  appendFileSync(join(folder, '.env'), 'BACKUP_DIR=/srv/backups\n');
  const status = await cli('status');
  expect(status).toMatchObject({ code: 0 });
  expect(status.stdout).toMatch(/^Proxmox MCP is running since .*\nStarted without a terminal/);
  expect(status.stdout).toContain('has changed since the service read it (BACKUP_DIR)');
  expect(status.stdout).toMatch(/worker +ready .*\n +MCP server +ready/);
  expect(status.stdout).toContain('here: never checked; never backed up');
  expect(JSON.parse((await cli('status', '--json')).stdout)).toMatchObject({
    running: true,
    service: { by: 'keep', phase: 'running' },
    changedKeys: ['BACKUP_DIR'],
    work: { hosts: [{ host: 'here' }] },
  });
  const doctor = JSON.parse((await cli('doctor', '--json')).stdout) as { findings: { check: string }[] };
  expect(doctor.findings.find(({ check }) => check === 'Configuration in use')).toMatchObject({ verdict: 'failed' });

  expect(await cli('start')).toMatchObject({ code: 1, stderr: expect.stringContaining('npx proxmox-mcp stop') });
  const stopped = await cli('stop');
  expect(stopped).toMatchObject({ code: 0 });
  expect(stopped.stdout).toMatch(/Stopped: Temporal server, worker, MCP server \(/);
  expect(readdirSync(join(dataDir, 'run'))).toEqual([]);
  expect(await cli('stop')).toMatchObject({ code: 0, stdout: expect.stringContaining("isn't running") });
}, 240_000);
