import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Sshd, startSshd } from '../../../lab/sshd.ts';
import type { Executor } from '../../../src/hosts/execution/executor.ts';
import { createLocalExecutor } from '../../../src/hosts/local/executor.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { failure, marked, untilGone } from './helpers.ts';

const log = pino({ level: 'silent' });
let sshd: Sshd;
const executors: Partial<Record<Executor['kind'], Executor>> = {};

beforeAll(async () => {
  sshd = await startSshd({ newUser: process.getuid?.() === 0 });
  executors.ssh = createSshExecutor({ name: 'pve1', ssh: sshd.ssh, log });
  executors.local = createLocalExecutor({ name: 'here', log });
});

afterAll(async () => {
  await executors.ssh?.close();
  await executors.local?.close();
  await sshd.stop();
});

describe.each(['ssh', 'local'] as const)('a command over %s', (kind) => {
  const at = (): Executor => {
    const executor = executors[kind];
    if (executor === undefined) throw new Error('no executor');
    return executor;
  };
  const sh = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, 'sh', ...args] as const;

  it('gives its exit status and both streams', async () => {
    const result = await at().exec(sh('echo out; echo err >&2; exit 3'), { timeoutMs: 10_000 });
    expect(result).toMatchObject({
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
      stdoutBytes: 4,
      stderrBytes: 4,
      truncated: false,
    });
  });

  it('says 127 for a program that is not there and 126 for one that can not be executed', async () => {
    const absent = await at().exec(['/nonexistent/program'], { timeoutMs: 10_000 });
    expect(absent.exitCode).toBe(127);
    const folder = await at().exec(['/etc/passwd'], { timeoutMs: 10_000 });
    expect(folder.exitCode).toBe(126);
  });

  it('refuses a program without an absolute path and NUL bytes', async () => {
    expect(await failure(at().exec(['ls'], { timeoutMs: 1_000 }))).toMatchObject({ code: 'invalid-input' });
    expect(await failure(at().exec(['/bin/echo', 'a\0b'], { timeoutMs: 1_000 }))).toMatchObject({
      code: 'invalid-input',
    });
  });

  it('passes text and streams to standard input', async () => {
    const text = await at().exec(['/bin/cat'], { timeoutMs: 10_000, stdin: 'ä\nb' });
    expect(text.stdout).toBe('ä\nb');
    const stream = new PassThrough();
    const running = at().exec(['/usr/bin/wc', '-c'], { timeoutMs: 10_000, stdin: stream });
    stream.write(Buffer.alloc(100_000));
    stream.end(Buffer.alloc(23));
    expect((await running).stdout.trim()).toBe('100023');
  });

  it('closes standard input when none is given', async () => {
    const result = await at().exec(['/bin/cat'], { timeoutMs: 10_000 });
    expect(result.stdout).toBe('');
  });

  it('ends although the command never reads its long input', async () => {
    const stream = new PassThrough();
    stream.write(Buffer.alloc(8 * 1024 * 1024));
    const result = await at().exec(['/bin/true'], { timeoutMs: 10_000, stdin: stream });
    expect(result.exitCode).toBe(0);
    expect(stream.destroyed).toBe(true);
  });

  it('keeps the start of a huge output and counts the rest, of both streams', async () => {
    const megabytes = 'head -c 20000000 /dev/zero; head -c 30000000 /dev/zero >&2';
    const result = await at().exec(sh(megabytes), { timeoutMs: 20_000, maxOutputBytes: 1000 });
    expect(result.stdout).toHaveLength(1000);
    expect(result.stderr).toHaveLength(1000);
    expect(result).toMatchObject({ exitCode: 0, stdoutBytes: 20_000_000, stderrBytes: 30_000_000, truncated: true });
  });

  it('decodes characters that are split over packets, and bytes that are no UTF-8', async () => {
    const split = await at().exec(
      sh("printf '\\303'; sleep 0.1; printf '\\244\\342\\202'; sleep 0.1; printf '\\254'"),
      {
        timeoutMs: 10_000,
      },
    );
    expect(split.stdout).toBe('ä€');
    const invalid = await at().exec(sh("printf 'a\\377b\\342\\202'"), { timeoutMs: 10_000 });
    expect(invalid.stdout).toBe('a\uFFFDb\uFFFD');
    const cut = await at().exec(sh("printf 'a€€'"), { timeoutMs: 10_000, maxOutputBytes: 6 });
    expect(cut).toMatchObject({ stdout: 'a€', truncated: true });
  });

  it('streams standard output with back-pressure, and ends the destination', async () => {
    const slow = new PassThrough({ highWaterMark: 1024 });
    let bytes = 0;
    const reading = (async () => {
      await sleep(200);
      for await (const chunk of slow) bytes += chunk.length;
    })();
    const result = await at().exec(sh('head -c 9000000 /dev/zero'), { timeoutMs: 20_000, stdoutTo: slow });
    await reading;
    expect(bytes).toBe(9_000_000);
    expect(result).toMatchObject({ exitCode: 0, stdout: '', stdoutBytes: 9_000_000, truncated: false });
  });

  it('ends the command when the destination of its output fails', async () => {
    const broken = new PassThrough();
    setTimeout(() => broken.destroy(new Error('gone')), 100);
    const mark = marked();
    const running = at().exec(sh('while :; do echo "$0" "$1"; done', mark), { timeoutMs: 20_000, stdoutTo: broken });
    expect(await failure(running)).toMatchObject({ code: 'internal' });
    await untilGone(mark);
  });

  it('fails when the destination fails after the command has ended', async () => {
    for (let delay = 0; delay < 12; delay++) {
      const late = new Writable({
        write: (_chunk, _encoding, done) => setTimeout(() => done(new Error('late')), delay),
      });
      const error = await failure(at().exec(['/bin/echo', 'x'], { timeoutMs: 5_000, stdoutTo: late }));
      expect(error.code).toBe('internal');
    }
  });

  it('does not wait for a destination longer than for a command', async () => {
    const stuck = new Writable({ write: () => undefined });
    const error = await failure(at().exec(['/bin/echo', 'x'], { timeoutMs: 500, stdoutTo: stuck }));
    expect(error).toMatchObject({ code: 'timeout', details: { ending: 'ended' } });
    expect(stuck.destroyed).toBe(true);
  });

  it('calls an end by a signal what it is', async () => {
    const error = await failure(at().exec(sh('kill -9 $$'), { timeoutMs: 10_000 }));
    expect(error).toMatchObject({ code: 'command-failed', details: { signal: 'SIGKILL' } });
  });

  it('ends a command and its children when time is up', async () => {
    const mark = marked();
    const begun = performance.now();
    const running = at().exec(sh('sleep "$1" & setsid sleep "$1" & sleep "$1"; true', mark), { timeoutMs: 500 });
    const error = await failure(running);
    expect(error).toMatchObject({ code: 'timeout', retryable: true, details: { ending: 'ended' } });
    expect(performance.now() - begun).toBeLessThan(20_000);
    await untilGone(mark);
  });

  it('ends a command that ignores SIGTERM', async () => {
    const mark = marked();
    const running = at().exec(sh('trap "" TERM; while :; do sleep 0.2; done', mark), { timeoutMs: 500 });
    expect(await failure(running)).toMatchObject({ code: 'timeout', details: { ending: 'ended' } });
    await untilGone(mark);
  });

  it('ends a command when its caller gives up', async () => {
    const mark = marked();
    const caller = new AbortController();
    const running = at().exec(sh('sleep "$1"; true', mark), { timeoutMs: 60_000, signal: caller.signal });
    setTimeout(() => caller.abort(), 300);
    expect(await failure(running)).toMatchObject({ code: 'cancelled', details: { ending: 'ended' } });
    await untilGone(mark);
  });

  it('starts nothing for a caller that gave up before', async () => {
    const error = await failure(at().exec(['/bin/true'], { timeoutMs: 1_000, signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ code: 'cancelled', details: { ending: 'not started' } });
  });

  it('does not wait for a daemon that keeps the output open', async () => {
    const mark = marked();
    const begun = performance.now();
    const result = await at().exec(sh('sleep "$1" & echo started', mark), { timeoutMs: 20_000 });
    expect(result).toMatchObject({ exitCode: 0, stdout: 'started\n' });
    expect(performance.now() - begun).toBeLessThan(20_000);
    execFileSync('pkill', ['-f', `sleep ${mark}`]);
  });

  it('runs 200 at once', async () => {
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, n) => at().exec(['/bin/echo', String(n)], { timeoutMs: 60_000 })),
    );
    expect(results.map((result) => Number(result.stdout))).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('leaves no listener on the signal of a caller', async () => {
    const { signal } = new AbortController();
    for (let n = 0; n < 20; n++) await at().exec(['/bin/true'], { timeoutMs: 10_000, signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
