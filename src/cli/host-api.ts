import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { LoadedConfig } from '../config/load.ts';
import type { Config, HostConfig, ProxmoxApiConfig } from '../config.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import { connectAdministrator } from '../hosts/install/administrator.ts';
import type { InstallOptions } from '../hosts/install/options.ts';
import type { Log } from '../log.ts';
import { type WideRight, wideRights } from '../operations/rights.ts';
import { replacePrivateFile } from '../private-file.ts';
import { probeCertificate } from '../proxmox/certificate.ts';
import { createProxmoxClient } from '../proxmox/client.ts';
import {
  type AccessPlan,
  type AccessSeen,
  type AccessWanted,
  type AccessWay,
  apiUser,
  makeAccess,
  planAccess,
  planRemoval,
  removeAccess,
} from '../proxmox/onboard.ts';
import { accessByCommands } from '../proxmox/onboard-commands.ts';
import { changingPrivileges, type Enabled, usedWideRights } from '../proxmox/rights.ts';
import type { Secret } from '../secret.ts';
import { removeHost, removeHostKeys, writeHostKeys } from './host-add.ts';
import { note } from './terminal.ts';

// The Proxmox API's part of `host install` and `host uninstall`, and the whole of them where a host has only its API: user, roles,
// token and pin, by the administrator's own login or sign-in, once they have agreed to it.

type Login = Pick<InstallOptions, 'login' | 'log' | 'sudoPassword'>;

/** What the administrator said about the access, on the command line. */
export interface AccessOptions {
  readonly changes?: boolean | undefined;
  readonly readOnly?: boolean | undefined;
  readonly allow?: readonly WideRight[] | undefined;
  /** Unix seconds; 0: never. */
  readonly expires?: number | undefined;
  readonly readToken?: boolean | undefined;
}

/** A part of a plan; no lines: nothing is to be done. */
export interface ApiPart {
  readonly lines: readonly string[];
  readonly carryOut: () => Promise<void>;
}

/** Uses a way to the access for a while. */
export type UseWay = <T>(work: (way: AccessWay) => Promise<T>) => Promise<T>;

const nothing: ApiPart = { lines: [], carryOut: async () => undefined };

/** For one command of pveum, which takes about a second, and ten where a cluster has lost its quorum. */
const timeoutMs = 60_000;

/** Throws `invalid-input` where the options say both, or ask for what nothing needs. */
export function accessWanted(
  { changes, readOnly, allow, expires, readToken }: AccessOptions,
  { dangerousCommands }: Pick<Config, 'dangerousCommands'>,
): AccessWanted {
  const wrong = (message: string, remedy: string) => new ServiceError({ code: 'invalid-input', message, remedy });
  if (changes && readOnly) throw wrong('--changes and --read-only are both given', 'Give one of them.');
  if (readOnly && allow !== undefined && allow.length > 0) {
    throw wrong('--allow gives rights to change something, and --read-only takes them', 'Give one of them.');
  }
  const useless = allow?.find((name) => !usedWideRights({ dangerousCommands }).includes(name));
  if (useless !== undefined) {
    throw wrong(`No operation that is enabled needs the right ${useless}`, 'Leave it out: it would only reach far.');
  }
  return {
    changes: changes ? true : readOnly ? false : undefined,
    wide: allow ?? (readOnly ? [] : undefined),
    expires,
    // What may change something is nothing for the MCP server, which only reads.
    reading: readToken || changes ? true : undefined,
    dangerousCommands,
    now: Math.floor(Date.now() / 1000),
  };
}

/**
 * What is to be done so that the service can use the host's Proxmox API, by the administrator's login on the host.
 *
 * @param wanted - `no`: nothing; `yes`: an error where it can't be; undefined: what can be, and has not been configured by hand
 */
