import { resolve } from 'node:path';
import type { HostConfig, HostLayout, ProxmoxApiConfig, SshConfig } from '../config.ts';
import { Secret } from '../secret.ts';
import type { Reader } from './key.ts';
import type { HostValues } from './keys.ts';
import { type ConfigFinding, configProblem, configWarning, type Source } from './problems.ts';

/** A file of recipients by its absolute path, whatever folder it was named from. */
export function recipientIn(folder: string, item: string): string {
  return /^\.{0,2}\//.test(item) ? resolve(folder, item) : item;
}

export interface HostContext {
  readonly name: string;
  /** `pve1.` for an entry of hosts.yaml, else empty. */
  readonly label: string;
  /** Where the host as a whole is written. */
  readonly source: Source;
  readonly values: HostValues;
  /** Keys with a text, right or wrong: a wrong one was reported already and isn't reported as missing. */
  readonly written: ReadonlySet<string>;
  /** Those of them that were written for this host, and not for every host. */
  readonly own: ReadonlySet<string>;
  readonly sourceOf: (key: string) => Source;
  /** Where a key is written without a value. */
  readonly emptyAt: (key: string) => Source | undefined;
  readonly folder: string;
  readonly dataDir: string;
  /** Another worker serves it: what is secret of it may be missing here. */
  readonly isElsewhere: boolean;
  readonly features: { readonly ssh: boolean; readonly proxmoxApi: boolean };
  readonly isRoot: boolean;
  /** The process that reads it; undefined: any. */
  readonly reader: Reader | undefined;
}

interface Finalized<Value> {
  readonly value?: Value;
  readonly problems: readonly ConfigFinding[];
}

/** One host from its values; every problem of it at once. */
export function finalizeHost(
  context: HostContext,
): Finalized<HostConfig> & { readonly warnings: readonly ConfigFinding[] } {
  const { name, values, features, label, source } = context;
  const ssh = features.ssh ? sshOf(context) : undefined;
  const api = features.proxmoxApi ? apiOf(context) : { problems: [] };
  const backupServer = backupServerOf(context);
  const problems = [...api.problems, ...backupServer.problems];
  const warnings: ConfigFinding[] = [];
  const local = values.ENABLE_LOCAL_EXECUTION ? { sudo: values.LOCAL_SUDO ?? !context.isRoot } : undefined;

  if (ssh !== undefined && local !== undefined) {
    problems.push(
      configProblem({
        key: `${label}ENABLE_LOCAL_EXECUTION`,
        source: context.sourceOf('ENABLE_LOCAL_EXECUTION'),
        expected: 'either SSH_HOST or ENABLE_LOCAL_EXECUTION=true for one host',
        remedy: 'Remove one of them, or write two hosts.',
      }),
    );
  }
  const way = waysToReach.find((key) => context.written.has(key));
  if (way === undefined) {
    const expected = 'a way to reach the host: SSH_HOST, PROXMOX_HOST, PBS_HOST or ENABLE_LOCAL_EXECUTION=true';
    const remedy = 'Write e.g. SSH_HOST=192.168.1.137.';
    problems.push(configProblem({ key: `${label}SSH_HOST`, source, expected, remedy }));
  } else if (!ssh && !local && !api.value && !backupServer.value && problems.length === 0 && !hasWrongWay(context)) {
    const expected = `a way to reach ${name}; each one is switched off`;
    const remedy = 'Set ENABLE_SSH, ENABLE_PROXMOX_API or ENABLE_LOCAL_EXECUTION to true, or remove the host.';
    problems.push(configProblem({ key: `${label}${way}`, source: context.sourceOf(way), expected, remedy }));
  }
  if (ssh?.user === 'root') {
    warnings.push(
      configWarning({
        key: `${label}SSH_USER`,
        source: context.sourceOf('SSH_USER'),
        summary: `the service logs in to ${name} as root, so that only its own privilege table limits it.`,
        remedy: 'Use a user of its own, e.g. SSH_USER=claude-user.',
      }),
    );
  }
  problems.push(...wrongBackupPaths(context));
  const host: HostConfig = {
    name,
    ...(ssh && { ssh }),
    ...(local && { local }),
    ...(api.value && { api: api.value }),
    ...(backupServer.value && { backupServer: backupServer.value }),
    layout: layoutOf(values),
    timeZone: values.TIME_ZONE,
    keep: {
      daily: values.BACKUP_KEEP_DAILY,
      full: values.BACKUP_KEEP_FULL,
      monthly: values.BACKUP_KEEP_MONTHLY,
    },
    ...(values.BACKUP_RECIPIENTS && {
      copies: {
        recipients: values.BACKUP_RECIPIENTS.map((item) => recipientIn(context.folder, item)),
        encryption: values.BACKUP_ENCRYPTION,
      },
    }),
    ...(values.SHARES_MACHINE_ID && { sharesMachineId: true }),
    ...(context.isElsewhere && { isElsewhere: true }),
  };
  return { value: host, problems, warnings };
}

