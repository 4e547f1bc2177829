import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ServiceError } from '../../errors.ts';

const run = promisify(execFile);
const withinMs = 30 * 60_000;

/**
 * Copies a database that another process writes, as it was at one moment and with what stands only in its log: SQLite does that
 * itself (`VACUUM INTO`), in a program of its own, because it needs the operating system's locks, which the SQLite in this
 * process doesn't have. Throws `unavailable` where there is no such program, `unreadable` where the copy isn't sound.
 */
export async function copyDatabase(from: string, into: string): Promise<void> {
  await execute(from, `VACUUM INTO '${into.replaceAll("'", "''")}'`);
  await checkDatabase(into);
}

/** Throws `unreadable` with what SQLite finds wrong. */
export async function checkDatabase(path: string): Promise<void> {
  const said = await execute(path, 'PRAGMA integrity_check(3)');
  if (said.trim() === 'ok') return;
  throw new ServiceError({
    code: 'unreadable',
    message: `${path} is no sound database: ${said.trim().slice(0, 300) || 'it says nothing'}`,
    remedy: 'Look whether its disk is full or broken.',
  });
}

async function execute(path: string, sql: string): Promise<string> {
  const [program, args] = await programFor(path, sql);
  try {
    return (await run(program, [...args], { timeout: withinMs, maxBuffer: 1_000_000 })).stdout;
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    throw new ServiceError({
      code: 'unreadable',
      message: `SQLite can't do it with ${path}: ${(stderr || message).trim().slice(0, 300)}`,
      remedy: 'Look whether its disk is full or broken.',
      cause,
    });
  }
}

type Call = readonly [program: string, args: readonly string[]];

/** The program of SQLite itself, or this Node.js where it has one that uses the operating system's locks. */
async function programFor(path: string, sql: string): Promise<Call> {
  // A name that begins with a dash would be an option.
  const shell: Call = ['sqlite3', ['-batch', '-cmd', '.timeout 60000', path, sql]];
  if (await isThere('sqlite3', '--version')) return shell;
  if (Number(process.versions.node.split('.')[0]) >= 24) {
    return [process.execPath, ['--no-warnings', join(import.meta.dirname, 'database-program.js'), path, sql]];
  }
  throw new ServiceError({
    code: 'unavailable',
    message: "There is no sqlite3 on this machine, without which Temporal's database can't be copied while it runs",
    remedy: 'Install it (apt install sqlite3), or run the service with Node.js 24.',
  });
}

async function isThere(program: string, ...args: readonly string[]): Promise<boolean> {
  return run(program, [...args]).then(
    () => true,
    () => false,
  );
}
