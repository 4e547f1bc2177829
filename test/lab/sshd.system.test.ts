import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { run } from '../../lab/engine.ts';
import { startSshd } from '../../lab/sshd.ts';

// Its user has the number that lab hosts give to theirs: they lost all their connections at once.
it.runIf(process.getuid?.() === 0)('a loopback sshd ends nothing of lab hosts when it goes with its user', async () => {
  const sshd = await startSshd({ newUser: true });
  const number = (await run(['id', '-u', sshd.ssh.user])).stdout.trim();
  // As in a lab host: the same number in another namespace of process ids.
  const args = ['--pid', '--fork', '--kill-child', 'setpriv', `--reuid=${number}`, '--clear-groups', 'sleep', '900'];
  const stranger = spawn('unshare', args, { stdio: 'ignore' });
  const gone = once(stranger, 'exit');
  try {
    await expect.poll(async () => (await run(['pgrep', '-u', number, 'sleep'])).exitCode, { timeout: 20_000 }).toBe(0);
    await sshd.stop();
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    expect((await run(['pgrep', '-u', number, 'sleep'])).exitCode).toBe(0);
  } finally {
    // Another user's process doesn't hear of its parent's end.
    for (const child of (await run(['pgrep', '-P', String(stranger.pid)])).stdout.split('\n').filter(Boolean))
      process.kill(Number(child), 'SIGKILL');
    stranger.kill('SIGKILL');
    await gone;
  }
});
