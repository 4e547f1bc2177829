import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { sshFingerprint } from '../config/value-types.ts';
import type { HostConfig, SshConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { defaultRevertAfterSeconds } from '../hosts/install/options.ts';
import { lookUpHost } from '../hosts/ssh/known-hosts.ts';
import { findingLines } from '../reports/text.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { typed, whole } from './parse.ts';
import { ask, note, print, printJson } from './terminal.ts';

interface LoginOptions {
  readonly as: string;
  readonly key?: string;
  readonly port?: number;
  readonly fingerprint?: string;
  readonly local?: boolean;
  readonly sudoPasswordFile?: string;
}

interface AgreeOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** `host install|uninstall|check`, registered below `host`. */
export function hostInstallCommands(host: Command, context: CliContext): void {
  withLogin(host.command('install <name>'))
    .summary("Put the service's user, key, helper and policy of sudo on a host")
    .description(
      "Put the service's user, key, helper and policy of sudo on a host, over an administrator's own SSH login. Shows its plan and asks. The host reverts everything by itself unless new connections prove in time that the service and the administrator can log in. Run it again after an update of Proxmox MCP.",
    )
    .option('--from <addresses>', "Addresses the service's key may be used from, with commas between; '*': anywhere")
    .option('--yes', "Don't ask")
    .option('--dry-run', 'Show the plan and change nothing')
    .option(
      '--revert-after <seconds>',
      'How long the host waits for the proof',
      whole('--revert-after', 3, 600),
      defaultRevertAfterSeconds,
    )
    .action(async (name: string, options: LoginOptions & AgreeOptions & { from?: string; revertAfter: number }) => {
      const { install } = await import('../hosts/install/install.ts');
      const { config, ...access } = await reach(context, name, options);
      const interruption = explainInterruption(name, options.revertAfter);
      const outcome = await install(config, {
        ...access,
        ...(options.from !== undefined && { from: options.from }),
        revertAfterSeconds: options.revertAfter,
        agree: askToAgree(`install on ${name}`, options),
        progress: (step) => {
          interruption.begun();
          note(`· ${step}`);
        },
      }).finally(interruption.dispose);
      if (outcome === 'nothing-to-do') print(`${name} is as it should be: nothing to do.`);
      if (outcome === 'installed') print(`Installed on ${name}, and verified over new connections.`);
    });

  withLogin(host.command('uninstall <name>'))
    .summary('Take everything of the service off a host')
    .description(
      'Take the policy, user, key, helper, folders and logs of the service off a host. A user or folder that was there before stays, as it was then. Backups stay unless --remove-backups. Refused while jobs run.',
    )
    .option('--remove-backups', 'Also remove the backups on the host')
    .option('--keep-logs', "Keep sudo's log and recordings of what the service did")
    .option('--yes', "Don't ask")
    .option('--dry-run', 'Show the plan and change nothing')
    .action(
      async (name: string, options: LoginOptions & AgreeOptions & { removeBackups?: boolean; keepLogs?: boolean }) => {
        const { uninstall } = await import('../hosts/install/uninstall.ts');
        const { config, ...access } = await reach(context, name, options);
        const outcome = await uninstall(config, {
          ...access,
          removeBackups: options.removeBackups ?? false,
          keepLogs: options.keepLogs ?? false,
          agree: askToAgree(`uninstall on ${name}`, options),
        });
        if (outcome === 'nothing-to-do') print(`There is nothing of the service on ${name}.`);
        if (outcome === 'uninstalled') print(`Uninstalled from ${name}.`);
      },
    );

  withLogin(host.command('check <name>'))
    .summary('Find what differs on a host from what host install put there')
    .description(
      'Find what differs on a host from what host install put there: user, key, helper, policy, folders and their modes. Changes nothing. Exit code 1 when something differs.',
    )
    .option('--json', 'Print it as JSON')
    .action(async (name: string, options: LoginOptions & { json?: boolean }) => {
      const { checkInstallation } = await import('../hosts/install/check.ts');
      const { config, ...access } = await reach(context, name, options);
      const findings = await checkInstallation(config, access);
      const healthy = findings.length === 0;
      if (options.json) printJson({ host: name, healthy, findings });
      else if (healthy) print(`${name} is as it should be.`);
      else {
        const lines = findings.flatMap((finding) => findingLines(finding));
        print([`${name} differs from what host install put there:`, ...lines].join('\n'));
      }
      if (!healthy) context.exitWith(exitCodes.failed);
    });
}

function withLogin(command: Command): Command {
  return command
    .option('--as <user>', 'The administrator to log in as: root, or one who becomes root by sudo', 'root')
    .option(
      '--sudo-password-file <file>',
      "Where the administrator's password is, if sudo asks for it (default: it is asked for on the terminal)",
    )
    .option('--key <file>', "The administrator's private key (default: the SSH agent, else ~/.ssh/id_ed25519)")
    .option('--local', 'This machine is the host: change it directly, as root or by sudo, without SSH')
    .option('--port <port>', "SSH port (default: the host's SSH_PORT)", whole('--port', 1, 65_535))
    .option(
      '--fingerprint <SHA256:…>',
      "Pin the host's SSH key with this fingerprint, if none is pinned, and don't ask",
      typed(sshFingerprint),
    );
}

/** The host, and the administrator's login on it, its SSH key pinned first. */
async function reach(context: CliContext, name: string, options: LoginOptions) {
  const { hosts, logLevel } = await context.config();
  const config = hosts.find((one) => one.name === name);
  if (config === undefined || (config.ssh === undefined && config.local === undefined)) throw unreachable(name, hosts);
  const { createLogger } = await import('../logger.ts');
  const log = createLogger({ level: logLevel, name: 'cli' });
  const { passwordFor } = await import('./host-password.ts');
  const isHere = options.local || config.ssh === undefined;
  const who = isHere ? 'this machine' : `${options.as} on ${name}`;
  const password = passwordFor(who, options.sudoPasswordFile);
  const common = { log, ...(password && { sudoPassword: password }) };
  if (config.ssh === undefined) return { ...common, config, login: undefined };
  if (options.local) {
    await pinUnlessPinned(name, config.ssh, options.fingerprint);
    return { ...common, config, login: undefined };
  }
  const login: SshConfig = {
    ...config.ssh,
    ...(options.port !== undefined && { port: options.port }),
    user: options.as,
    ...(await keyOf(options, name)),
  };
  await pinUnlessPinned(name, login, options.fingerprint);
  return { ...common, config: { ...config, ssh: { ...config.ssh, port: login.port } }, login };
}

async function keyOf({ key, as }: LoginOptions, host: string): Promise<Pick<SshConfig, 'keyPath' | 'agent'>> {
  const agent = process.env.SSH_AUTH_SOCK;
  const keyPath = key === undefined ? join(homedir(), '.ssh/id_ed25519') : resolve(key);
  if (key === undefined && agent) return { keyPath, agent };
  // The pool would name SSH_KEY_PATH, and that is the service's key.
  const { keyFileError, readKeyFile } = await import('../hosts/ssh/key-file.ts');
  const found = readKeyFile(keyPath, '--key');
  if (found.kind === 'usable') return { keyPath };
  if (found.kind === 'unusable') throw keyFileError(keyPath, found);
  throw new ServiceError({
    code: 'invalid-input',
    message: `There is no SSH key ${keyPath} to log in with as ${as} on ${host}`,
    remedy: 'Name your own private key for that login: --key FILE; or start an SSH agent that holds it (ssh-add).',
  });
}

async function pinUnlessPinned(name: string, login: SshConfig, fingerprint: string | undefined): Promise<void> {
  const { pinned } = lookUpHost(readIfThere(login.knownHostsPath), login.host, login.port);
  if (pinned.length > 0) return;
  const { pinSshHost } = await import('./host-add.ts');
  await pinSshHost(name, login, fingerprint);
}

/** Ctrl-C in the middle of an installation looks like damage; the host reverts it by itself, and a person must know that. */
function explainInterruption(name: string, revertAfter: number) {
  let isChanging = false;
  const say = () => {
    note(
      isChanging
        ? `\nInterrupted. Soon after ${revertAfter} s ${name} puts back by itself what was changed.\nSee that nothing is left: proxmox-mcp host check ${name}`
        : '\nInterrupted. Nothing was changed on the host.',
    );
    process.exit(exitCodes.interrupted);
  };
  process.once('SIGINT', say);
  return {
    begun: () => {
      isChanging = true;
    },
    dispose: () => void process.off('SIGINT', say),
  };
}

/** Shows the plan and asks a person; no answer means no. */
function askToAgree(what: string, { yes, dryRun }: AgreeOptions): (plan: readonly string[]) => Promise<boolean> {
  return async (plan) => {
    (dryRun ? print : note)(`To ${what}:\n${plan.map((step) => `  ${step}`).join('\n')}`);
    if (dryRun) return false;
    if (yes) return true;
    const answer = await ask('Do this? Type yes: ');
    if (answer?.toLowerCase() === 'yes') return true;
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

function unreachable(name: string, hosts: readonly HostConfig[]): ServiceError {
  const names = hosts.map((one) => one.name).join(', ') || 'none';
  return new ServiceError({
    code: 'not-found',
    message: `There is no host named ${name} that is reached by SSH or is this machine; configured: ${names}`,
    remedy: `Add it: proxmox-mcp host add ${name} --address 192.168.1.137`,
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
