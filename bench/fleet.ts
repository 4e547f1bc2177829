import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import pino from 'pino';
import { freePort, type Sshd, startSshd, untilListening } from '../lab/sshd.ts';
import type { Executor } from '../src/clients/executor.ts';
import { createSshExecutor } from '../src/clients/ssh/executor.ts';
import { runProgram, sshArguments } from './lib/openssh.ts';
import { type BenchResult, contest } from './lib/ratio.ts';

const log = pino({ level: 'silent' });
const hosts = 100;
const ansibleVersion = '2.19.14';

/** Like a health check's: short, of several kinds. */
const commands = ['uptime', 'df -P', 'free -b', 'cat /proc/loadavg', 'ps -e -o comm=', 'uname -a'];
const batch = commands.join('; ');

/** The same six commands on 100 hosts (one loopback sshd that listens on 100 ports), by us, by xargs and by Ansible. */
export async function benchFleet(): Promise<BenchResult[]> {
  const ports = await distinctPorts(hosts - 1);
  const sshd = await startSshd({ newUser: process.getuid?.() === 0, config: ['MaxStartups 1000', 'PidFile none'] });
  const listeners = await listenOn(sshd, ports);
  const all = [sshd.ssh.port, ...ports];
  const [line = ''] = (await readFile(sshd.ssh.knownHostsPath, 'utf8')).split('\n');
  const pins = ports.map((port) => line.replace(`:${sshd.ssh.port} `, `:${port} `));
  await appendFile(sshd.ssh.knownHostsPath, `${pins.join('\n')}\n`);
  const warm = executors(sshd, all);
  const block = `${commands.length} commands on each of ${hosts} hosts`;
  const common = { unit: 's', block, blocks: 5 };
  try {
    const overMaster = await contest({
      ...common,
      name: 'fleet, connections warm / xargs -P 50 ssh over ControlMaster',
      aim: { atMost: 1 },
      ours: () => seconds(() => onAll(warm)),
      theirs: () => seconds(() => xargs(sshd, all, true)),
    });
    await closeMasters(sshd, all);
    const ansible = await againstAnsible(sshd, all, warm, common);
    const cold = await contest({
      ...common,
      name: 'fleet, new connections / xargs -P 50 ssh over new connections',
      aim: { atMost: 1 },
      ours: () =>
        seconds(async () => {
          const fresh = executors(sshd, all);
          await onAll(fresh);
          await Promise.all(fresh.map((executor) => executor.close()));
        }),
      theirs: () => seconds(() => xargs(sshd, all, false)),
    });
    return [overMaster, ansible, cold];
  } finally {
    await Promise.all(warm.map((executor) => executor.close()));
    await closeMasters(sshd, all);
    for (const listener of listeners) listener.kill('SIGKILL');
    await sshd.stop();
  }
}

/** More listeners of the same server: one sshd takes 16 ports at most. */
async function listenOn(sshd: Sshd, ports: readonly number[]): Promise<ChildProcess[]> {
  const config = join(sshd.folder, 'sshd_config');
  const groups = Array.from({ length: Math.ceil(ports.length / 15) }, (_, n) => ports.slice(n * 15, n * 15 + 15));
  const listeners = groups.map((group) =>
    spawn('/usr/sbin/sshd', ['-D', '-f', config, ...group.flatMap((port) => ['-p', String(port)])], {
      stdio: 'ignore',
    }),
  );
  for (const port of ports) await untilListening(port);
  return listeners;
}

function executors(sshd: Sshd, ports: readonly number[]): Executor[] {
  return ports.map((port) =>
    createSshExecutor({ name: `host-${port}`, ssh: { ...sshd.ssh, port }, log, limits: { connectMs: 60_000 } }),
  );
}

async function onAll(fleet: readonly Executor[]): Promise<void> {
  const results = await Promise.all(
    fleet.map((executor) => executor.exec(['/bin/sh', '-c', batch], { timeoutMs: 120_000 })),
  );
  if (results.some(({ exitCode, stdout }) => exitCode !== 0 || stdout === '')) throw new Error('a host failed');
}

