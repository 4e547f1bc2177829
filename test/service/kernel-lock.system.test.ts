import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { acquireKernelLock } from '../../src/service/kernel-lock.ts';
import { temporaryFolder } from './temporary.ts';

// As containers are for each other: every process has numbers of its own, and calls itself 1.
const own = ['--user', '--map-root-user', '--pid', '--fork', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync('unshare', [...own, 'true']).status === 0;
const module = pathToFileURL(join(packageRoot(), 'dist/src/service/kernel-lock.js')).href;

/** A process that takes the lock, says what came of it, and lives on. */
async function taker(
  path: string,
  { more = '', isolated = true } = {},
): Promise<{ readonly child: ChildProcess; readonly said: unknown }> {
  const script = `
    import { acquireKernelLock } from ${JSON.stringify(module)};
    const lock = acquireKernelLock(${JSON.stringify(path)});
    ${more}
    console.log(JSON.stringify({ pid: process.pid, held: lock.held, holder: lock.holder }));
    setInterval(() => {}, 1000);`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const [program = '', ...args] = isolated ? ['unshare', ...own, ...node] : node;
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, said: JSON.parse(String(line)) };
}

/** Together with what is in it; the kernel takes a moment after `unshare` itself has ended. */
async function kill({ child }: { readonly child: ChildProcess }): Promise<void> {
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
}

it('is held once in a process, and can be taken after its release', () => {
  const path = join(temporaryFolder(), 'run', 'lock');
  const first = acquireKernelLock(path);
  if (!first.held) throw new Error('not held');
  expect(acquireKernelLock(path)).toMatchObject({ held: false, holder: { pid: process.pid } });
  first.release();
  const second = acquireKernelLock(path);
  expect(second.held).toBe(true);
  if (second.held) second.release();
  expect(readdirSync(join(path, '..'))).toEqual([]);
});

it('counts for the file that is there: one that was removed meanwhile keeps nobody out', () => {
  const path = join(temporaryFolder(), 'lock');
  expect(acquireKernelLock(path).held).toBe(true);
  rmSync(path);
  expect(acquireKernelLock(path).held).toBe(true);
  expect(acquireKernelLock(path).held).toBe(false);
});

it.skipIf(!canUnshare)('holds between containers, and is free at once when its holder is killed', async () => {
  const path = join(temporaryFolder(), 'lock');
  const first = await taker(path);
  const second = await taker(path);
  try {
    expect(first.said).toMatchObject({ pid: 1, held: true });
    // The number of the holder is its own number, too.
    expect(second.said).toMatchObject({ pid: 1, held: false, holder: { pid: 1 } });
    await kill(first);
    const third = await taker(path);
    expect(third.said).toMatchObject({ pid: 1, held: true });
    expect(acquireKernelLock(path)).toMatchObject({ held: false, holder: { pid: 1 } });
    await kill(third);
    expect(acquireKernelLock(path).held).toBe(true);
  } finally {
    await kill(second).catch(() => undefined);
  }
});

it('ends with its holder, though a child of that one lives on', async () => {
  const path = join(temporaryFolder(), 'lock');
  const more = `const { spawn } = await import('node:child_process');
     spawn('sleep', ['20'], { detached: true, stdio: 'ignore' }).unref();`;
  const first = await taker(path, { more, isolated: false });
  expect(first.said).toMatchObject({ held: true });
  expect(acquireKernelLock(path).held).toBe(false);
  await kill(first);
  expect(acquireKernelLock(path).held).toBe(true);
});

it.skipIf(!canUnshare)(
  'as for the lock of a small file: a process number of another container is nobody here',
  async () => {
    const path = join(temporaryFolder(), 'file');
    const holds = (ms: number) => `
    import { withFileLock } from ${JSON.stringify(pathToFileURL(join(packageRoot(), 'dist/src/file-lock.js')).href)};
    await withFileLock(${JSON.stringify(path)}, () => {
      console.log('from ' + Date.now());
      for (const end = Date.now() + ${ms}; Date.now() < end; );
      console.log('to ' + Date.now());
    });`;
    const said = async (child: ChildProcess, what: string) => {
      for await (const line of createInterface({ input: child.stdout as Readable })) {
        if (line.startsWith(what)) return Number(line.split(' ')[1]);
      }
      throw new Error(`it did not say ${what}`);
    };
    // Its number is one that the other container doesn't have.
    const late = 'for i in $(seq 80); do /bin/true; done; "$@"; exit $?';
    const node = (ms: number) => [process.execPath, '--input-type=module', '-e', holds(ms)];
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    const first = spawn('unshare', [...own, 'sh', '-c', late, 'sh', ...node(2_000)], { stdio: [...stdio] });
    const until = said(first, 'to');
    await expect.poll(() => existsSync(`${path}.lock`), { timeout: 20_000, interval: 10 }).toBe(true);
    const second = spawn('unshare', [...own, ...node(0)], { stdio: [...stdio] });
    expect(await said(second, 'from')).toBeGreaterThanOrEqual(await until);
  },
);

it('is refused with the reason where nothing can be locked', () => {
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  try {
    expect(() => acquireKernelLock(join(temporaryFolder(), 'lock'))).toThrow(/can't be locked.*ENOENT/);
  } finally {
    process.env.PATH = path;
  }
  expect(execFileSync('flock', ['--version'], { encoding: 'utf8' })).toContain('flock');
});
