import type { HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type Machine, machineIdentity } from './commands/shared/machine.ts';
import { startDeadline } from './execution/deadline.ts';
import type { Argv, ExecOptions, Executor, TransferOptions } from './execution/executor.ts';
import { retryLook } from './helper/call.ts';
import { fillVector, resolveCommand } from './helper/resolve.ts';

/** Sees to it that no machine is worked on under two names: each would have a lock of its own. */
export interface OneName {
  /**
   * The executor, which looks before its first command whether another host was the same machine. Throws `configuration` then,
   * and executes nothing.
   */
  guard(config: HostConfig, executor: Executor): Executor;
}

/**
 * @param hosts - all that are configured: where there is one alone, nothing is looked at
 */
export function createOneName(hosts: readonly HostConfig[]): OneName {
  const known = new Map<string, { readonly config: HostConfig; readonly executor: Executor }>();

  async function enter(config: HostConfig, executor: Executor): Promise<void> {
    const machine = await machineOf(executor, config);
    if (machine === undefined) return;
    const key = `${machine.id} ${config.layout.state}`;
    const other = known.get(key);
    if (other === undefined || other.config.name === config.name) {
      known.set(key, { config, executor });
      return;
    }
    // Who can't be asked now may be the same; and it may have started anew since it was asked.
    const now = await machineOf(other.executor, other.config).catch(() => ({ id: machine.id, boot: '' }));
    if (now === undefined || !isSameMachine(machine, now)) return;
    throw sameMachine(config.name, other.config.name, `machine-id ${machine.id}`);
  }

  return {
    guard(config, executor) {
      const mayMeet = hosts.some((other) => mayBeSame(config, other));
      if (!mayMeet) return executor;
      let entered: Promise<void> | undefined;
      let isIn = false;
      const first = async (what: string, { timeoutMs, signal }: ExecOptions | TransferOptions) => {
        if (isIn) return;
        entered ??= enter(config, executor).catch((error: unknown) => {
          entered = undefined;
          // Nothing that was asked for has begun.
          throw retryLook(config, error);
        });
        const deadline = startDeadline(`${config.name}: ${what}`, timeoutMs, signal);
        try {
          if ((await Promise.race([entered, deadline.passed])) === 'passed') throw deadline.reason();
          isIn = true;
        } finally {
          deadline.clear();
        }
      };
      return {
        ...executor,
        async exec(argv, options) {
          await first(argv[0], options);
          return executor.exec(argv, options);
        },
        async upload(from, to, options) {
          await first(`upload ${to}`, options);
          return executor.upload(from, to, options);
        },
        async download(from, to, options) {
          await first(`download ${from}`, options);
          return executor.download(from, to, options);
        },
      };
    },
  };
}

/**
 * Whether two configured hosts could be two names of one installation: both are reached by commands, have the same state
 * folder (installations with their own may be side by side), and neither shares its machine-id with others.
 */
export function mayBeSame(a: HostConfig, b: HostConfig): boolean {
  const counts = ({ ssh, local, sharesMachineId }: HostConfig) => (ssh ?? local) !== undefined && !sharesMachineId;
  return a.name !== b.name && counts(a) && counts(b) && a.layout.state === b.layout.state;
}

/** As the service's user. Throws what connecting throws. */
export async function machineOf(executor: Executor, { layout }: HostConfig): Promise<Machine | undefined> {
  const vector = fillVector(resolveCommand(machineIdentity, layout), []);
  const argv: Argv = ['/usr/bin/env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C', ...vector];
  const { timeoutMs, maxOutputBytes } = machineIdentity;
  return machineIdentity.answer.parse(await executor.exec(argv, { timeoutMs, maxOutputBytes }));
}

/** A clone has the machine-id of its original, but not its start. */
export function isSameMachine(a: Machine, b: Machine): boolean {
  const bothSay = a.boot !== '' && b.boot !== '';
  return a.id === b.id && !(bothSay && a.boot !== b.boot);
}

/** The error for a second name of one machine. `by` says what they have in common. */
export function sameMachine(name: string, other: string, by: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `${name} and ${other} are the same machine (${by}), so nothing was done under the name ${name}`,
    remedy: `Remove one of them from .env or hosts.yaml. If they are two machines, one a clone of the other, give the clone an id of its own (on the clone: rm /etc/machine-id; systemd-machine-id-setup; then reboot it); where that can't be, write SHARES_MACHINE_ID=true for it.`,
    details: { host: name, other },
  });
}