function sshOf({ values, folder, dataDir }: HostContext): SshConfig | undefined {
  if (values.SSH_HOST === undefined) return undefined;
  return {
    host: values.SSH_HOST,
    port: values.SSH_PORT,
    user: values.SSH_USER,
    keyPath: resolve(folder, values.SSH_KEY_PATH),
    knownHostsPath:
      values.SSH_KNOWN_HOSTS === undefined ? resolve(dataDir, 'known_hosts') : resolve(folder, values.SSH_KNOWN_HOSTS),
  };
}

const waysToReach = ['SSH_HOST', 'PROXMOX_HOST', 'PBS_HOST', 'ENABLE_LOCAL_EXECUTION'] as const;

/** Keys without which there is no API. */
const apiKeys = ['PROXMOX_HOST', 'PROXMOX_USER', 'PROXMOX_TOKEN_NAME', 'PROXMOX_TOKEN_VALUE'] as const;

/** Whether a way is written, but wrong: that is reported already. */
function hasWrongWay({ values, written }: HostContext): boolean {
  return (['SSH_HOST', ...apiKeys] as const).some((key) => written.has(key) && values[key] === undefined);
}

function apiOf(context: HostContext): Finalized<ProxmoxApiConfig> {
  const { values, written, label } = context;
  const problems: ConfigFinding[] = [];
  const begun = [...apiKeys, 'PROXMOX_FINGERPRINT', 'PROXMOX_CA_FILE'].find((key) => context.own.has(key));
  if (begun === undefined) return { problems };
  for (const key of apiKeys.filter((one) => !written.has(one))) {
    const what = key === 'PROXMOX_HOST' ? 'Write e.g. PROXMOX_HOST=192.168.1.137' : `${makeToken} and write ${key}`;
    const remedy = `${what}, or set ENABLE_PROXMOX_API=false.`;
    const expected = `a value, because ${begun} is set`;
    problems.push(
      configProblem({
        key: `${label}${key}`,
        source: context.emptyAt(key) ?? context.sourceOf(begun),
        expected,
        remedy,
      }),
    );
  }
  if (!written.has('PROXMOX_HOST')) return { problems };
  const trust = trustOf(context, problems);
  const { PROXMOX_HOST: host, PROXMOX_PORT: port, PROXMOX_USER: user } = values;
  const readToken = readTokenOf(context, problems);
  // The MCP server only reads.
  const token =
    context.reader === 'mcp-server' && written.has('PROXMOX_READ_TOKEN_VALUE')
      ? readToken
      : { name: values.PROXMOX_TOKEN_NAME, value: values.PROXMOX_TOKEN_VALUE };
  const { name: tokenName } = token ?? {};
  // What it can do is known all the same: its schedules are everybody's.
  const tokenValue = token?.value ?? (context.isElsewhere ? new Secret('') : undefined);
  if (host === undefined || user === undefined || tokenName === undefined || tokenValue === undefined) {
    return { problems };
  }
  const beside = readToken !== undefined && readToken !== token;
  return { value: { host, port, user, tokenName, tokenValue, ...(beside && { readToken }), trust }, problems };
}

const backupServerKeys = ['PBS_HOST', 'PBS_USER', 'PBS_TOKEN_NAME', 'PBS_TOKEN_VALUE'] as const;

/** A Proxmox Backup Server: all of it, or nothing. */
function backupServerOf(context: HostContext): Finalized<ProxmoxApiConfig> {
  const { values, written, own, label, folder, isElsewhere } = context;
  const begun = [...backupServerKeys, 'PBS_FINGERPRINT', 'PBS_CA_FILE'].find((key) => own.has(key));
  if (begun === undefined) return { problems: [] };
  const missing = backupServerKeys.filter((one) => !written.has(one));
  const problems = missing.map((key) =>
    configProblem({
      key: `${label}${key}`,
      source: context.emptyAt(key) ?? context.sourceOf(begun),
      expected: `a value, because ${begun} is set`,
      remedy:
        key === 'PBS_HOST'
          ? 'Write e.g. PBS_HOST=192.168.1.140.'
          : `Make an API token there (Configuration, Access Control, API Token) and write ${key}.`,
    }),
  );
  const { PBS_HOST: host, PBS_PORT: port, PBS_USER: user, PBS_TOKEN_NAME: tokenName, PBS_FINGERPRINT: sha256 } = values;
  // Who doesn't need it hasn't read it, and knows all the same that it is there.
  const isWithheld = isElsewhere || context.reader !== undefined;
  const tokenValue =
    values.PBS_TOKEN_VALUE ?? (isWithheld && written.has('PBS_TOKEN_VALUE') ? new Secret('') : undefined);
  if (host === undefined || user === undefined || tokenName === undefined || tokenValue === undefined) {
    return { problems };
  }
  const trust: ProxmoxApiConfig['trust'] =
    sha256 !== undefined
      ? { kind: 'fingerprint', sha256 }
      : values.PBS_CA_FILE !== undefined
        ? { kind: 'ca-file', path: resolve(folder, values.PBS_CA_FILE) }
        : { kind: 'system' };
  return { value: { product: 'backup-server', host, port, user, tokenName, tokenValue, trust }, problems };
}

