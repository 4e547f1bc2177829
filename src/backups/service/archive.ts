import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { ServiceError } from '../../errors.ts';
import { syncFolderOf } from '../../private-file.ts';
import { encryptInto } from '../copies/encrypt.ts';
import { checkDatabase, copyDatabase } from './database.ts';

const run = promisify(execFile);
const withinMs = 60 * 60_000;

/** Of the data folder: what other parts of the service keep elsewhere, or makes itself anew, or is only of processes that run. */
const leftOut =
  /^(run|logs|cache|copies|backups|ledger|RESTORED|temporal\.sqlite(-wal|-shm|-journal)?|.*\.(lock|tmp|restoring))$/;
const configurationFiles = ['.env', 'hosts.yaml', 'policy.yaml'];
/** Keys that name a file which a rebuild needs, too, in `.env` and in YAML. */
const namedFile = /\b[A-Z][A-Z0-9_]*(?:_FILE|_PATH|_KNOWN_HOSTS)\b["']?\s*[:=]\s*(["']?)([^"'\n,}]+)\1/g;
const mostNamed = 1_048_576;
const sums = 'SHA256SUMS';

export interface ServiceSources {
  readonly dataDir: string;
  /** Of tokens and people, where it isn't the data folder. */
  readonly accessDir: string;
  /** Of `.env` and `hosts.yaml`. */
  readonly configFolder: string;
  /** Its Temporal server is the service's own, with a file in the data folder. */
  readonly ownTemporal: boolean;
  /** Copies the ledger, whole and as at one moment. */
  readonly copyLedger: (into: string) => Promise<void>;
}

/** What of the service was put into a folder, to be packed. */
export interface Collected {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Puts everything that the service is made of into an empty folder of mode 0700: `data/`, with Temporal's database and the ledger each
 * as at one moment, `access/` where that is a folder of its own, `config/`, what the configuration names elsewhere in
 * `elsewhere/`, and last the checksums of all. Links are followed. Throws `unreadable` for one that leads nowhere.
 */
export async function collectService(sources: ServiceSources, into: string): Promise<Collected> {
  const { dataDir, accessDir, configFolder, ownTemporal, copyLedger } = sources;
  rmSync(into, { recursive: true, force: true });
  await mkdir(join(into, 'data'), { recursive: true, mode: 0o700 });
  // The ledger last: it then knows of everything that Temporal has.
  if (ownTemporal) await copyDatabase(join(dataDir, 'temporal.sqlite'), join(into, 'data', 'temporal.sqlite'));
  for (const name of readdirSync(dataDir).filter((one) => !leftOut.test(one))) {
    await copyTree(join(dataDir, name), join(into, 'data', name));
  }
  const own = [dataDir];
  if (!isWithin(dataDir, accessDir)) {
    own.push(accessDir);
    for (const name of readdirSync(accessDir).filter((one) => !leftOut.test(one))) {
      await copyTree(join(accessDir, name), join(into, 'access', name));
    }
  }
  for (const path of configuration(configFolder)) {
    // What lies in the service's own folders is there already.
    if (own.some((folder) => isWithin(folder, path))) continue;
    const inside = relative(configFolder, path);
    await copyTree(path, isWithin(configFolder, path) ? join(into, 'config', inside) : join(into, 'elsewhere', path));
  }
  await copyLedger(join(into, 'data', 'ledger'));
  const files = filesBelow(into);
  const lines: string[] = [];
  let bytes = 0;
  for (const file of files) {
    lines.push(`${await digestOf(join(into, file))}  ${file}\n`);
    bytes += lstatSync(join(into, file)).size;
  }
  writeFileSync(join(into, sums), lines.join(''), { mode: 0o600 });
  return { files: files.length, bytes };
}

/** Packs a folder of {@link collectService} under a temporary name, which is on the disk when it resolves. */
export async function packService(folder: string, draft: string): Promise<void> {
  const parts = readdirSync(folder).filter((name) => name !== sums);
  rmSync(draft, { force: true });
  writeFileSync(draft, '', { mode: 0o600 });
  await tar(['--create', '--gzip', '--file', draft, '--directory', folder, '--', ...parts, sums]);
  await run('sync', ['--', draft], { timeout: withinMs });
}

/** Gives what was read back its name; encrypted where somebody is to be the only one who reads it. Safe to be done again. */
export async function publishService(draft: string, archive: string, recipients: readonly string[]): Promise<void> {
  if (recipients.length === 0) renameSync(draft, archive);
  else {
    const encrypted = `${draft}.age.tmp`;
    rmSync(encrypted, { force: true });
    const { input, done } = await encryptInto(recipients, createWriteStream(encrypted, { mode: 0o600, flags: 'wx' }));
    await Promise.all([pipeline(createReadStream(draft), input), done]);
    await run('sync', ['--', encrypted], { timeout: withinMs });
    renameSync(encrypted, `${archive}.age`);
    rmSync(draft);
  }
  syncFolderOf(archive);
}

/** Everything that was written on the file systems of these is on the disk when it resolves. */
export async function syncFileSystemsOf(paths: readonly string[]): Promise<void> {
  await run('sync', ['--file-system', '--', ...paths], { timeout: withinMs });
}

/** Unpacks into a new folder of mode 0700. Throws `unreadable` for what holds anything but files and folders. */
export async function unpackService(archive: string, into: string): Promise<void> {
  rmSync(into, { recursive: true, force: true });
  await mkdir(into, { recursive: true, mode: 0o700 });
  await tar(['--extract', '--gzip', '--no-same-owner', '--file', archive, '--directory', into]);
  const odd = below(into).find(({ isPlain }) => !isPlain);
  if (odd !== undefined) throw unsound(archive, `${odd.path} is neither a file nor a folder`);
}

/**
 * Looks whether an unpacked archive is what was packed, and opens all that can be opened. Throws `unreadable`, and
 * `verification-failed` from `verifyLedger`.
 */
export async function checkService(
  folder: string,
  verifyLedger: (folder: string) => Promise<unknown>,
): Promise<Collected> {
  const listed = new Map<string, string>();
  for (const line of readText(join(folder, sums)).split('\n')) {
    const [, digest, path] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (digest !== undefined && path !== undefined) listed.set(path, digest);
  }
  if (listed.size === 0) throw unsound(folder, `it has no ${sums}, so that it is no whole backup of a service`);
  const files = filesBelow(folder).filter((path) => path !== sums);
  let bytes = 0;
  for (const path of files) {
    if (listed.get(path) !== (await digestOf(join(folder, path))))
      throw unsound(folder, `${path} is not what was packed`);
    bytes += lstatSync(join(folder, path)).size;
  }
  const missing = [...listed.keys()].find((path) => !files.includes(path));
  if (missing !== undefined) throw unsound(folder, `${missing} is missing`);
  const data = join(folder, 'data');
  if (existsSync(join(data, 'temporal.sqlite'))) await checkDatabase(join(data, 'temporal.sqlite'));
  for (const name of readdirSync(data).filter((one) => one.endsWith('.json'))) {
    try {
      JSON.parse(readFileSync(join(data, name), 'utf8'));
    } catch {
      throw unsound(folder, `${name} is damaged`);
    }
  }
  await verifyLedger(join(data, 'ledger'));
  return { files: files.length, bytes };
}

/** The configuration's own files that are there, and those that keys of them name. */
function configuration(folder: string): readonly string[] {
  const isSmallFile = (path: string) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() === true && stat.size <= mostNamed;
  };
  const own = configurationFiles.map((name) => join(folder, name));
  // One that is a link to nothing isn't left out without a word.
  const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  return [...new Set([...own.filter(isThere), ...namedBy(folder).filter(isSmallFile)])];
}

