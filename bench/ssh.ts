import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import pino from 'pino';
import { type Sshd, startSshd } from '../lab/sshd.ts';
import type { Executor } from '../src/hosts/execution/executor.ts';
import { createSshExecutor } from '../src/hosts/ssh/executor.ts';
import { holding } from './lib/clean-up.ts';
import { watchingMemory } from './lib/memory.ts';
import { killUsersOf, runProgram, sshArguments } from './lib/openssh.ts';
import { type BenchResult, contest, medianMs, quantile } from './lib/ratio.ts';
import { serverMs } from './ssh/server-ms.ts';

const log = pino({ level: 'silent' });
const perBlock = 60;
const gibibyte = 1024 ** 3;

/**
 * Commands and streams over our pool, against OpenSSH's client and the machine's floor, on a loopback sshd. Everybody
 * runs the same: the login shell, sh, becomes /bin/true.
 */
export async function benchSsh(): Promise<BenchResult[]> {
  const sshd = await startSshd({ newUser: process.getuid?.() === 0, config: ['LogLevel INFO'] });
  const ssh = createSshExecutor({ name: 'bench', ssh: sshd.ssh, log });
  const release = async () => {
    await killUsersOf(sshd);
    await ssh.close();
    await sshd.stop();
  };
  return holding(release, async () => [
    await againstControlMaster(sshd, ssh),
    await againstFloor(ssh),
    ...(await streams(sshd, ssh)),
  ]);
}

const exec = (ssh: Executor) => ssh.exec(['/bin/true'], { timeoutMs: 10_000 });

async function againstControlMaster(sshd: Sshd, ssh: Executor): Promise<BenchResult> {
  const control = [...sshArguments(sshd, true), '/bin/true'];
  const shares: number[] = [];
  const result = await contest({
    name: 'pooled SSH command / OpenSSH with ControlMaster',
    aim: { atMost: 0.25 },
    unit: 'ms',
    block: `${perBlock} commands`,
    ours: async () => {
      shares.push(...(await serverMs(sshd, perBlock)));
      return medianMs(perBlock, () => exec(ssh));
    },
    theirs: () => medianMs(perBlock, () => runProgram('ssh', control)),
  });
  const share = quantile(shares, 0.5).toPrecision(3);
  const note = `of ours, ${share} ms are sshd's own, from the request to the exit status: it forks and starts the shell, which becomes the command`;
  return { ...result, notes: [...result.notes, note] };
}

/** What no client can avoid: the host starts a shell that becomes the command, and a packet goes there and back. */
async function againstFloor(ssh: Executor): Promise<BenchResult> {
  const forks = async (script: string) => medianMs(perBlock, () => runProgram('/bin/sh', ['-c', script]));
  const ofBuiltin: number[] = [];
  const result = await contest({
    name: 'pooled SSH command / (fork of the same shell and command here + channel round trip)',
    aim: { atMost: 1.5 },
    unit: 'ms',
    block: `${perBlock} commands`,
    ours: () => medianMs(perBlock, () => exec(ssh)),
    theirs: async () => {
      const roundTrip = await roundTripMs(ssh);
      ofBuiltin.push((await forks('true')) + roundTrip);
      return (await forks('exec /bin/true')) + roundTrip;
    },
  });
  const note = `with sh's builtin true, which executes nothing, the floor would be ${quantile(ofBuiltin, 0.5).toPrecision(3)} ms`;
  return { ...result, notes: [...result.notes, note] };
}

/** A byte to `cat` on an open channel and back. */
async function roundTripMs(ssh: Executor): Promise<number> {
  const there = new PassThrough();
  const back = new PassThrough();
  const cat = ssh.exec(['/bin/cat'], { timeoutMs: 60_000, stdin: there, stdoutTo: back });
  const one = () =>
    new Promise<void>((resolve) => {
      back.once('data', () => resolve());
      there.write('x');
    });
  await one();
  const ms = await medianMs(perBlock, one);
  there.end();
  await cat;
  return ms;
}

async function streams(sshd: Sshd, ssh: Executor): Promise<BenchResult[]> {
  // In memory where there is one: the disk of the machine is not what is measured.
  const file = join('/dev/shm', `proxmox-mcp-bench-${process.pid}`);
  return holding(
    () => rm(file, { force: true }),
    async () => {
      await runProgram('sh', ['-c', `head -c ${gibibyte} /dev/urandom > "$1"; chmod 644 "$1"`, 'sh', file]);
      return [await stream(sshd, ssh, file)];
    },
  );
}

async function stream(sshd: Sshd, ssh: Executor, file: string): Promise<BenchResult> {
  const sshCat = [...sshArguments(sshd, false), `exec /bin/cat ${file}`];
  const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  const ours = async () => {
    const { stdoutBytes } = await ssh.exec(['/bin/cat', file], { timeoutMs: 120_000, stdoutTo: nowhere() });
    if (stdoutBytes !== gibibyte) throw new Error('not the whole file');
  };
  const theirs = async () => {
    const output = openSync('/dev/null', 'w');
    await runProgram('ssh', sshCat, { output, timeoutMs: 120_000 });
    closeSync(output);
  };
  await ours();
  const { result, grewMib } = await watchingMemory(() =>
    contest({
      name: '1 GiB streamed off a host / ssh host cat, same cipher',
      aim: { atLeast: 0.95 },
      unit: 'MiB/s',
      block: '1 GiB',
      blocks: 5,
      ours: () => mibPerSecond(ours),
      theirs: () => mibPerSecond(theirs),
    }),
  );
  return { ...result, notes: [...result.notes, `memory grew by ${grewMib.toFixed(0)} MiB while it did`] };
}

async function mibPerSecond(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return 1024 / ((performance.now() - begun) / 1000);
}
