import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs `ssh-keygen` on this machine with the person's own terminal, where it asks for the passphrase, or for a touch of the
 * key. No agent is asked: whatever has a shell as this person could ask it, too.
 *
 * @returns the exit code; 127 where there is no ssh-keygen
 */
export async function sshKeygen(args: readonly string[]): Promise<number> {
  const { SSH_AUTH_SOCK: _agent, SSH_ASKPASS: _askpass, ...env } = process.env;
  const child = spawn('ssh-keygen', args, { stdio: ['inherit', 'ignore', 'inherit'], env });
  try {
    const [code] = await once(child, 'exit');
    return typeof code === 'number' ? code : 1;
  } catch {
    return 127;
  }
}
