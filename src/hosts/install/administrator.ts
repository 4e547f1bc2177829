import { userInfo } from 'node:os';
import type { Readable } from 'node:stream';
import { ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Argv, CommandResult, Executor } from '../execution/executor.ts';
import { createLocalExecutor } from '../local/executor.ts';
import type { SshLogin } from '../ssh/credential.ts';
import { createSshExecutor } from '../ssh/executor.ts';
import { agent, bringAgent, workFolder } from './agent.ts';
import { becomeRoot, type RunAsRoot, type SudoPassword } from './become-root.ts';

/** An administrator's login on a host, who is root there or becomes it by sudo. */
export interface Administrator {
  /** The host's name, for messages. */
  readonly name: string;
  /** Runs a verb of the agent without leaving the agent on the host. Returns its standard output. */
  runOnce(
    verb: 'look' | 'uninstall' | 'add_sudo' | 'remove_sudo',
    args: readonly string[],
    timeoutMs?: number,
  ): Promise<string>;
  /** Brings the agent to the host and starts its verb. */
  bring(verb: 'arm', args: readonly string[]): Promise<void>;
  /** Runs a verb of the agent that was brought. */
  run(verb: string, args: readonly string[], content?: string): Promise<void>;
  /** Runs a POSIX shell script as root without leaving it on the host. Its result, whatever its exit code. */
  runScript(script: string, args: readonly string[], timeoutMs: number): Promise<CommandResult>;
  /** Runs a program of the host as root, without this session's environment. Its result, whatever its exit code. */
  runProgram(argv: Argv, timeoutMs: number): Promise<CommandResult>;
  /** The same of a program that reads a stream. */
  feedProgram(argv: Argv, stdin: Readable, timeoutMs: number, signal?: AbortSignal): Promise<CommandResult>;
  /** Whether this login is, or becomes, root. */
  provesRoot(): Promise<boolean>;
  /** Runs a program as another user, without root's rights. */
  runAs(user: string, argv: Argv): Promise<CommandResult>;
  close(): Promise<void>;
}

/**
 * @param ssh - undefined: this machine itself
 * @param password - undefined: nobody can be asked for one
 * @param needsRoot - false: what is to be done is this user's own, as where the helper runs without sudo
 */
export function connectAdministrator(
  name: string,
  ssh: SshLogin | undefined,
  log: Log,
  password?: SudoPassword,
  needsRoot = true,
): Administrator {
  const executor = ssh ? createSshExecutor({ name, ssh, log }) : createLocalExecutor({ name, log });
  const user = ssh?.user ?? userInfo().username;
  const isRoot = !needsRoot || (ssh ? user === 'root' : process.getuid?.() === 0);
  return administrator(name, executor, becomeRoot({ name, executor, user, isRoot, password }));
}

function administrator(name: string, executor: Executor, asRoot: RunAsRoot): Administrator {
  const exec = async (argv: Argv, stdin?: string, timeoutMs?: number) => {
    const result = await asRoot(argv, stdin, timeoutMs);
    if (result.exitCode !== 0) throw agentError(name, result);
    return result.stdout;
  };
  return {
    name,
    runOnce: (verb, args, timeoutMs) => exec(['/bin/sh', '-s', '--', verb, ...args], agent, timeoutMs),
    async bring(verb, args) {
      await exec(bringAgent(verb, args), agent);
    },
    async run(verb, args, content) {
      await exec(['/bin/sh', `${workFolder}/agent`, verb, ...args], content);
    },
    runScript: (script, args, timeoutMs) =>
      asRoot(
        [...cleanShell, 'timeout', '-k', '5', String(Math.ceil(timeoutMs / 1000)), ...readScript, ...args],
        script,
        timeoutMs + 10_000,
      ),
    runProgram: (argv, timeoutMs) => asRoot([...cleanShell, ...argv], undefined, timeoutMs),
    feedProgram: (argv, stdin, timeoutMs, signal) => asRoot([...cleanShell, ...argv], stdin, timeoutMs, signal),
    provesRoot: async () => (await exec(['/usr/bin/id', '-u'])).trim() === '0',
    runAs: (user, argv) => asRoot(['/usr/sbin/runuser', '-u', user, '--', ...argv]),
    close: () => executor.close(),
  };
}

/** As the helper starts its own. */
const cleanShell = [
  '/usr/bin/env',
  '-i',
  'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
  'LC_ALL=C',
  'HOME=/nonexistent',
] as const;
const readScript = ['/bin/sh', '-s', '--'] as const;

function agentError(name: string, { exitCode, stderr }: CommandResult): ServiceError {
  const said = /^proxmox-mcp-install: (.*)$/m.exec(stderr)?.[1];
  const details = { host: name, exitCode };
  // The agent leaves last, when everything is back.
  if (said === undefined && stderr.includes(`${workFolder}/agent`)) {
    return new ServiceError({
      code: 'verification-failed',
      message: `${name} has reverted the installation: the time to confirm was over, or the host was restarted`,
      remedy: 'Make sure that the host stays up and answers quickly, then try again.',
      details: { ...details, putBack: true },
    });
  }
  if (said === undefined && /^sudo(-rs)?: /m.test(stderr)) {
    return new ServiceError({
      code: 'forbidden',
      message: `sudo on ${name} does not let this login become root any more (${lastLine(stderr)})`,
      remedy: 'Look at its rules on the host (sudo -l), or log in as root (--as root).',
      details,
    });
  }
  return new ServiceError({
    code: exitCode === 76 ? 'conflict' : 'command-failed',
    message: `On ${name}: ${said ?? (lastLine(stderr) || `the installation's script ended with ${exitCode}`)}`,
    remedy: exitCode === 76 ? 'Wait for it to end, then try again.' : 'Correct that on the host, then try again.',
    retryable: exitCode === 76,
    details,
  });
}

function lastLine(text: string): string {
  return (text.trim().split('\n').at(-1) ?? '').slice(0, 300);
}
