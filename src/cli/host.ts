import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import { type ConfigFinding, configurationError } from '../config/problems.ts';
import { address, fingerprint, hostName, sshFingerprint } from '../config/value-types.ts';
import type { HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { mayBeSame } from '../hosts/one-machine.ts';
import { textTable } from '../reports/table.ts';
import type { CliContext } from './context.ts';
import { acceptBackupCommand } from './host-accept-backup.ts';
import { hostAdministratorsCommands } from './host-administrators.ts';
import type { AccessOptions } from './host-api.ts';
import { bringBackupCommand } from './host-bring-backup.ts';
import { hostInstallCommands, withAccess } from './host-install.ts';
import { hostJobsCommand } from './host-jobs.ts';
import type { AgreeOptions } from './host-login.ts';
import { protectBackupCommand } from './host-protect-backup.ts';
import { byDefault, typed, whole } from './parse.ts';
import { note, print, printJson } from './terminal.ts';

interface AddOptions extends AccessOptions, AgreeOptions {
  readonly address?: string;
  readonly api?: string;
  readonly apiPort: number;
  readonly as?: string;
  readonly sshPort: number;
  readonly fingerprint?: string;
  readonly apiFingerprint?: string;
}

/** `host list|add|install|uninstall|check|jobs|accept-backup|bring-backup|protect-backup|administrators|allow-changes`. */
export function hostCommands(program: Command, context: CliContext): void {
  const host = program.command('host').description('See the managed hosts, pin what identifies them, install on them');

  byDefault(host.command('list', { isDefault: true }))
    .description('List the configured hosts and how each is reached')
    .option('--json', 'Print them as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const { hosts } = await context.config();
      if (json) return printJson(hosts);
      if (hosts.length === 0) return note('No host yet; npm start makes the demo one.');
      print(textTable(['NAME', 'REACHED BY', 'PROXMOX API', 'TIME ZONE'], hosts.map(row)));
    });

  hostInstallCommands(host, context);
  hostJobsCommand(host, context);
  acceptBackupCommand(host, context);
  bringBackupCommand(host, context);
  protectBackupCommand(host, context);
  hostAdministratorsCommands(host, context);

  withAccess(host.command('add <name>'))
    .summary("Show a host's SSH keys and API certificate, ask, and pin them")
    .description(
      "Show a host's SSH keys and API certificate, ask whether they are the right ones, and pin them: the keys in known_hosts, the certificate as PROXMOX_FINGERPRINT beside the host's other keys. The host is one of .env or hosts.yaml; with --address a new one is written to hosts.yaml. With --api the host is reached by its Proxmox API, without SSH: asks for one sign-in of an administrator (nothing of it is kept), shows what it will make, a user, a reading role and a token, and asks.",
    )
    .option('--address <address>', 'Address of a host that is not configured yet')
    .option('--api <address>', 'Address of a host that is to be reached by its Proxmox API, without SSH')
    .option('--api-port <port>', 'Port of that API', whole('--api-port', 1, 65_535), 8006)
    .option('--as <user@realm>', 'With --api: the administrator to sign in as (default: it is asked for)')
    .option('--yes', "With --api: show the plan, and don't ask")
    .option('--dry-run', 'With --api: show the plan and change nothing')
    .option('--ssh-port <port>', 'Its SSH port', whole('--ssh-port', 1, 65_535), 22)
    .option('--fingerprint <SHA256:…>', "Pin the SSH key with this fingerprint and don't ask", typed(sshFingerprint))
    .option(
      '--api-fingerprint <AA:BB:…>',
      "Pin the API certificate with this SHA-256 fingerprint and don't ask",
      typed(fingerprint),
    )
    .action(async (name: string, options: AddOptions) => {
      checkInput(name, options);
      const loaded = context.inspect();
      const known = loaded.config.hosts.find((one) => one.name === name);
      if (options.api !== undefined) return await addByApi(name, { ...options, api: options.api }, loaded, known);
      if (known !== undefined && options.address !== undefined) throw alreadyThere(name);
      if (known === undefined && options.address === undefined) throw notThere(name, loaded);
      const { hosts } = loaded.config;
      if (known === undefined) {
        const { refuseSameAddress } = await import('../hosts/ssh/same-host.ts');
        // A host under two names would have two locks.
        await refuseSameAddress(name, { address: options.address ?? '', sshPort: options.sshPort }, hosts);
      }
      const { pinSshHost, confirmCertificate, writeHostKeys } = await import('./host-add.ts');
      const ssh = known === undefined ? newSsh(loaded, options) : known.ssh;
      const others = hosts.filter((other) => known === undefined || mayBeSame(known, other));
      if (ssh !== undefined) await pinSshHost(name, ssh, { expected: options.fingerprint, others });
      const isNew = known === undefined;
      const sha256 = known?.api && (await confirmCertificate(name, known.api, options.apiFingerprint));
      const keys = {
        ...(isNew && ssh && { SSH_HOST: ssh.host, SSH_PORT: ssh.port }),
        ...(sha256 !== undefined && { PROXMOX_FINGERPRINT: sha256 }),
      };
      if (Object.keys(keys).length > 0) writeHostKeys(loaded, name, keys, isNew);
      const [{ nextAfterAdding }, { createLogger }] = await Promise.all([
        import('./host-next.ts'),
        import('../logger.ts'),
      ]);
      const log = createLogger({ level: 'error', name: 'cli' });
      note(await nextAfterAdding({ name, ...(ssh && { ssh }) }, log));
    });
}

