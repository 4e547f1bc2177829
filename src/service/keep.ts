import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { openLogFile, readFrom } from './log-file.ts';
import { runningService } from './record.ts';
import { serviceLog } from './start.ts';

/** The command line of this program itself, for those who start it again. */
export function ownProgram(...args: readonly string[]): readonly [program: string, ...args: string[]] {
  return [process.execPath, '--enable-source-maps', join(packageRoot(), 'dist', 'src', 'cli.js'), ...args];
}

/**
 * `proxmox-mcp start --keep`: starts the service as a process of its own that outlives this terminal, shows what it says
 * until it is ready, and returns. Ctrl-C until then stops it. Throws `conflict` when it runs already, `unavailable` when
 * it doesn't get ready.
 */
export async function startKept(config: Config, print: (text: string) => void): Promise<void> {
  refuseSecond(config);
  const path = serviceLog(config);
  const log = openLogFile(path);
  let shown = statSync(path).size;
  const [program, ...args] = ownProgram('start', '--by', 'keep');
  const child = spawn(program, args, { detached: true, cwd: packageRoot(), stdio: ['ignore', log, log] });
  closeSync(log);
  const interrupt = () => void child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  const ended = once(child, 'exit').then(() => true);
  const show = () => {
    const text = readFrom(path, shown);
    // A line that isn't whole yet is shown with its rest.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    shown += Buffer.byteLength(whole);
    if (whole !== '') print(whole.trimEnd());
  };
  try {
    while (!(await Promise.race([ended, sleep(200, false)]))) {
      show();
      if (isReady(config, child.pid)) break;
    }
    show();
    if (!isReady(config, child.pid)) throw notReady(path, child.exitCode);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, interrupt);
    child.unref();
  }
  print(`It runs on without this terminal (process ${child.pid}). Its log: ${path}`);
}

/** Throws `conflict` when a start runs on this data folder already. */
export function refuseSecond(config: Config): void {
  const running = runningService(config);
  if (running === undefined) return;
  throw new ServiceError({
    code: 'conflict',
    message: `Process ${running.pid} already runs the service on ${config.dataDir}`,
    remedy: 'Stop it first: npx proxmox-mcp stop',
    details: { pid: running.pid },
  });
}

function isReady(config: Config, pid: number | undefined): boolean {
  const record = runningService(config);
  return record?.pid === pid && record?.phase === 'running';
}

function notReady(log: string, exitCode: number | null): ServiceError {
  if (exitCode === 0) {
    return new ServiceError({ code: 'cancelled', message: 'Starting was cancelled', remedy: 'Start again' });
  }
  return new ServiceError({
    code: 'unavailable',
    message: 'The service ended before it was ready',
    remedy: `See what it said above, or in ${log}; correct that and start again`,
  });
}
