import type { HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Argv, CommandResult, Executor } from './execution/executor.ts';

/** What tells one machine from another. */
export interface Machine {
  /** `/etc/machine-id`: a clone has that of its original. */
  readonly id: string;
  /** Of this start of its kernel: no two machines have the same. */
  readonly boot: string;
}

const idFile = '/etc/machine-id';
const bootFile = '/proc/sys/kernel/random/boot_id';
const timeoutMs = 15_000;

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
  const known = new Map<string, { readonly name: string; readonly executor: Executor }>();

  async function enter(config: HostConfig, executor: Executor): Promise<void> {
    const id = await read(executor, idFile);
    // Some containers have none; then nothing can be told.
    if (!isMachineId(id)) return;
    const key = `${id} ${config.layout.state}`;
    const other = known.get(key);
    if (other === undefined || other.name === config.name) {
      known.set(key, { name: config.name, executor });
      return;
    }
    const [own, theirs] = await Promise.all([
      read(executor, bootFile),
      // Who can't be asked now may be the same.
      read(other.executor, bootFile).catch(() => ''),
    ]);
    if (isDifferent(own, theirs)) return;
    throw sameMachine(config.name, other.name, `machine-id ${id}`);
  }

  return {
    guard(config, executor) {
      const mayMeet = hosts.some((other) => mayBeSame(config, other));
      if (!mayMeet) return executor;
      let entered: Promise<void> | undefined;
      const first = () => {
        entered ??= enter(config, executor).catch((error: unknown) => {
          entered = undefined;
          throw error;
        });
        return entered;
      };
      return {
        ...executor,
        async exec(argv, options) {
          await first();
          return executor.exec(argv, options);
        },
        async upload(from, to, options) {
          await first();
          return executor.upload(from, to, options);
        },
        async download(from, to, options) {
          await first();
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

/** What is known of a machine; undefined where it doesn't say. */
export async function machineOf(executor: Executor): Promise<Machine | undefined> {
  const [id, boot] = [await read(executor, idFile), await read(executor, bootFile)];
  return toMachine(id, boot);
}

/** The machine, if what it said tells it from others. */
export function toMachine(id: string, boot: string): Machine | undefined {
  return isMachineId(id) ? { id, boot } : undefined;
}

/** A clone has the machine-id of its original, but not its start. */
export function isSameMachine(a: Machine, b: Machine): boolean {
  return a.id === b.id && !isDifferent(a.boot, b.boot);
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

/** Empty, `uninitialized`, and that of an image which was never started, are of nobody. */
function isMachineId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text) && !/^0+$/.test(text);
}

function isDifferent(one: string, other: string): boolean {
  return one !== '' && other !== '' && one !== other;
}

/** As the service's user; empty where it can't be read. Throws what connecting throws. */
async function read(executor: Executor, path: string): Promise<string> {
  const argv: Argv = ['/usr/bin/env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C', 'cat', path];
  const { exitCode, stdout }: CommandResult = await executor.exec(argv, { timeoutMs, maxOutputBytes: 256 });
  return exitCode === 0 ? stdout.trim() : '';
}