/** By its Proxmox API alone; or the API of a host that is reached by SSH, and has none configured. */
async function addByApi(
  name: string,
  options: AddOptions & { readonly api: string },
  loaded: LoadedConfig & { readonly problems: readonly ConfigFinding[] },
  known: HostConfig | undefined,
): Promise<void> {
  if (known?.api !== undefined) {
    throw new ServiceError({
      code: 'already-exists',
      message: `${name} has a Proxmox API configured already, at ${known.api.host}:${known.api.port}`,
      remedy: `Put its access in order: npx proxmox-mcp host install ${name}`,
    });
  }
  if (loaded.problems.length > 0) throw configurationError(loaded.problems);
  const [{ accessWanted }, { makeBySignIn }, { nextAfterInstalling }, { createLogger }, { refuseSameAddress }] =
    await Promise.all([
      import('./host-api.ts'),
      import('./host-sign-in.ts'),
      import('./host-next.ts'),
      import('../logger.ts'),
      import('../hosts/ssh/same-host.ts'),
    ]);
  const wanted = accessWanted(options, loaded.config);
  const { hosts, logLevel } = loaded.config;
  // A host under two names would have two locks.
  if (known === undefined) await refuseSameAddress(name, { address: options.api, sshPort: options.sshPort }, hosts);
  const outcome = await makeBySignIn(
    {
      loaded,
      name,
      address: { host: options.api, port: options.apiPort, trust: { kind: 'system' } },
      host: known,
      log: createLogger({ level: logLevel, name: 'cli' }),
    },
    wanted,
    { ...options, expected: options.apiFingerprint },
  );
  if (outcome !== 'made') return;
  print(`${name} is added: operations reach it by its Proxmox API.`);
  const state = { configured: true, isHere: false };
  for (const line of await nextAfterInstalling(name, loaded.config, state)) note(line);
}

function row({ name, ssh, local, api, timeZone }: HostConfig): string[] {
  const reached = ssh ? `ssh ${ssh.user}@${ssh.host}:${ssh.port}` : local ? 'this machine' : '-';
  return [name, reached, api ? `${api.user}!${api.tokenName} at ${api.host}:${api.port}` : '-', timeZone];
}

function newSsh({ config, folder }: LoadedConfig, options: AddOptions) {
  return {
    host: options.address ?? '',
    port: options.sshPort,
    user: 'claude-user',
    keyPath: resolve(folder, 'keys/claude_proxmox_key'),
    knownHostsPath: resolve(config.dataDir, 'known_hosts'),
  };
}

function checkInput(name: string, options: AddOptions): void {
  const wrong = (message: string, remedy: string) => new ServiceError({ code: 'invalid-input', message, remedy });
  if (!hostName.schema.safeParse(name).success) {
    throw wrong(`${JSON.stringify(name)} can't be the name of a host`, `Use ${hostName.expected}.`);
  }
  if (options.address !== undefined && options.api !== undefined) {
    throw wrong(
      '--address and --api are both given',
      'Give --address for a host that is reached by SSH (host install makes its API access too), or --api for one that is not.',
    );
  }
  for (const given of [options.address, options.api]) {
    if (given === undefined || address.schema.safeParse(given).success) continue;
    throw wrong(`${JSON.stringify(given)} is no address`, address.explain?.(given) ?? `Give ${address.expected}.`);
  }
  const onlyWithApi = (['changes', 'readOnly', 'readToken', 'allow', 'expires', 'as', 'yes', 'dryRun'] as const).find(
    (key) => options.api === undefined && options[key] !== undefined,
  );
  if (onlyWithApi !== undefined) {
    const option = `--${onlyWithApi.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw wrong(`${option} is for --api`, `Give --api ADDRESS, or leave ${option} for host install.`);
  }
}

function alreadyThere(name: string): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `${name} is configured already`,
    remedy: `Leave --address out to pin it: npx proxmox-mcp host add ${name}`,
  });
}

function notThere(name: string, loaded: LoadedConfig & { readonly problems: readonly ConfigFinding[] }): ServiceError {
  // The host may be missing because its entry is wrong.
  if (loaded.problems.length > 0) return configurationError(loaded.problems);
  const names = loaded.config.hosts.map((one) => one.name).join(', ') || 'none';
  return new ServiceError({
    code: 'not-found',
    message: `There is no host named ${name}; configured: ${names}`,
    remedy: `Give its address to add it: npx proxmox-mcp host add ${name} --address 192.168.1.137`,
  });
}
