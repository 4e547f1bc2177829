import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';

const root = join(import.meta.dirname, '../..');

/**
 * The sources as they are now, compiled: what `npm test` has built, or where that is older than a source (a single
 * test file was run) a build of its own. For tests that run real processes.
 */
export function useBuild(): { readonly path: (file: string) => string } {
  const dist = join(root, 'dist');
  let folder = dist;
  beforeAll(async () => {
    if (isCurrent(dist)) return;
    mkdirSync(join(root, '.cache'), { recursive: true });
    folder = mkdtempSync(join(root, '.cache/build-'));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const output = ['--outDir', folder, '--incremental', 'false', '--tsBuildInfoFile', 'null'];
    await promisify(execFile)(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), ...output], {
      cwd: root,
    });
    for (const name of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
      const from = join(root, 'src', name);
      if (statSync(from).isFile() && !name.endsWith('.ts')) cpSync(from, join(folder, 'src', name));
    }
  });
  afterAll(() => {
    if (folder !== dist) rmSync(folder, { recursive: true, force: true });
  });
  return { path: (file) => join(folder, file) };
}

/** The whole build with the workflow bundle, in `dist`, for tests that run the service itself. */
export function useDist(): { readonly path: (file: string) => string } {
  const dist = join(root, 'dist');
  beforeAll(async () => {
    if (!isCurrent(dist))
      await promisify(execFile)(process.execPath, [join(root, 'scripts/run.mjs'), 'build'], { cwd: root });
  }, 300_000);
  return { path: (file) => join(dist, file) };
}

function isCurrent(dist: string): boolean {
  const built = statSync(join(dist, '.built'), { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return false;
  const sources = ['src', 'lab'].flatMap((name) =>
    readdirSync(join(root, name), { recursive: true, encoding: 'utf8' }).map((file) => join(root, name, file)),
  );
  return sources.every((file) => statSync(file).mtimeMs <= built);
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a program needs of ours, and the mark by which a test run knows what it left (scripts/test/left-behind.mjs). */
export function bareEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '', TEST_RUN } = process.env;
  return { PATH, HOME, ...(TEST_RUN && { TEST_RUN }) };
}

/** Runs Node on a compiled file to its end, without any of our variables in the environment. */
export function runNode(
  file: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [file, ...args], { env: { ...bareEnvironment(), ...options.env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(options.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
