import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { isWithin, syncFileSystemsOf } from '../backups/service/archive.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { replacePrivateFile, syncFolderOf } from '../private-file.ts';
import { unfinishedRestorePath } from '../restored-mark.ts';
import { copyPrivate, makePrivateFolder } from './move-folder.ts';

// A service that was unpacked beside the data folder changes places with what is there. That isn't one step: what is to be done
// is written down beside it first, and whoever is cut off is finished by the next call; until then nothing is started.

const journal = z.object({
  version: z.literal(1),
  /** From which archive. */
  backup: z.string(),
  /** Of the data folder. */
  mode: z.int(),
  /** Where what was there is put, and what came into its place meanwhile. */
  asides: z.array(z.string()),
  /** Where what ACCESS_DIR held is put. */
  access: z.string().optional(),
  /** Files that are missing here: from where below the unpacked archive, and to where. */
  bring: z.array(z.object({ from: z.string(), to: z.string() })),
});
export type Journal = z.output<typeof journal>;

/** What isn't of the service's state stays where it is: archives, copies of hosts' archives, logs. */
const stays = ['backups', 'copies', 'logs', 'cache'];

/** Where an archive is unpacked: on the file system of the data folder. */
export function stagingOf({ dataDir }: Pick<Config, 'dataDir'>): string {
  return `${dataDir}.restoring`;
}

/** What a restore that was cut off had begun to do. Throws `unreadable` for a file that says nothing of that. */
export function begunRestore({ dataDir }: Pick<Config, 'dataDir'>): Journal | undefined {
  const path = unfinishedRestorePath(dataDir);
  if (!existsSync(path)) return undefined;
  try {
    return journal.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${path} does not say what was begun`,
      remedy: `Look which of ${dataDir}, ${dataDir}.restoring/data and ${dataDir}.before-… is the one that you want, put it into place and remove that file.`,
      cause,
    });
  }
}

/** Writes down what is to be done, when all of what was unpacked is on the disk. */
export async function beginRestore(
  config: Pick<Config, 'dataDir' | 'accessDir'>,
  { backup, bring }: Pick<Journal, 'backup' | 'bring'>,
): Promise<Journal> {
  const { dataDir, accessDir } = config;
  const staging = stagingOf(config);
  const { mode, uid, gid } = statSync(dataDir);
  // Root unpacks it, and the service reads it as a user of its own.
  if (process.getuid?.() === 0) {
    const data = join(staging, 'data');
    for (const path of ['', ...readdirSync(data, { recursive: true, encoding: 'utf8' })])
      chownSync(join(data, path), uid, gid);
  }
  await syncFileSystemsOf([staging]);
  const isApart = !isWithin(dataDir, accessDir) && existsSync(join(staging, 'access'));
  const begun: Journal = {
    version: 1,
    backup,
    mode: mode & 0o7777,
    asides: [],
    ...(isApart && { access: `${dataDir}.before-${stamp()}-access` }),
    bring,
  };
  save(dataDir, begun);
  return begun;
}

/**
 * Does what was written down, or what of it was not done yet. Where the data folder can't be moved nothing was changed, and nothing
 * is left to be done; throws `configuration` then.
 */
export async function finishRestore(
  config: Pick<Config, 'dataDir' | 'accessDir'>,
  begun: Journal,
): Promise<{ readonly asides: readonly string[]; readonly brought: readonly string[] }> {
  const { dataDir, accessDir } = config;
  const staging = stagingOf(config);
  const data = join(staging, 'data');
  if (existsSync(data)) {
    const isInside = isWithin(dataDir, accessDir);
    if (isInside) copyFiles(join(staging, 'access'), join(data, relative(dataDir, accessDir)));
    chmodSync(data, begun.mode);
    const aside = freeName(`${dataDir}.before-${stamp()}`);
    begun = { ...begun, asides: [...begun.asides, aside] };
    save(dataDir, begun);
    swap(dataDir, data, begun);
  }
  for (const aside of begun.asides) {
    for (const name of stays) {
      const [from, to] = [join(aside, name), join(dataDir, name)];
      if (existsSync(from) && !existsSync(to)) renameSync(from, to);
    }
  }
  if (begun.access !== undefined) replaceAccess(accessDir, join(staging, 'access'), begun.access);
  for (const { from, to } of begun.bring) {
    if (existsSync(to)) continue;
    makePrivateFolder(dirname(to));
    copyPrivate(join(staging, from), to);
  }
  const folders = [dataDir, ...(begun.access === undefined ? [] : [accessDir])];
  const brought = begun.bring.map(({ to }) => to);
  await syncFileSystemsOf([...folders, ...brought]);
  forget(dataDir);
  rmSync(staging, { recursive: true, force: true });
  const asides = begun.asides.filter((aside) => existsSync(aside) && !removedEmpty(aside));
  return { asides: [...asides, ...(begun.access === undefined ? [] : [begun.access])], brought };
}

function swap(dataDir: string, data: string, { asides }: Journal): void {
  const aside = asides.at(-1) as string;
  const isFirst = asides.slice(0, -1).every((one) => !existsSync(one));
  try {
    if (existsSync(dataDir)) renameSync(dataDir, aside);
  } catch (cause) {
    if (isFirst) forget(dataDir);
    throw new ServiceError({
      code: 'configuration',
      message: `${dataDir} can't be moved aside (${(cause as NodeJS.ErrnoException).code}), so that nothing was changed`,
      remedy: 'Where it is a mount point of its own, set DATA_DIR to a folder on it, and move what is there into that.',
      cause,
    });
  }
  try {
    renameSync(data, dataDir);
  } catch (error) {
    if (existsSync(aside)) renameSync(aside, dataDir);
    if (isFirst) forget(dataDir);
    throw error;
  }
  syncFolderOf(dataDir);
}

/** What is there is copied first, whole or not at all; ACCESS_DIR itself may be a mount point. */
function replaceAccess(accessDir: string, from: string, aside: string): void {
  if (!existsSync(from)) return;
  if (existsSync(accessDir) && !existsSync(aside)) {
    const draft = `${aside}.tmp`;
    rmSync(draft, { recursive: true, force: true });
    cpSync(accessDir, draft, { recursive: true, preserveTimestamps: true });
    renameSync(draft, aside);
    syncFolderOf(aside);
  }
  copyFiles(from, accessDir);
}

function copyFiles(from: string, to: string): void {
  if (!existsSync(from)) return;
  for (const path of filesOf(from)) {
    makePrivateFolder(dirname(join(to, path)));
    copyPrivate(join(from, path), join(to, path));
  }
}

/** Files below a folder, by their path in it. */
export function filesOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );
}

function removedEmpty(aside: string): boolean {
  if (readdirSync(aside).some((name) => name !== 'run')) return false;
  rmSync(aside, { recursive: true, force: true });
  return true;
}

function freeName(path: string): string {
  for (let n = 2, name = path; ; n += 1) {
    if (!existsSync(name)) return name;
    name = `${path}-${n}`;
  }
}

function stamp(): string {
  return new Date().toISOString().replaceAll(/[-:]/g, '').slice(0, 15);
}

function save(dataDir: string, begun: Journal): void {
  replacePrivateFile(unfinishedRestorePath(dataDir), `${JSON.stringify(begun)}\n`);
}

function forget(dataDir: string): void {
  const path = unfinishedRestorePath(dataDir);
  unlinkSync(path);
  syncFolderOf(path);
}