/** The API token that only reads, where there is one. */
function readTokenOf(
  { values, written, own, label, sourceOf, emptyAt }: HostContext,
  problems: ConfigFinding[],
): ProxmoxApiConfig['readToken'] {
  const readKeys = ['PROXMOX_READ_TOKEN_NAME', 'PROXMOX_READ_TOKEN_VALUE'] as const;
  const begun = readKeys.find((key) => own.has(key));
  if (begun === undefined) return undefined;
  for (const key of readKeys.filter((one) => !written.has(one))) {
    const remedy = `Write ${key}, or remove ${begun}.`;
    const expected = `a value, because ${begun} is set`;
    problems.push(configProblem({ key: `${label}${key}`, source: emptyAt(key) ?? sourceOf(begun), expected, remedy }));
  }
  const { PROXMOX_READ_TOKEN_NAME: name, PROXMOX_READ_TOKEN_VALUE: value } = values;
  if (name !== undefined && name === values.PROXMOX_TOKEN_NAME) {
    problems.push(
      configProblem({
        key: `${label}PROXMOX_READ_TOKEN_NAME`,
        source: sourceOf('PROXMOX_READ_TOKEN_NAME'),
        expected: 'another API token than PROXMOX_TOKEN_NAME',
        remedy: 'Make one that only reads: npx proxmox-mcp host install NAME --read-token; or remove both of its keys.',
      }),
    );
  }
  return name === undefined || value === undefined ? undefined : { name, value };
}

const makeToken = 'Make an API token (Datacenter, Permissions, API Tokens)';

function trustOf(
  { values, written, label, sourceOf, folder, name }: HostContext,
  problems: ConfigFinding[],
): ProxmoxApiConfig['trust'] {
  const { PROXMOX_FINGERPRINT: sha256, PROXMOX_CA_FILE: caFile } = values;
  const pinned = written.has('PROXMOX_FINGERPRINT') || written.has('PROXMOX_CA_FILE') || caFile !== undefined;
  if (!values.PROXMOX_VERIFY_SSL && !pinned) {
    problems.push(
      configProblem({
        key: `${label}PROXMOX_VERIFY_SSL`,
        source: sourceOf('PROXMOX_VERIFY_SSL'),
        expected:
          'PROXMOX_FINGERPRINT or PROXMOX_CA_FILE with PROXMOX_VERIFY_SSL=false, because TLS checks are never switched off',
        remedy:
          `Get the fingerprint with \`npx proxmox-mcp doctor\` (it shows the one of ${name}), compare it with the one that ` +
          '`pvenode cert info` shows on the host, and write PROXMOX_FINGERPRINT=…',
      }),
    );
  }
  if (sha256 !== undefined) return { kind: 'fingerprint', sha256 };
  if (caFile !== undefined) return { kind: 'ca-file', path: resolve(folder, caFile) };
  return { kind: 'system' };
}

/** A folder that holds the archives, or lies among them, would be copied into itself, more each night. */
function wrongBackupPaths({ values, label, sourceOf }: HostContext): readonly ConfigFinding[] {
  const { BACKUP_PATHS: paths, BACKUP_DIR: backups, STATE_DIR: state } = values;
  const overlap = (one: string, other: string) =>
    `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
  return paths.flatMap((path) => {
    const key = overlap(path, backups) ? 'BACKUP_DIR' : overlap(path, state) ? 'STATE_DIR' : undefined;
    if (key === undefined) return [];
    return [
      configProblem({
        key: `${label}BACKUP_PATHS`,
        source: sourceOf('BACKUP_PATHS'),
        expected: `folders that neither hold ${key} (${key === 'BACKUP_DIR' ? backups : state}) nor are in it, because backups would hold themselves`,
        found: path,
        remedy: `Name the folders beside it instead of ${path}.`,
      }),
    ];
  });
}

function layoutOf(values: HostValues): HostLayout {
  return {
    installation: values.INSTALLATION_DIR,
    backups: values.BACKUP_DIR,
    sudoersFile: values.SUDOERS_FILE,
    sshKeyFile: values.HOST_SSH_KEY_FILE ?? `${values.INSTALLATION_DIR}/keys/claude_proxmox_key`,
    helper: values.HELPER_PATH,
    state: values.STATE_DIR,
    sudoLog: values.SUDO_LOG,
    authLog: values.AUTH_LOG,
    unit: values.SERVICE_UNIT,
    user: values.SERVICE_USER ?? values.SSH_USER,
    containers: values.CONTAINERS,
    volumes: values.VOLUMES,
    backupPaths: values.BACKUP_PATHS,
    compression: values.BACKUP_COMPRESSION,
    hostRoot: '',
    healthUrl: values.HEALTH_URL,
    proxyUrl: values.PROXY_URL,
  };
}
