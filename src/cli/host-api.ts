import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { LoadedConfig } from '../config/load.ts';
import type { HostConfig, ProxmoxApiConfig } from '../config.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import { connectAdministrator } from '../hosts/install/administrator.ts';
import type { InstallOptions } from '../hosts/install/options.ts';
import { replacePrivateFile } from '../private-file.ts';
import { probeCertificate } from '../proxmox/certificate.ts';
import { createProxmoxClient } from '../proxmox/client.ts';
import {
  type AccessSeen,
  apiUser,
  lookAtAccess,
  makeAccess,
  planAccess,
  planRemoval,
  type RunAsRoot,
  removeAccess,
} from '../proxmox/onboard.ts';
import type { Secret } from '../secret.ts';
import { removeHostKeys, writeHostKeys } from './host-add.ts';
import { note } from './terminal.ts';

// The Proxmox API's part of `host install` and `host uninstall`: user, reading role, token and pin, over the administrator's own
// login, once they have agreed to it.

type Login = Pick<InstallOptions, 'login' | 'log' | 'sudoPassword'>;

/** A part of a plan; no lines: nothing is to be done. */
export interface ApiPart {
  readonly lines: readonly string[];
  readonly carryOut: () => Promise<void>;
}

const nothing: ApiPart = { lines: [], carryOut: async () => undefined };

/** For one command of pveum, which takes about a second, and ten where a cluster has lost its quorum. */
const timeoutMs = 60_000;

/**
 * What is to be done so that the service can read the host's Proxmox API.
 *
 * @param wanted - `no`: nothing; `yes`: an error where it can't be; undefined: what can be, and has not been configured by hand
 */
export async function planApi(
  loaded: LoadedConfig,
  host: HostConfig,
  login: Login,
  wanted: 'yes' | 'no' | undefined,
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
  return await withRoot(host, login, async (run) => {
    const seen = await lookAtAccess(name, run);
    if (seen === undefined) return leave(noProxmox(name), true);
    const written = (key: string) => loaded.settings.get(`${name}.${key}`)?.text ?? ownText(loaded, name, key);
    const address = api?.host ?? written('PROXMOX_HOST') ?? host.ssh?.host ?? '127.0.0.1';
    const port = api?.port ?? Number(written('PROXMOX_PORT') ?? 8006);
    const shown = await shownAt(name, address, port).catch(onlyServiceError);
    if (shown instanceof ServiceError) return leave(shown);
    if (shown !== seen.fingerprint) return leave(otherCertificate(name, `${address}:${port}`, shown, seen));
    const pinned: ProxmoxApiConfig | undefined = api && {
      ...api,
      trust: { kind: 'fingerprint', sha256: seen.fingerprint },
    };
    const accepted = pinned !== undefined && (await isAccepted(pinned, login).catch(onlyServiceError));
    // Whether its token is good can't be told now; a second one would be made each time.
    if (accepted instanceof ServiceError) return leave(accepted);
    const held = accepted ? pinned?.tokenName : undefined;
    const plan = planAccess(name, seen, held);
    const pins = api === undefined || (api.trust.kind === 'fingerprint' && api.trust.sha256 !== seen.fingerprint);
    const file = `./keys/${name}-api-token`;
    const path = resolve(loaded.folder, file);
    const keys = {
      ...(plan.makesToken && {
        PROXMOX_HOST: address,
        ...(port !== 8006 && { PROXMOX_PORT: port }),
        PROXMOX_USER: apiUser,
        PROXMOX_TOKEN_NAME: plan.token,
        PROXMOX_TOKEN_VALUE_FILE: file,
      }),
      ...((pins || plan.makesToken) && { PROXMOX_FINGERPRINT: seen.fingerprint }),
    };
    const lines = [
      ...plan.lines.map((line) => `Proxmox API: ${line}`),
      ...(plan.makesToken ? [`Proxmox API: put the token's secret into ${path}, mode 600, and nowhere else`] : []),
      ...(Object.keys(keys).length > 0
        ? [`Proxmox API: write ${Object.keys(keys).join(', ')} to the configuration; the certificate is the host's own`]
        : []),
    ];
    if (lines.length === 0) return nothing;
    return {
      lines: [...lines, '(to leave the Proxmox API out: --api no)'],
      carryOut: async () => {
        let secret: Secret | undefined;
        await withRoot(host, login, (asRoot) =>
          makeAccess(name, asRoot, plan, (made) => {
            secret = made;
            // Whoever reads .env reads it.
            replacePrivateFile(path, `${made.reveal()}\n`, join(loaded.folder, '.env'));
          }),
        );
        if (plan.makesToken) removeHostKeys(loaded, name, ['PROXMOX_TOKEN_VALUE']);
        if (Object.keys(keys).length > 0) writeHostKeys(loaded, name, keys, false);
        const token = secret ?? api?.tokenValue;
        if (token === undefined) return;
        const trust = { kind: 'fingerprint', sha256: seen.fingerprint } as const;
        await prove(
          name,
          { host: address, port, user: apiUser, tokenName: plan.token, tokenValue: token, trust },
          login,
        );
      },
    };
  });
}