export async function planApi(
  loaded: LoadedConfig,
  host: HostConfig,
  login: Login,
  wanted: 'yes' | 'no' | undefined,
  access: AccessWanted,
): Promise<ApiPart> {
  const { api, name } = host;
  const leave = (error: ServiceError, isQuiet = false): ApiPart => {
    if (wanted === 'yes') throw error;
    if (!isQuiet) note(`No access to the Proxmox API of ${name} is made: ${error.message}. ${error.remedy}`);
    return nothing;
  };
  if (wanted === 'no') return nothing;
  if (api !== undefined && api.user !== apiUser) return leave(byHand(name, api), true);
  if (api === undefined && isSwitchedOff(loaded)) return leave(switchedOff(name), true);
  return await withRoot(host, login, async (way) => {
    const seen = await way.look();
    if (seen === undefined) return leave(noProxmox(name), true);
    const written = (key: string) => loaded.settings.get(`${name}.${key}`)?.text ?? ownText(loaded, name, key);
    const address = api?.host ?? written('PROXMOX_HOST') ?? host.ssh?.host ?? '127.0.0.1';
    const port = api?.port ?? Number(written('PROXMOX_PORT') ?? 8006);
    const shown = await shownAt(name, address, port).catch(onlyServiceError);
    if (shown instanceof ServiceError) return leave(shown);
    if (shown !== seen.fingerprint) return leave(otherCertificate(name, `${address}:${port}`, shown, seen));
    try {
      return await planPart({
        loaded,
        name,
        isNew: false,
        address: { host: address, port, trust: { kind: 'fingerprint', sha256: seen.fingerprint } },
        api,
        seen,
        log: login.log,
        access,
        use: (work) => withRoot(host, login, work),
        leaveOut: '(to leave the Proxmox API out: --api no)',
      });
    } catch (error) {
      return leave(onlyServiceError(error));
    }
  });
}

/** What a plan of the API's part is made of, whichever way it is carried out. */
export interface PartOptions {
  readonly loaded: LoadedConfig;
  readonly name: string;
  /** It isn't configured yet. */
  readonly isNew: boolean;
  readonly address: Pick<ProxmoxApiConfig, 'host' | 'port' | 'trust'>;
  /** As it is configured; undefined: not at all. */
  readonly api: ProxmoxApiConfig | undefined;
  readonly seen: AccessSeen;
  readonly log: Log;
  readonly access: AccessWanted;
  readonly use: UseWay;
  /** The last line, for whoever wants it otherwise. */
  readonly leaveOut?: string;
}

/** @throws ServiceError where it can't be told whether the configured API token is good: a second one would be made each time */
export async function planPart(options: PartOptions): Promise<ApiPart> {
  const { loaded, name, isNew, address, api, seen, log, access, use, leaveOut } = options;
  const configured: ProxmoxApiConfig | undefined = api && { ...api, ...address };
  const isKnown = configured !== undefined && ((await isAccepted(configured, log)) || hasExpired(configured, seen));
  const readingApi = configured && readingApiOf(configured);
  const knowsReading =
    readingApi !== undefined && ((await isAccepted(readingApi, log)) || hasExpired(readingApi, seen));
  const held = isKnown ? configured.tokenName : undefined;
  // One that is configured and isn't accepted any more is made anew, and not left out.
  const wanted = { ...access, reading: access.reading ?? (readingApi === undefined ? undefined : true) };
  const plan = planAccess(name, seen, held, wanted, knowsReading ? readingApi.tokenName : undefined);
  const { host, port, trust } = address;
  const file = `./keys/${name}-api-token`;
  const path = resolve(loaded.folder, file);
  const readingFile = `./keys/mcp/${name}-api-token`;
  const readingPath = resolve(loaded.folder, readingFile);
  const { reading } = plan;
  const pin = trust.kind === 'fingerprint' ? trust.sha256 : undefined;
  const pins = api === undefined || (api.trust.kind === 'fingerprint' && api.trust.sha256 !== pin);
  const keys = {
    ...(plan.makesToken && {
      PROXMOX_HOST: host,
      ...(port !== 8006 && { PROXMOX_PORT: port }),
      PROXMOX_USER: apiUser,
      PROXMOX_TOKEN_NAME: plan.token,
      PROXMOX_TOKEN_VALUE_FILE: file,
    }),
    ...(reading?.makesToken && { PROXMOX_READ_TOKEN_NAME: reading.token, PROXMOX_READ_TOKEN_VALUE_FILE: readingFile }),
    ...((pins || plan.makesToken) && pin !== undefined && { PROXMOX_FINGERPRINT: pin }),
  };
  const lines = [
    ...plan.lines.map((line) => `Proxmox API: ${line}`),
    ...(plan.makesToken ? [`Proxmox API: put the token's secret into ${path}, mode 600, and nowhere else`] : []),
    ...(reading?.makesToken
      ? [`Proxmox API: put the reading token's secret into ${readingPath}, mode 600, and nowhere else`]
      : []),
    ...(Object.keys(keys).length > 0
      ? [`Proxmox API: write ${Object.keys(keys).join(', ')} to the configuration; the certificate is the host's own`]
      : []),
  ];
  if (lines.length === 0) return nothing;
  return {
    lines: [...lines, ...whatItMay(plan, access), ...(leaveOut === undefined ? [] : [leaveOut])],
    carryOut: async () => {
      let secret: Secret | undefined;
      let readingSecret: Secret | undefined;
      // Whoever reads .env reads it.
      const write = (to: string, made: Secret) =>
        replacePrivateFile(to, `${made.reveal()}\n`, join(loaded.folder, '.env'));
      await use((way) =>
        makeAccess(
          way,
          plan,
          (made) => {
            secret = made;
            write(path, made);
          },
          (made) => {
            readingSecret = made;
            write(readingPath, made);
          },
        ),
      );
      if (plan.makesToken && !isNew) removeHostKeys(loaded, name, ['PROXMOX_TOKEN_VALUE']);
      if (reading?.makesToken && !isNew) removeHostKeys(loaded, name, ['PROXMOX_READ_TOKEN_VALUE']);
      if (Object.keys(keys).length > 0) writeHostKeys(loaded, name, keys, isNew);
      const tokenValue = secret ?? api?.tokenValue;
      if (tokenValue === undefined) return;
      await prove(name, { ...address, user: apiUser, tokenName: plan.token, tokenValue }, log);
      const readingValue = readingSecret ?? api?.readToken?.value;
      if (reading === undefined || readingValue === undefined) return;
      const readingOnly = { ...address, user: apiUser, tokenName: reading.token, tokenValue: readingValue };
      await prove(name, readingOnly, log, { onlyReads: true });
    },
  };
}

