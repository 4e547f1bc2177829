import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type ConfigFinding, configurationError } from '../config/problems.ts';
import { sshFingerprint } from '../config/value-types.ts';
import type { Config, HostConfig, SshConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { mayBeSame } from '../hosts/one-machine.ts';
import { lookUpHost } from '../hosts/ssh/known-hosts.ts';
import type { Secret } from '../secret.ts';
import { type CliContext, noteWarnings } from './context.ts';
import { typed, whole } from './parse.ts';
import { ask, isYes, note, print } from './terminal.ts';

// What the commands share that an administrator carries out on a host by a login of their own.

export interface LoginOptions {
  readonly as: string;
  readonly key?: string;
  readonly port?: number;
  readonly fingerprint?: string;
  readonly local?: boolean;
  readonly sudoPasswordFile?: string;
}

export interface AgreeOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** The options that say how the administrator logs in. */
export function withLogin(command: Command): Command {
  return command
    .option('--as <user>', 'The administrator to log in as: root, or one who becomes root by sudo', 'root')
    .option(
      '--sudo-password-file <file>',
      "Where the administrator's password is, if sudo asks for it (default: it is asked for on the terminal)",
    )
    .option('--key <file>', "The administrator's private key (default: what ssh would try, then the password)")
    .option('--local', 'This machine is the host: change it directly, as root or by sudo, without SSH')
    .option('--port <port>', "SSH port (default: the host's SSH_PORT)", whole('--port', 1, 65_535))
    .option(
      '--fingerprint <SHA256:…>',
      "Pin the host's SSH key with this fingerprint, if none is pinned, and don't ask",
      typed(sshFingerprint),
    );
}

/** The host, and the administrator's login on it, its SSH key pinned first. */
export async function reach(context: CliContext, name: string, options: LoginOptions) {
  const loaded = context.inspect();
  const { hosts, logLevel } = usable(loaded, name);
  const config = hosts.find((one) => one.name === name);
  if (config === undefined || (config.ssh === undefined && config.local === undefined)) throw unreachable(name, hosts);
  const { createLogger } = await import('../logger.ts');
  const log = createLogger({ level: logLevel, name: 'cli' });
  const { passwordFor, personAtTerminal } = await import('./host-password.ts');
  const isHere = options.local || config.ssh === undefined;
  const who = isHere ? 'this machine' : `${options.as} on ${name}`;
  const common = (ofLogin?: Secret) => {
    const password = passwordFor(who, { file: options.sudoPasswordFile, ofLogin });
    return { log, others: hosts.filter((one) => one.name !== name), ...(password && { sudoPassword: password }) };
  };
  if (config.ssh === undefined) return { ...common(), config, login: undefined };
  if (options.local) {
    await pinUnlessPinned(config, config.ssh, hosts, options.fingerprint);
    return { ...common(), config, login: undefined };
  }
  const ssh: SshConfig = {
    ...config.ssh,
    ...(options.port !== undefined && { port: options.port }),
    user: options.as,
  };
  const [{ findCredential, readCandidates }, { passwordOf }] = await Promise.all([
    import('../hosts/ssh/find-credential.ts'),
    import('../hosts/ssh/credential.ts'),
  ]);
  const agent = process.env.SSH_AUTH_SOCK;
  const person = personAtTerminal();
  const candidates = await readCandidates(name, ssh, {
    home: homedir(),
    ...(agent && { agent }),
    ...(options.key !== undefined && { keyFile: resolve(options.key) }),
    ...(person && { person }),
  });
  // Nobody's key or password is offered to a host that isn't known.
  await pinUnlessPinned(config, ssh, hosts, options.fingerprint);
  const credential = await findCredential(name, ssh, candidates);
  return {
    ...common(passwordOf(credential)),
    config: { ...config, ssh: { ...config.ssh, port: ssh.port } },
    login: { ...ssh, credential },
  };
}

async function pinUnlessPinned(
  host: HostConfig,
  login: SshConfig,
  hosts: readonly HostConfig[],
  fingerprint: string | undefined,
): Promise<void> {
  const { pinned } = lookUpHost(readIfThere(login.knownHostsPath), login.host, login.port);
  if (pinned.length > 0) return;
  const { pinSshHost } = await import('./host-add.ts');
  const others = hosts.filter((other) => mayBeSame(host, other));
  await pinSshHost(host.name, login, { expected: fingerprint, others });
}

/** Shows the plan and asks a person; no answer means no. */
export function askToAgree(what: string, { yes, dryRun }: AgreeOptions): (plan: readonly string[]) => Promise<boolean> {
  return async (plan) => {
    (dryRun ? print : note)(`To ${what}:\n${plan.map((step) => `  ${step}`).join('\n')}`);
    if (dryRun) return false;
    if (yes) return true;
    const answer = await ask('Do this? Type yes: ');
    if (isYes(answer)) return true;
    throw new ServiceError({
      code: answer === undefined ? 'invalid-input' : 'cancelled',
      message:
        answer === undefined
          ? 'Nobody can be asked to agree (no terminal), so nothing was changed'
          : 'Nothing was changed',
      remedy: answer === undefined ? 'Look at the plan, then give --yes.' : 'Run it again when you are ready.',
    });
  };
}

/** The configuration, though the host's API has no token yet: that one is made here. Throws every other problem. */
function usable({ config, problems, warnings }: ReturnType<CliContext['inspect']>, name: string): Config {
  const comes = ['PROXMOX_USER', 'PROXMOX_TOKEN_NAME', 'PROXMOX_TOKEN_VALUE'];
  const isToCome = ({ key, summary }: ConfigFinding) => {
    const word = key.replace(`${name}.`, '');
    if (word === 'PROXMOX_VERIFY_SSL') return summary.startsWith('expected PROXMOX_FINGERPRINT');
    return comes.includes(word) && summary.startsWith('expected a value, because');
  };
  const others = problems.filter((problem) => !isToCome(problem));
  if (others.length > 0) throw configurationError(others);
  noteWarnings(warnings);
  return config;
}

function unreachable(name: string, hosts: readonly HostConfig[]): ServiceError {
  const names = hosts.map((one) => one.name).join(', ') || 'none';
  return new ServiceError({
    code: 'not-found',
    message: `There is no host named ${name} that is reached by SSH or is this machine; configured: ${names}`,
    remedy: `Add it: npx proxmox-mcp host add ${name} --address 192.168.1.137`,
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