/** What `host install` had made of it and is to be taken off. */
export async function planApiRemoval(loaded: LoadedConfig, host: HostConfig, login: Login): Promise<ApiPart> {
  const { api, name } = host;
  if (api?.user !== apiUser) return nothing;
  return await withRoot(host, login, async (run) => {
    const seen = await lookAtAccess(name, run);
    // Somebody else may have removed it on the host; here it is still configured.
    const removal = seen === undefined ? { lines: [], commands: [] } : planRemoval(seen, api.tokenName);
    const file = resolve(loaded.folder, `./keys/${name}-api-token`);
    return {
      lines: [
        ...removal.lines.map((line) => `Proxmox API: ${line}`),
        `Proxmox API: remove ${file}, and its keys from the configuration`,
      ],
      carryOut: async () => {
        await withRoot(host, login, (asRoot) => removeAccess(name, asRoot, removal));
        removeHostKeys(loaded, name, writtenKeys);
        rmSync(file, { force: true });
      },
    };
  });
}

const writtenKeys = [
  ...['PROXMOX_HOST', 'PROXMOX_PORT', 'PROXMOX_USER', 'PROXMOX_TOKEN_NAME', 'PROXMOX_TOKEN_VALUE'],
  ...['PROXMOX_TOKEN_VALUE_FILE', 'PROXMOX_FINGERPRINT'],
];

async function withRoot<T>(host: HostConfig, login: Login, work: (run: RunAsRoot) => Promise<T>): Promise<T> {
  const admin = connectAdministrator(host.name, login.login, login.log, login.sudoPassword);
  try {
    return await work((argv) => admin.runProgram(argv, timeoutMs));
  } finally {
    await admin.close();
  }
}

function onlyServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  throw error;
}

/** Whether the API takes the API token that is configured. Throws where it can't be told. */
async function isAccepted(api: ProxmoxApiConfig, { log }: Login): Promise<boolean> {
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

async function prove(name: string, api: ProxmoxApiConfig, { log }: Login): Promise<void> {
  const client = createProxmoxClient(api, { log });
  try {
    const permissions = await client.permissions('/');
    if (Object.keys(permissions['/'] ?? {}).length > 0) return note(`The Proxmox API of ${name} accepts the token.`);
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

function isSwitchedOff({ settings }: LoadedConfig): boolean {
  const text = settings.get('ENABLE_PROXMOX_API')?.text ?? 'true';
  return /^(false|no|n|off|0)$/i.test(text);
}

function byHand(name: string, { user, tokenName }: ProxmoxApiConfig): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `${name} has the API token ${user}!${tokenName} already, which somebody has made`,
    remedy: `To have one made, take its PROXMOX_ keys out of the configuration first.`,
  });
}

function switchedOff(name: string): ServiceError {
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
