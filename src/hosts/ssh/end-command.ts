import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientChannel } from 'ssh2';
import { labelVariable } from '../execution/label.ts';
import { shellScript } from '../execution/script.ts';
import { toCommandLine } from './command-line.ts';
import type { SshLimits } from './limits.ts';
import type { Lease } from './pool.ts';

/**
 * sshd leaves a command running whose channel is closed, unless it has a terminal. So ending one takes:
 * SIGTERM to its process group through SSH's own `signal` request, which OpenSSH refuses before 7.9, for forced
 * commands and (up to 9.7) for root; beside it, SIGTERM to every process of the same user that carries the command's
 * label in its environment, which also finds children that left the group; and SIGKILL both ways when that did not help.
 *
 * What sudo started belongs to root and carries no label: only the host helper can end that, by its own deadline.
 *
 * @returns Whether the command's end was seen. Otherwise the channel is closed and the connection retired.
 */
export async function endCommand(
  lease: Lease,
  channel: ClientChannel,
  label: string,
  closed: Promise<unknown>,
  limits: SshLimits,
): Promise<boolean> {
  for (const signal of ['TERM', 'KILL'] as const) {
    channel.signal(signal);
    killLabelled(lease, label, signal);
    if (await settlesWithin(closed, limits.graceMs)) return true;
  }
  channel.close();
  lease.retire();
  return false;
}

const killScript = shellScript(new URL('./kill-labelled.sh', import.meta.url));

function killLabelled(lease: Lease, label: string, signal: 'TERM' | 'KILL'): void {
  if (!lease.alive()) return;
  const line = toCommandLine(killScript(`${labelVariable}=${label}`, signal));
  try {
    // Its result does not matter: whether the command ended is seen on the command's own channel.
    lease.client.exec(line, (_error, channel) => {
      channel?.on('error', () => undefined).resume();
      channel?.stderr.resume();
      channel?.end();
    });
  } catch {
    // The connection died in this moment, and with it every way to reach the command.
  }
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(ms, false, { signal: timer.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return settled;
}
