import type { HostConfig } from '../../config.ts';
import type { Log } from '../../log.ts';
import type { Machine } from '../commands/shared/machine.ts';
import { executorOf } from '../connect-hosts.ts';
import { isSameMachine, machineOf, mayBeSame } from '../one-machine.ts';

/** How long another host may take to connect, ms: it may be away, and then it can't be compared. */
const connectMs = 5_000;

/**
 * The configured host that is the same machine under another name, as far as the others can be asked by the service's own
 * login. Who can't be asked now is looked at again when the service first uses it.
 */
export async function findOtherName(
  host: HostConfig,
  machine: Machine | undefined,
  others: readonly HostConfig[],
  log: Log,
): Promise<HostConfig | undefined> {
  if (machine === undefined) return undefined;
  const asked = await Promise.all(
    others
      .filter((other) => mayBeSame(host, other))
      .map(async (other) => {
        const executor = executorOf(other, log, { connectMs });
        try {
          const theirs = await machineOf(executor, other);
          return theirs !== undefined && isSameMachine(machine, theirs) ? other : undefined;
        } catch {
          return undefined;
        } finally {
          await executor.close();
        }
      }),
  );
  return asked.find((other) => other !== undefined);
}