/** Paths that keys of a configuration's own files name, in whichever way either file is written, whether or not they are there. */
export function namedBy(folder: string): readonly string[] {
  return configurationFiles.flatMap((name) =>
    [...readText(join(folder, name)).matchAll(namedFile)].flatMap(([, , value]) =>
      value ? [resolve(folder, value.trim())] : [],
    ),
  );
}

/** Of the archive's `config/`: what a configuration is by itself, and not because something in it names it. */
export function isConfiguration(inside: string): boolean {
  return configurationFiles.includes(inside);
}

/** The folder itself is within it, too. */
export function isWithin(folder: string, path: string): boolean {
  const inside = relative(folder, path);
  return inside !== '..' && !inside.startsWith('../') && !isAbsolute(inside);
}

/**
 * Files and folders, and what links lead to: another machine has nothing there. Sockets and pipes are of processes.
 *
 * @param above - real paths of the folders that it is in
 */
async function copyTree(from: string, to: string, above: readonly string[] = []): Promise<void> {
  const stat = statSync(from, { throwIfNoEntry: false });
  // A temporary file that was renamed meanwhile is nothing that is missing.
  if (stat === undefined && lstatSync(from, { throwIfNoEntry: false })?.isSymbolicLink()) throw leadsNowhere(from);
  if (stat?.isDirectory()) {
    const real = realpathSync(from);
    if (above.includes(real)) throw leadsNowhere(from);
    await mkdir(to, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(from)) await copyTree(join(from, name), join(to, name), [...above, real]);
  } else if (stat?.isFile()) {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    try {
      await copyFile(from, to);
      await chmod(to, stat.mode & 0o777);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

function leadsNowhere(link: string): ServiceError {
  return new ServiceError({
    code: 'unreadable',
    message: `${link} is a link that leads to nothing, or to a folder that it is in, so that it can't be backed up`,
    remedy: 'Put right or remove that link, then back up again.',
  });
}

function below(
  folder: string,
  under = '',
): readonly { readonly path: string; readonly isFile: boolean; readonly isPlain: boolean }[] {
  return readdirSync(join(folder, under)).flatMap((name) => {
    const path = join(under, name);
    const stat = lstatSync(join(folder, path));
    const own = { path, isFile: stat.isFile(), isPlain: stat.isFile() || stat.isDirectory() };
    return stat.isDirectory() ? [own, ...below(folder, path)] : [own];
  });
}

function filesBelow(folder: string): readonly string[] {
  return below(folder)
    .filter(({ isFile }) => isFile)
    .map(({ path }) => path)
    .sort();
}

async function digestOf(path: string): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(path)) sum.update(chunk as Buffer);
  return sum.digest('hex');
}

async function tar(args: readonly string[]): Promise<void> {
  try {
    await run('tar', [...args], { timeout: withinMs, maxBuffer: 1_000_000 });
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    const said = (stderr || message).trim().slice(0, 300);
    throw new ServiceError({
      code: /No space left/.test(said) ? 'disk-full' : 'unreadable',
      message: `tar could not do it: ${said}`,
      remedy: 'Look whether the disk is full, and whether the file is a whole backup of a service.',
      cause,
    });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function unsound(what: string, why: string): ServiceError {
  return new ServiceError({
    code: 'unreadable',
    message: `${what} is not a sound backup of a service: ${why}`,
    remedy: 'Take another one.',
  });
}