async function seconds(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return (performance.now() - begun) / 1000;
}

/** One ssh for each host, 50 at once; `$1` is the port. */
async function xargs(sshd: Sshd, ports: readonly number[], multiplexed: boolean): Promise<void> {
  const list = join(sshd.folder, 'ports');
  await writeFile(list, `${ports.join('\n')}\n`);
  await runProgram('xargs', [
    '-a',
    list,
    '-P',
    '50',
    '-I',
    'PORT',
    'ssh',
    ...forPort(sshd, 'PORT', multiplexed),
    batch,
  ]);
}

function forPort(sshd: Sshd, port: number | string, multiplexed: boolean): string[] {
  const port0 = String(sshd.ssh.port);
  return sshArguments(sshd, multiplexed).map((word) => {
    if (word === port0) return String(port);
    return word.startsWith('ControlPath=/') ? `${word}-${port}` : word;
  });
}

async function closeMasters(sshd: Sshd, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const control = join(sshd.folder, `control-${port}`);
    if (existsSync(control)) {
      await runProgram('ssh', ['-O', 'exit', ...forPort(sshd, port, true)]).catch(() => undefined);
    }
  }
}

async function againstAnsible(
  sshd: Sshd,
  ports: readonly number[],
  warm: readonly Executor[],
  common: { unit: string; block: string; blocks: number },
): Promise<BenchResult> {
  const name = 'fleet, connections warm / Ansible, six raw tasks, 50 forks';
  const aim = { atMost: 0.2 };
  const ansible = installAnsible();
  if (ansible.program === undefined) {
    return { name, aim, ratio: undefined, spread: undefined, counts: 'none', notes: [`not measured: ${ansible.why}`] };
  }
  const { ssh, folder } = sshd;
  const inventory = join(folder, 'inventory.ini');
  const settings = `ansible_host=${ssh.host} ansible_user=${ssh.user} ansible_ssh_private_key_file=${ssh.keyPath}`;
  await writeFile(inventory, `${ports.map((port) => `host-${port} ansible_port=${port} ${settings}`).join('\n')}\n`);
  const playbook = join(folder, 'playbook.json');
  const tasks = commands.map((command) => ({ raw: command }));
  await writeFile(playbook, JSON.stringify([{ hosts: 'all', gather_facts: false, tasks }]));
  const control = `-o ControlMaster=auto -o ControlPersist=120 -o UserKnownHostsFile=${ssh.knownHostsPath}`;
  const environment = [
    'ANSIBLE_PIPELINING=True',
    'ANSIBLE_RETRY_FILES_ENABLED=False',
    `ANSIBLE_SSH_ARGS=${control}`,
    `ANSIBLE_SSH_CONTROL_PATH_DIR=${join(folder, 'cp')}`,
    `ANSIBLE_LOCAL_TEMP=${join(folder, 'ansible')}`,
  ];
  const { program } = ansible;
  return contest({
    ...common,
    name,
    aim,
    ours: () => seconds(() => onAll(warm)),
    theirs: () => seconds(() => runProgram('env', [...environment, program, '-f', '50', '-i', inventory, playbook])),
    notes: [`ansible-core ${ansibleVersion}`],
  });
}

/** Ansible from PyPI, in the project's cache. */
function installAnsible(): { program: string } | { program: undefined; why: string } {
  const folder = resolve('.cache', `ansible-${ansibleVersion}`);
  const program = join(folder, 'bin/ansible-playbook');
  if (existsSync(program)) return { program };
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'pipe' });
    execFileSync(join(folder, 'bin/pip'), ['-q', 'install', `ansible-core==${ansibleVersion}`], { stdio: 'pipe' });
    return { program };
  } catch (error) {
    return {
      program: undefined,
      why: `Ansible can't be had from PyPI (${error instanceof Error ? error.message.split('\n')[0] : error})`,
    };
  }
}

async function distinctPorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