/** The API by the token that only reads, where there is one beside the other. */
export function readingApiOf({ readToken, ...api }: ProxmoxApiConfig): ProxmoxApiConfig | undefined {
  return readToken && { ...api, tokenName: readToken.name, tokenValue: readToken.value };
}

/** What an administrator decides here, said beside the plan. */
function whatItMay({ changes }: AccessPlan, enabled: Enabled): readonly string[] {
  const wide = usedWideRights(enabled).map((name) => `--allow ${name} (${wideRights[name].why})`);
  if (!changes)
    return ['(operations may look and change nothing; to let them start, stop and change guests: --changes)'];
  return [
    '(operations may change guests, each within your policy; to let them only look: --read-only)',
    ...(wide.length === 0 ? [] : [`(not given unless you ask for it: ${wide.join('; ')})`]),
  ];
}

/** What had been made of it and is to be taken off. */
export async function planApiRemoval(loaded: LoadedConfig, host: HostConfig, login: Login): Promise<ApiPart> {
  const { api } = host;
  if (api?.user !== apiUser) return nothing;
  return await withRoot(host, login, async (way) =>
    removalPart(loaded, host, api, await way.look(), (work) => withRoot(host, login, work)),
  );
}

export function removalPart(
  loaded: LoadedConfig,
  { name, ssh, local }: HostConfig,
  api: ProxmoxApiConfig,
  seen: AccessSeen | undefined,
  use: UseWay,
): ApiPart {
  // Somebody else may have removed it on the host; here it is still configured.
  const removal =
    seen === undefined
      ? { lines: [], steps: [] }
      : planRemoval(seen, api.tokenName, ...(api.readToken ? [api.readToken.name] : []));
  const files = [
    resolve(loaded.folder, `./keys/${name}-api-token`),
    ...(api.readToken ? [resolve(loaded.folder, `./keys/mcp/${name}-api-token`)] : []),
  ];
  const file = files.join(' and ');
  const isAll = ssh === undefined && local === undefined;
  return {
    lines: [
      ...removal.lines.map((line) => `Proxmox API: ${line}`),
      isAll
        ? `Proxmox API: remove ${file}, and ${name} from the configuration, as it is reached no other way`
        : `Proxmox API: remove ${file}, and its keys from the configuration`,
    ],
    carryOut: async () => {
      await use((way) => removeAccess(way, removal));
      if (isAll) removeHost(loaded, name, writtenKeys);
      else removeHostKeys(loaded, name, writtenKeys);
      for (const one of files) rmSync(one, { force: true });
    },
  };
}

const writtenKeys = [
  ...['PROXMOX_HOST', 'PROXMOX_PORT', 'PROXMOX_USER', 'PROXMOX_TOKEN_NAME', 'PROXMOX_TOKEN_VALUE'],
  ...['PROXMOX_TOKEN_VALUE_FILE', 'PROXMOX_FINGERPRINT'],
  ...['PROXMOX_READ_TOKEN_NAME', 'PROXMOX_READ_TOKEN_VALUE', 'PROXMOX_READ_TOKEN_VALUE_FILE'],
];

