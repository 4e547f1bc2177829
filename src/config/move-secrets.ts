import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ServiceError } from '../errors.ts';
import { replacePrivateFile } from '../private-file.ts';
import { parseDotenv } from './dotenv.ts';
import { renameInDotenv, renameInHostsFile } from './edit.ts';
import { parseHostsFile } from './hosts-file.ts';
import type { Reader } from './key.ts';
import { keys } from './keys.ts';
import { type ConfigFinding, configProblem, configurationError } from './problems.ts';
import type { Setting } from './setting.ts';

/** A secret that was moved: what names its file now, and the file, both as they stand in the configuration. */
export interface MovedSecret {
  /** `SMTP_PASSWORD_FILE`, `pve1.PROXMOX_TOKEN_VALUE_FILE`. */
  readonly key: string;
  /** Relative to the configuration's folder. */
  readonly file: string;
}

/** A secret that stands in the configuration itself. */
interface Open {
  readonly setting: Setting;
  /** The entry of hosts.yaml; undefined: `.env`. */
  readonly host?: string;
  readonly file: string;
}

/** The users of the image's processes: who reads a secret's file. */
const uids: Readonly<Record<Reader, number>> = { 'mcp-server': 10_001, worker: 10_002, ledger: 10_003 };
const gid = 10_000;
/** Of Grafana's image. */
const grafanaUid = 472;

/**
 * Moves each secret that stands in `.env` or `hosts.yaml` itself into a file of its own beside them, mode 0600, and names that
 * there instead; comments and everything else stay. Run again, there is nothing left to move. Throws before anything is
 * changed where it can't be done without losing something.
 *
 * @param isCompose whether each file is given to the user of the process that needs it (as root)
 */
export function moveSecrets(folder: string, { isCompose }: { readonly isCompose: boolean }): readonly MovedSecret[] {
  const env = readIfThere(join(folder, '.env'));
  const hosts = readIfThere(join(folder, 'hosts.yaml'));
  const dotenv = parseDotenv(env?.text ?? '', '.env');
  const file = hosts === undefined ? { entries: [], problems: [] } : parseHostsFile(hosts.text, 'hosts.yaml');
  // What can't be read as it was meant can't be edited either.
  const problems = [...dotenv.problems, ...file.problems];
  if (problems.length > 0) throw configurationError(problems);

  const open: Open[] = [
    ...secretsOf(dotenv.settings).map((setting) => ({ setting, file: fileFor(setting.key, nameIn(dotenv.settings)) })),
    ...file.entries.flatMap(({ name, settings }) =>
      secretsOf(settings).map((setting) => ({ setting, host: name, file: fileFor(setting.key, name) })),
    ),
  ];
  const refused = [
    ...open.flatMap((one) => refusal(folder, one)),
    ...both(dotenv.settings, ''),
    ...file.entries.flatMap(({ name, settings }) => both(settings, `${name}.`)),
  ];
  if (refused.length > 0) throw configurationError(refused, { what: 'What is to be moved', check: again });

  // The files first: whatever ends this, each secret stands at least once.
  for (const { setting, file: name } of open) {
    const path = join(folder, name);
    const isGiven = isCompose && process.getuid?.() === 0;
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    replacePrivateFile(path, `${setting.text}\n`, env?.path ?? hosts?.path);
    if (isGiven && name.startsWith(shared)) {
      chownSync(dirname(path), 0, gid);
      chmodSync(dirname(path), 0o750);
    }
    if (isGiven) giveTo(path, setting.key, dotenv.settings);
  }
  const [inEnv, inHosts] = [
    open.filter(({ host }) => host === undefined),
    open.filter(({ host }) => host !== undefined),
  ];
  if (env !== undefined && inEnv.length > 0) {
    const text = inEnv.reduce(
      (edited, one) => renameInDotenv(edited, one.setting.key, keyOf(one), `./${one.file}`),
      env.text,
    );
    replacePrivateFile(env.path, text);
  }
  if (hosts !== undefined && inHosts.length > 0) {
    const text = inHosts.reduce(
      (edited, one) => renameInHostsFile(edited, one.host ?? '', one.setting.key, [keyOf(one), `./${one.file}`]),
      hosts.text,
    );
    replacePrivateFile(hosts.path, text);
  }
  return open.map((one) => ({ key: `${one.host === undefined ? '' : `${one.host}.`}${keyOf(one)}`, file: one.file }));
}

