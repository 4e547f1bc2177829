import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sshd } from '../../lab/sshd.ts';
import { isInterrupted } from './clean-up.ts';

/**
 * Arguments for OpenSSH's client to log in like our executor does: same key, same pinned host key, same cipher.
 *
 * @param port - Default: the server's first one. May be a word that another program replaces by one.
 */
export function sshArguments({ ssh, folder }: Sshd, multiplexed: boolean, port: number | string = ssh.port): string[] {
  const control = ['ControlMaster=auto', `ControlPath=${join(folder, `control-${port}`)}`, 'ControlPersist=180'];
  const settings = [
    `UserKnownHostsFile=${ssh.knownHostsPath}`,
    'IdentitiesOnly=yes',
    'BatchMode=yes',
    'LogLevel=ERROR',
    ...(multiplexed ? control : ['ControlMaster=no', 'ControlPath=none']),
  ];
  return [
    ...['-F', 'none', '-i', ssh.keyPath, '-p', String(port), '-c', 'aes128-gcm@openssh.com'],
    ...settings.flatMap((setting) => ['-o', setting]),
    `${ssh.user}@${ssh.host}`,
  ];
}

export interface ProgramOptions {
  /** A file descriptor for standard output. Default: nowhere. */
  readonly output?: number;
  /** It is killed, and the bench fails, after this long. Default 60 s. */
  readonly timeoutMs?: number;
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a program to its end, and throws unless it succeeds in time. */
export async function runProgram(program: string, args: readonly string[], options: ProgramOptions = {}) {
  if (isInterrupted()) throw new Error('interrupted');
  const { output = 'ignore', timeoutMs = 60_000, environment } = options;
  const child = spawn(program, args, {
    stdio: ['ignore', output, 'ignore'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    ...(environment === undefined ? {} : { env: { ...process.env, ...environment } }),
  });
  const [code, signal] = await once(child, 'close');
  if (signal === 'SIGKILL') throw new Error(`${program} did not end within ${(timeoutMs / 1000).toFixed(0)} s`);
  if (code !== 0) throw new Error(`${program} ended with ${code ?? signal}`);
}

/**
 * Kills every process that works with files of the server's folder: OpenSSH's masters, which outlive who started them
 * and show their control path as their name, and whatever a bench that is interrupted has running.
 */
export async function killUsersOf({ folder }: Sshd): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    // Not the server: it is stopped with its sessions, which it knows.
    if (!words.includes(`${folder}/`) || /^(sshd: |\S*\/sshd\0)/.test(words)) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}
