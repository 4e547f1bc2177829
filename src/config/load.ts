import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Config, HostConfig } from '../config.ts';
import { packageRoot } from '../package.ts';
import { readDemoHosts } from './demo-host.ts';
import { parseDotenv } from './dotenv.ts';
import { finalize } from './finalize.ts';
import { finalizeHost, type HostContext } from './finalize-host.ts';
import { hostKeys } from './host-keys.ts';
import { parseHostsFile } from './hosts-file.ts';
import { defaultsOf, interpret } from './interpret.ts';
import type { Reader } from './key.ts';
import { type HostValues, keys, keysAtStart, type ServiceValues } from './keys.ts';
import { emptyValues, mergeLayers, misplacedKeys, parseAssignments, pickEnvironment, unknownKeys } from './merge.ts';
import {
  type ConfigFinding,
  configProblem,
  configurationError,
  configWarning,
  inLineOrder,
  type Source,
} from './problems.ts';
import { readSecretFiles } from './secret-files.ts';
import { serviceKeys } from './service-keys.ts';
import type { HostEntry, Setting } from './setting.ts';
import { nearestKey } from './suggest.ts';

export interface LoadOptions {
  /** Folder of `.env` and `hosts.yaml`; relative paths are resolved against it. Default: `configFolder(env)`. */
  readonly cwd?: string;
  /** Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `KEY=value` of the command line (`--set`); wins over everything. */
  readonly argv?: readonly string[];
  /** Whether the process is root. Default: asks. */
  readonly isRoot?: boolean;
  /** The process that reads it, which has only the secrets that it needs. Default: one that may need all of them. */
  readonly reader?: Reader;
  /** What a process that runs already has read: keys that count at its start are taken from there, whatever is written now. */
  readonly running?: Pick<LoadedConfig, 'settings'>;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly ConfigFinding[];
  /** Absolute path of the folder that holds `.env` and `hosts.yaml`. */
  readonly folder: string;
  /** Everything written, by key, for `config show`; of hosts.yaml by `host.KEY`. */
  readonly settings: ReadonlyMap<string, Setting>;
}

/**
 * The configuration of `.env`, `hosts.yaml` and the environment, validated as a whole. The environment wins over
 * `.env`. With nothing configured, `config.demo` is true and `config.hosts` holds the demo's host once it was made.
 *
 * Throws one `ServiceError` (`configuration`) that lists every problem.
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const { problems, ...loaded } = inspectConfig(options);
  if (problems.length > 0) throw configurationError(problems);
  return loaded;
}

/** The folder whose `.env` and `hosts.yaml` count: `PROXMOX_MCP_CONFIG_DIR`, else the project's own. */
export function configFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const given = env.PROXMOX_MCP_CONFIG_DIR;
  return given === undefined || given === '' ? packageRoot() : resolve(given);
}

