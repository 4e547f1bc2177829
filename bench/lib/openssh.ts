import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Sshd } from '../../lab/sshd.ts';

/** Arguments for OpenSSH's client to log in like our executor does: same key, same pinned host key, same cipher. */
export function sshArguments({ ssh, folder }: Sshd, multiplexed: boolean): string[] {
  const control = ['ControlMaster=auto', `ControlPath=${join(folder, 'control')}`, 'ControlPersist=120'];
  const settings = [
    `UserKnownHostsFile=${ssh.knownHostsPath}`,
    'IdentitiesOnly=yes',
    'BatchMode=yes',
    'LogLevel=ERROR',
    ...(multiplexed ? control : ['ControlMaster=no', 'ControlPath=none']),
  ];
  return [
    ...['-F', 'none', '-i', ssh.keyPath, '-p', String(ssh.port), '-c', 'aes128-gcm@openssh.com'],
    ...settings.flatMap((setting) => ['-o', setting]),
    `${ssh.user}@${ssh.host}`,
  ];
}

/** Runs a program to its end, and throws unless it succeeds. */
export async function runProgram(program: string, args: readonly string[], output: number | 'ignore' = 'ignore') {
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', output, 'ignore'] });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}