async function withRoot<T>(host: HostConfig, login: Login, work: (way: AccessWay) => Promise<T>): Promise<T> {
  const admin = connectAdministrator(host.name, login.login, login.log, login.sudoPassword);
  try {
    return await work(accessByCommands(host.name, (argv) => admin.runProgram(argv, timeoutMs)));
  } finally {
    await admin.close();
  }
}

function onlyServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  throw error;
}

/** Whether the API takes the API token that is configured. Throws where it can't be told. */
async function isAccepted(api: ProxmoxApiConfig, log: Log): Promise<boolean> {
  const client = createProxmoxClient(api, { log, retries: 0 });
  try {
    await client.permissions(undefined);
    return true;
  } catch (error) {
    if (isServiceError(error, 'proxmox-permission')) return true;
    if (isServiceError(error, 'proxmox-authentication')) return false;
    throw error;
  } finally {
    await client.close();
  }
}

/** It is refused for its date alone, as far as can be told: it is made to last longer, and then tried. */
function hasExpired({ user, tokenName }: ProxmoxApiConfig, { tokens }: AccessSeen): boolean {
  const expires = tokens.find(({ name }) => name === tokenName)?.expires ?? 0;
  return user === apiUser && expires !== 0 && expires <= Date.now() / 1000;
}

async function prove(
  name: string,
  api: ProxmoxApiConfig,
  log: Log,
  { onlyReads = false }: { readonly onlyReads?: boolean } = {},
): Promise<void> {
  const client = createProxmoxClient(api, { log });
  try {
    const permissions = await client.permissions('/');
    if (Object.keys(permissions['/'] ?? {}).length > 0) {
      const changing = onlyReads ? changingPrivileges(await client.permissions(undefined)) : [];
      if (changing.length === 0) {
        return note(`The Proxmox API of ${name} accepts the ${onlyReads ? 'reading ' : ''}token.`);
      }
      throw new ServiceError({
        code: 'verification-failed',
        message: `The reading token of ${name} may change something: ${changing.join(', ')}`,
        remedy: 'Look at Datacenter, Permissions: somebody has given it more, by a role or to a group.',
      });
    }
    throw new ServiceError({
      code: 'verification-failed',
      message: `The Proxmox API of ${name} accepts the token, but gives it no right on /`,
      remedy: `Look at Datacenter, Permissions, then run it again: npx proxmox-mcp host install ${name}`,
    });
  } finally {
    await client.close();
  }
}

async function shownAt(name: string, address: string, port: number): Promise<string> {
  try {
    return (await probeCertificate(address, port, { timeoutMs: 8_000 })).fingerprint;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ServiceError({
      code: 'proxmox-unavailable',
      message: `${address}:${port} can't be reached from here (${why})`,
      remedy: `Let this machine reach it, or write PROXMOX_HOST and PROXMOX_PORT; then: npx proxmox-mcp host install ${name}`,
    });
  }
}

/** What `.env` or the environment says, where the host isn't one of hosts.yaml. */
function ownText({ settings }: LoadedConfig, name: string, key: string): string | undefined {
  const isInHostsFile = [...settings.keys()].some((one) => one.startsWith(`${name}.`));
  return isInHostsFile && key === 'PROXMOX_HOST' ? undefined : settings.get(key)?.text;
}

export function isSwitchedOff({ settings }: LoadedConfig): boolean {
  const text = settings.get('ENABLE_PROXMOX_API')?.text ?? 'true';
  return /^(false|no|n|off|0)$/i.test(text);
}

export function byHand(name: string, { user, tokenName }: ProxmoxApiConfig): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `${name} has the API token ${user}!${tokenName} already, which somebody has made`,
    remedy: `To have one made, take its PROXMOX_ keys out of the configuration first.`,
  });
}

export function switchedOff(name: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `ENABLE_PROXMOX_API is false, so the Proxmox API of ${name} is not used`,
    remedy: 'Set it to true, or leave --api out.',
  });
}

function noProxmox(name: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no Proxmox VE on ${name} (no pveum)`,
    remedy: 'Leave --api out.',
  });
}

function otherCertificate(name: string, where: string, shown: string, seen: AccessSeen): ServiceError {
  return new ServiceError({
    code: 'proxmox-certificate',
    message: `${where} shows the certificate ${shown}, and ${name} itself has ${seen.fingerprint}`,
    remedy:
      'If a proxy stands before it, write PROXMOX_HOST and PROXMOX_PORT of the host itself; if not, somebody may be between this machine and the host.',
  });
}