/** As {@link loadConfig}, but hands out the problems together with the best configuration there is, for `doctor`. */
export function inspectConfig(
  options: LoadOptions = {},
): LoadedConfig & { readonly problems: readonly ConfigFinding[] } {
  const env = options.env ?? process.env;
  const deployment = env.PROXMOX_MCP_DEPLOYMENT === 'compose' ? ('compose' as const) : undefined;
  const folder = resolve(options.cwd ?? configFolder(env));
  // A mistyped folder holds nothing, and nothing configured would be the demo.
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw configurationError([noFolder(folder)]);
  const problems: ConfigFinding[] = [];
  const warnings: ConfigFinding[] = [];
  const collect = <Part extends { readonly problems: readonly ConfigFinding[] }>(part: Part): Part => {
    problems.push(...part.problems);
    return part;
  };

  const envText = collect(readText(join(folder, '.env')));
  const hostsText = collect(readText(join(folder, 'hosts.yaml')));
  const dotenv = collect(parseDotenv(envText.text ?? '', '.env'));
  const file = hostsText.text === undefined ? undefined : collect(parseHostsFile(hostsText.text, 'hosts.yaml'));
  const assignments = collect(parseAssignments(options.argv ?? []));
  const environment = pickEnvironment(env);
  warnings.push(...environment.warnings);
  const ours = [...dotenv.settings, ...assignments.settings];
  problems.push(...unknownKeys(ours), ...emptyValues(ours), ...misplacedKeys(file?.entries ?? []));
  if (deployment === 'compose') warnings.push(...openSecrets(dotenv.settings, file?.entries ?? []));
  for (const [name, { open }] of [['.env', envText] as const, ['hosts.yaml', hostsText] as const]) {
    const written = name === '.env' ? dotenv.settings : (file?.entries ?? []).flatMap(({ settings }) => settings);
    if (open && written.some(({ key, text }) => keys[key]?.secret && text !== '')) {
      warnings.push(
        configWarning({
          key: name,
          source: 'the file system',
          summary: 'it holds secrets, and others on this machine may read it.',
          remedy: `Run: chmod 600 ${join(folder, name)}`,
        }),
      );
    }
  }

  const merged = mergeLayers(dotenv.settings, environment.settings, assignments.settings);
  // A worker that has the ledger and does nothing else needs no secret of those that act.
  const hasLedgerOnly = options.reader === 'worker' && merged.get('WORKER_LEDGER')?.text.toLowerCase() === 'only';
  const reader = hasLedgerOnly ? 'ledger' : options.reader;
  const { settings: written, refused: files } = collect(readSecretFiles(merged, folder, { reader }));
  const settings = options.running === undefined ? written : asAtStart(written, options.running.settings);
  // What couldn't be read is not missing.
  const refused = [...files, ...dotenv.problems.map(({ key }) => key)];
  const sourceOf = (key: string) => settings.get(key)?.source ?? 'the default';
  const service = collect(interpret<ServiceValues>(settings, serviceKeys, defaultsOf<ServiceValues>(serviceKeys)));
  const values = collect(interpret<HostValues>(settings, hostKeys, defaultsOf<HostValues>(hostKeys)));
  const main = { ...values, written: new Set([...values.written, ...refused]) };
  const all = new Map(settings);
  const emptyAt = emptiesOf(ours);

  const common = {
    folder,
    dataDir: resolve(folder, service.values.DATA_DIR),
    features: { ssh: service.values.ENABLE_SSH, proxmoxApi: service.values.ENABLE_PROXMOX_API },
    isRoot: options.isRoot ?? process.getuid?.() === 0,
    reader,
  };
  const { WORKER_HOSTS: served } = service.values;
  const servedElsewhere = (name: string) => served?.includes(name) === false;
  const hosts = new Map<HostConfig, Source>();
  const add = (context: Omit<HostContext, keyof typeof common>) => {
    const host = collect(finalizeHost({ ...common, ...context }));
    warnings.push(...host.warnings);
    if (host.value !== undefined) hosts.set(host.value, context.source);
  };
  for (const own of ownHosts(main, settings, file !== undefined)) {
    const place = waysToReach.find((key) => settings.has(key));
    add({
      ...own,
      isElsewhere: servedElsewhere(own.name),
      label: '',
      source: place === undefined ? '.env' : sourceOf(place),
      sourceOf,
      emptyAt,
    });
  }
  for (const entry of file?.entries ?? []) {
    const label = `${entry.name}.`;
    const isElsewhere = servedElsewhere(entry.name);
    problems.push(...emptyValues(entry.settings, label));
    const read = collect(
      readSecretFiles(mergeLayers(entry.settings), folder, { label, reader, mayBeAway: isElsewhere }),
    );
    const part = collect(interpret<HostValues>(read.settings, hostKeys, inherited(main.values), label));
    for (const setting of read.settings.values()) all.set(`${label}${setting.key}`, setting);
    const source = (key: string) => read.settings.get(key)?.source ?? sourceOf(key);
    const own = new Set([...part.written, ...read.refused, ...entry.refused]);
    const written = new Set([...own, ...sharedWritten(main.written)]);
    const place = { source: entry.source, sourceOf: source, emptyAt: emptiesOf(entry.settings) };
    add({ name: entry.name, label, values: part.values, written, own, isElsewhere, ...place });
  }

  const nothing =
    envText.text === undefined && hostsText.text === undefined && !ownKeys.some((key) => settings.has(key));
  const demo = service.written.has('DEMO') ? service.values.DEMO : nothing;
  problems.push(...hostCount(hosts.size, demo ? sourceOf('DEMO') : undefined, nothing, problems.some(mayHideHost)));
  const whole = collect(
    finalize({
      ...service,
      written: new Set([...service.written, ...refused]),
      sourceOf,
      emptyAt,
      fileOf: (key) => settings.get(key)?.file,
      folder,
      hosts: demo ? readDemoHosts(common.dataDir, main.values.TIME_ZONE) : [...hosts.keys()],
      placeOf: (host) => hosts.get(host) ?? 'the demo',
      demo,
      deployment,
    }),
  );
  return {
    config: whole.config,
    warnings: inLineOrder([...warnings, ...whole.warnings]),
    folder,
    settings: all,
    problems: inLineOrder(problems),
  };
}

/** What is written, except for keys that a running process can't change. */
function asAtStart(
  written: ReadonlyMap<string, Setting>,
  running: ReadonlyMap<string, Setting>,
): ReadonlyMap<string, Setting> {
  const settings = new Map(written);
  for (const key of keysAtStart) {
    const had = running.get(key);
    if (had === undefined) settings.delete(key);
    else settings.set(key, had);
  }
  return settings;
}

const waysToReach = ['SSH_HOST', 'PROXMOX_HOST', 'PBS_HOST', 'ENABLE_LOCAL_EXECUTION', 'PROXMOX_TOKEN_VALUE'];

type Main = { readonly values: HostValues; readonly written: ReadonlySet<string> };

/**
 * The hosts that `.env` describes: the one at SSH_HOST or PROXMOX_HOST, and this machine. Beside a hosts.yaml what may be
 * shared is there for its entries, else for the one host.
 */
