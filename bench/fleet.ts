import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { type Sshd, startSshd } from '../lab/sshd.ts';
import type { Executor } from '../src/hosts/execution/executor.ts';
import { createSshExecutor } from '../src/hosts/ssh/executor.ts';
import { ansibleVersion, prepareAnsible } from './fleet/ansible.ts';
import { holding } from './lib/clean-up.ts';
import { killUsersOf, runProgram, sshArguments } from './lib/openssh.ts';
import { type BenchResult, type Contest, contest, notMeasured } from './lib/ratio.ts';

const log = pino({ level: 'silent' });
const hosts = 100;

/** Hosts at once, for everybody. */
const atOnce = 50;

/** Like a health check's: short, of several kinds. */
const commands = ['uptime', 'df -P', 'free -b', 'cat /proc/loadavg', 'ps -e -o comm=', 'uname -a'];
const batch = commands.join('; ');

/** For everything, so that it also ends on a busy machine: what has no time left says so. */
const limitMs = 180_000;

/**
 * The same six commands on 100 hosts (a loopback sshd that listens on 100 ports), by us, by xargs and by Ansible. Takes
 * about two minutes on two idle cores; on a busy machine each part has fewer blocks, or says that it had none.
 */
export async function benchFleet(): Promise<BenchResult[]> {
  const until = performance.now() + limitMs;
  const left = () => Math.max(1, Math.round(until - performance.now()));
  const sshd = await startSshd({
    newUser: process.getuid?.() === 0,
    morePorts: hosts - 1,
    config: ['MaxStartups 1000', 'PidFile none', 'LogLevel INFO'],
  });
  const warm = executors(sshd);
  const release = async () => {
    await killUsersOf(sshd);
    await Promise.all(warm.map((executor) => executor.close()));
    await sshd.stop();
  };
  return holding(release, async () => {
    const fleet = { sshd, warm, left };
    const alone = await seconds(() => everywhere(fleet, ['/bin/sh', '-c', batch, 'PORT']));
    const results: BenchResult[] = [];
    for (const part of [overMaster(fleet), overNewConnections(fleet), againstAnsible(fleet)]) {
      results.push(await part.run().catch((error) => notMeasured(part, error)));
      // Its masters, and what a part that failed has still running.
      await killUsersOf(sshd);
    }
    const note = `the commands alone, on this machine, 50 at once: ${alone.toPrecision(3)} s`;
    return results.map((result, n) => (n === 0 ? { ...result, notes: [...result.notes, note] } : result));
  });
}

interface Fleet {
  readonly sshd: Sshd;
  /** One for each host, kept, so that their connections are there. */
  readonly warm: readonly Executor[];
  /** Milliseconds that are left for everything. */
  readonly left: () => number;
}

interface Part extends Pick<Contest, 'name' | 'aim'> {
  readonly run: () => Promise<BenchResult>;
}

const unit = 's';
const block = `${commands.length} commands on each of ${hosts} hosts`;

function overMaster(fleet: Fleet): Part {
  const part = { name: 'fleet, connections warm / xargs -P 50 ssh over ControlMaster', aim: { atMost: 1 } };
  const ssh = ['ssh', ...sshArguments(fleet.sshd, true, 'PORT'), batch];
  const run = () =>
    contest({
      ...part,
      ...{ unit, block, blocks: 5, seconds: 15 },
      ours: () => seconds(() => onAll(fleet.warm, inOneGo(fleet))),
      theirs: () => seconds(() => everywhere(fleet, ssh)),
    });
  return { ...part, run };
}

function againstAnsible(fleet: Fleet): Part {
  const part = { name: 'fleet, connections warm / Ansible, six raw tasks, 50 forks', aim: { atMost: 0.2 } };
  const run = async () => {
    const ansible = await prepareAnsible(fleet.sshd);
    return contest({
      ...part,
      ...{ unit, block, blocks: 5, seconds: 45 },
      notes: [`ansible-core ${ansibleVersion}; each command by itself on both sides`],
      ours: () => seconds(() => onAll(fleet.warm, oneByOne(fleet))),
      // Its connections.
      warmUp: () => ansible(['true'], fleet.left()),
      theirs: () => seconds(() => ansible(commands, fleet.left())),
    });
  };
  return { ...part, run };
}

function overNewConnections(fleet: Fleet): Part {
  const part = { name: 'fleet, new connections / xargs -P 50 ssh over new connections', aim: { atMost: 1 } };
  const ssh = ['ssh', ...sshArguments(fleet.sshd, false, 'PORT'), batch];
  const ours = async () => {
    const fresh = executors(fleet.sshd);
    try {
      await onAll(fresh, inOneGo(fleet));
    } finally {
      await Promise.all(fresh.map((executor) => executor.close()));
    }
  };
  const run = () =>
    contest({
      ...part,
      ...{ unit, block, blocks: 5, seconds: 35 },
      // Nothing that has to be there before: the first block counts.
      warmUp: async () => undefined,
      ours: () => seconds(ours),
      theirs: () => seconds(() => everywhere(fleet, ssh)),
    });
  return { ...part, run };
}

function executors(sshd: Sshd): Executor[] {
  return sshd.ports.map((port) =>
    createSshExecutor({
      name: `host-${port}`,
      ssh: { ...sshd.ssh, port },
      log,
      limits: { connectMs: limitMs, idleMs: limitMs },
    }),
  );
}

const inOneGo = (fleet: Fleet) => (executor: Executor) => run(executor, batch, fleet.left());

const oneByOne = (fleet: Fleet) => async (executor: Executor) => {
  for (const command of commands) await run(executor, command, fleet.left());
};

async function run(executor: Executor, script: string, timeoutMs: number): Promise<void> {
  const { exitCode, stdout } = await executor.exec(['/bin/sh', '-c', script], { timeoutMs });
  if (exitCode !== 0 || stdout === '') throw new Error('a host failed');
}

/** Like the others, 50 at once: what `ps` takes grows with the processes that there are. */
async function onAll(fleet: readonly Executor[], action: (executor: Executor) => Promise<void>): Promise<void> {
  const waiting = fleet.values();
  const workers = Array.from({ length: atOnce }, async () => {
    for (const executor of waiting) await action(executor);
  });
  const outcomes = await Promise.allSettled(workers);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function seconds(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return (performance.now() - begun) / 1000;
}

/** The command once for each host, 50 at once, with the host's port in the place of `PORT`. */
async function everywhere({ sshd, left }: Fleet, command: readonly string[]): Promise<void> {
  const list = join(sshd.folder, 'ports');
  await writeFile(list, `${sshd.ports.join('\n')}\n`);
  await runProgram('xargs', ['-a', list, '-P', String(atOnce), '-I', 'PORT', ...command], { timeoutMs: left() });
}
