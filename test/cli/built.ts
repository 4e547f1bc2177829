import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Compiles the sources as they are now, once per test file, so that tests run real processes of them. */
export function useBuild(): { readonly path: (file: string) => string } {
  let folder = '';
  beforeAll(async () => {
    mkdirSync(join(root, '.cache'), { recursive: true });
    folder = mkdtempSync(join(root, '.cache/build-'));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const options = [
      '-p',
      join(root, 'tsconfig.build.json'),
      '--outDir',
      folder,
      '--incremental',
      'false',
      '--tsBuildInfoFile',
      'null',
    ];
    await promisify(execFile)(process.execPath, [tsc, ...options], { cwd: root });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return { path: (file) => join(folder, file) };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Node on a compiled file to its end, without any of our variables in the environment. */
export function runNode(
  file: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string } = {},
): Promise<Ended> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [file, ...args], { env: { PATH, HOME, ...options.env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(options.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