function ownHosts(
  { values, written }: Main,
  settings: ReadonlyMap<string, Setting>,
  besideHostsFile: boolean,
): (Main & { readonly name: string; readonly own: ReadonlySet<string> })[] {
  const local = values.ENABLE_LOCAL_EXECUTION;
  const remote = ['SSH_HOST', ...(local ? [] : ['PROXMOX_HOST', 'PROXMOX_TOKEN_VALUE', 'PBS_HOST'])].some((key) =>
    settings.has(key),
  );
  const name = values.HOST_NAME;
  const shared = besideHostsFile ? sharedWritten(written) : [];
  const own = new Set([...written].filter((key) => !shared.includes(key)));
  return [
    ...(remote
      ? [{ name: name ?? values.SSH_TARGET, values: { ...values, ENABLE_LOCAL_EXECUTION: false }, written, own }]
      : []),
    // Beside a remote host this machine has no API: PROXMOX_HOST then belongs to the other one.
    ...(local && remote
      ? [
          {
            name: 'local',
            values: inherited(values, { ENABLE_LOCAL_EXECUTION: true }),
            written,
            own: new Set(['ENABLE_LOCAL_EXECUTION']),
          },
        ]
      : []),
    ...(local && !remote ? [{ name: name ?? 'local', values, written, own }] : []),
  ];
}

const ownKeys = Object.entries(hostKeys).flatMap(([name, key]) =>
  key.host === 'own' && name !== 'HOST_NAME' ? (key.secret ? [name, `${name}_FILE`] : [name]) : [],
);

/** With Compose every container of ours reads these files. */
function openSecrets(dotenv: readonly Setting[], entries: readonly HostEntry[]): ConfigFinding[] {
  const labelled = [
    ...dotenv.map((setting) => ({ ...setting, label: '' })),
    ...entries.flatMap(({ name, settings }) => settings.map((setting) => ({ ...setting, label: `${name}.` }))),
  ];
  return labelled
    .filter(({ key, text }) => keys[key]?.secret && text.trim() !== '')
    .map(({ key, source, label }) =>
      configWarning({
        key: `${label}${key}`,
        source,
        summary: 'the secret itself stands here, where containers read it that need not have it.',
        remedy: 'Run: npx proxmox-mcp config move-secrets',
      }),
    );
}

/** What an entry of hosts.yaml takes over from `.env`: nothing that belongs to one machine. */
function inherited(values: HostValues, more: Partial<HostValues> = {}): HostValues {
  const defaults = defaultsOf<HostValues>(hostKeys);
  const own = Object.entries(hostKeys).filter(([, key]) => key.host === 'own');
  const reset = Object.fromEntries(own.map(([name]) => [name, defaults[name as keyof HostValues]]));
  return { ...values, ...reset, ...more };
}

function sharedWritten(written: ReadonlySet<string>): string[] {
  const table: Readonly<Record<string, { readonly host?: string }>> = hostKeys;
  return [...written].filter((name) => table[name]?.host === 'shared');
}

/** Whether a host may be there once this is corrected. */
function mayHideHost({ key, source }: ConfigFinding): boolean {
  const meant = nearestKey(key) ?? key;
  return key === 'this line' || meant === 'DEMO' || ownKeys.includes(meant) || source.startsWith('hosts.yaml');
}

function emptiesOf(settings: readonly Setting[]): (key: string) => Source | undefined {
  return (key) => settings.find((one) => one.key === key && one.text.trim() === '')?.source;
}

function hostCount(hosts: number, demo: Source | undefined, nothing: boolean, explained: boolean): ConfigFinding[] {
  if (demo !== undefined && hosts > 0) {
    const remedy = 'Remove DEMO=true, or the hosts.';
    return [configProblem({ key: 'DEMO', source: demo, expected: 'either the demo or real hosts', remedy })];
  }
  if (demo !== undefined || hosts > 0 || explained) return [];
  const remedy =
    'Write SSH_HOST=… into .env, make a hosts.yaml (see hosts.example.yaml), or set DEMO=true to try it out.';
  const source = nothing ? 'the environment' : '.env';
  return [configProblem({ key: 'SSH_HOST', source, expected: 'at least one host', remedy })];
}

function noFolder(folder: string): ConfigFinding {
  const remedy = 'Give --config-dir or PROXMOX_MCP_CONFIG_DIR the folder of .env and hosts.yaml, or make it.';
  const source = 'the folder of the configuration';
  return configProblem({ key: folder, source, expected: 'a folder that is there', remedy });
}

/** `open`: whether others may read it. Root's own file may be its group's too: so a service can read what it can't change. */
function readText(path: string): { text?: string; open?: boolean; problems: ConfigFinding[] } {
  try {
    const { mode, uid } = statSync(path);
    return { text: readFileSync(path, 'utf8'), open: (mode & (uid === 0 ? 0o037 : 0o077)) !== 0, problems: [] };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (code === 'ENOENT') return { problems: [] };
    const remedy = 'Make it a readable file, or remove it.';
    const expected = `a readable file (${code})`;
    return { problems: [configProblem({ key: path, source: 'the file system', expected, remedy })] };
  }
}