/** Of the secrets those that each of our processes needs: the only ones that the containers without the others have. */
const shared = 'secrets/shared/';

const again = 'npx proxmox-mcp config move-secrets';

function secretsOf(settings: readonly Setting[]): readonly Setting[] {
  return settings.filter(({ key, text }) => keys[key]?.secret && text.trim() !== '');
}

function keyOf({ setting }: Open): string {
  return `${setting.key}_FILE`;
}

/** The host that `.env` describes. */
function nameIn(settings: readonly Setting[]): string {
  const text = (key: string) => settings.find((one) => one.key === key)?.text.trim();
  return text('HOST_NAME') || text('SSH_TARGET') || 'proxmox';
}

/** Where `host install` puts API tokens, too; what isn't a host's own is below `secrets/`, by who needs it. */
function fileFor(key: string, host: string): string {
  if (key === 'PROXMOX_TOKEN_VALUE') return `keys/${host}-api-token`;
  if (key === 'PROXMOX_READ_TOKEN_VALUE') return `keys/mcp/${host}-api-token`;
  return `${keys[key]?.neededBy === undefined ? shared : 'secrets/'}${key.toLowerCase().replaceAll('_', '-')}`;
}

function refusal(folder: string, { setting, host, file }: Open): ConfigFinding[] {
  const place = { key: `${host === undefined ? '' : `${host}.`}${setting.key}`, source: setting.source };
  const path = join(folder, file);
  if (
    !keys[setting.key]?.type.schema.safeParse(keys[setting.key]?.type.exact ? setting.text : setting.text.trim())
      .success
  ) {
    const expected = keys[setting.key]?.type.expected ?? 'its value';
    return [configProblem({ ...place, expected, remedy: 'Correct the value.' })];
  }
  const there = existsSync(path) ? readFileSync(path, 'utf8').replace(/\r?\n$/, '') : undefined;
  if (there === undefined || there === setting.text) return [];
  const remedy = `See which one is right, and remove the other: ${resolve(path)}, or the line.`;
  return [configProblem({ ...place, expected: `nothing else in ${file}, where it would be moved`, remedy })];
}

/** The file and the secret itself: nobody knows which one counts. */
function both(settings: readonly Setting[], label: string): ConfigFinding[] {
  return secretsOf(settings).flatMap(({ key, source }) => {
    const other = settings.find((one) => one.key === `${key}_FILE` && one.text.trim() !== '');
    if (other === undefined) return [];
    const expected = `either ${key} or ${key}_FILE (${other.source}), not both`;
    return [configProblem({ key: `${label}${key}`, source, expected, remedy: 'Remove one of them.' })];
  });
}

/** One process: its user alone. Several: root's own, and their group may read it, as with `.env`. */
function giveTo(path: string, key: string, settings: readonly Setting[]): void {
  const hasReading = settings.some((one) => one.key.startsWith('PROXMOX_READ_TOKEN_VALUE'));
  const declared = keys[key]?.neededBy;
  const readers = key === 'PROXMOX_TOKEN_VALUE' && !hasReading ? undefined : declared;
  const [only, ...others] = readers ?? ['worker', 'mcp-server'];
  // Of our processes none needs it.
  if (key === 'GRAFANA_PASSWORD') chownSync(path, grafanaUid, grafanaUid);
  if (only === undefined) return;
  if (others.length > 0) {
    chownSync(path, 0, gid);
    chmodSync(path, 0o640);
  } else chownSync(path, uids[only], gid);
}

/** A symbolic link stays one: what it leads to is replaced. */
function readIfThere(path: string): { readonly text: string; readonly path: string } | undefined {
  if (!existsSync(path)) return undefined;
  const real = realpathSync(path);
  try {
    return { text: readFileSync(real, 'utf8'), path: real };
  } catch (error) {
    throw new ServiceError({
      code: 'configuration',
      message: `${real} can't be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`,
      remedy: 'Run it as who owns the file.',
    });
  }
}
