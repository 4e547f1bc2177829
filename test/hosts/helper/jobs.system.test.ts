import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { ServiceError } from '../../../src/errors.ts';
import { callHelper, commands, sampleClient, sampleHost } from './sample.ts';

const sample = sampleHost();
afterAll(sample.remove);
const host = sampleClient(sample.config);
const folder = (id: string) => join(sample.layout.state, 'jobs', id);
const executions = () => readFileSync(join(sample.layout.state, 'counted'), 'utf8').trim().split('\n').length;
const call = (...args: string[]) => callHelper(sample.layout, ...args);

async function refusal(promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ServiceError);
  return error as ServiceError;
}

/** Processes whose session or command line belongs to the sample host's folder. */
function processes(): string {
  const listed = execFileSync('ps', ['-eo', 'pid,stat,args'], { encoding: 'utf8' });
  return listed
    .split('\n')
    .filter((line) => line.includes(sample.folder) && !line.includes('ps -eo'))
    .join('\n');
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (condition()) return;
    await sleep(50);
  }
  throw new Error(`never: ${what}`);
}

it('tells how far a job is, until it is stopped', async () => {
  const stop = new AbortController();
  const onProgress = ({ lastLine }: { lastLine: string }) => {
    if (lastLine === 'begun') stop.abort();
  };
  const error = await refusal(host.job(commands.linger, {}, { id: 'told', signal: stop.signal, onProgress }));
  expect(error.code).toBe('cancelled');
}, 60_000);

it('follows a job to its end, with its exit code and both outputs', async () => {
  const result = await host.job(commands.count, { word: 'number' }, { id: 'first', fence: { host: 1 } });
  expect(result).toMatchObject({
    id: 'first',
    found: false,
    exitCode: 7,
    stdout: 'number 1\nnumber 2\nnumber 3\nnumber 4\nnumber 5\n',
    stderr: 'complaint\n',
    truncated: false,
  });
  expect(result.durationMs).toBeGreaterThan(900);
  expect(executions()).toBe(1);
});

it('finds the same job when it is asked again, also under a newer fence', async () => {
  const result = await host.job(commands.count, { word: 'number' }, { id: 'first', fence: { host: 2 } });
  expect(result).toMatchObject({ found: true, exitCode: 7 });
  expect(executions()).toBe(1);
});

it('refuses another command under the same id', async () => {
  const error = await refusal(host.job(commands.count, { word: 'other' }, { id: 'first', fence: { host: 2 } }));
  expect(error).toMatchObject({ code: 'command-refused' });
  expect(error.message).toContain('another command');
});

it('executes once when twelve start it at the same moment', async () => {
  const before = executions();
  const starts = Array.from({ length: 12 }, () =>
    host.job(commands.count, { word: 'race' }, { id: 'race', fence: { host: 3 } }),
  );
  const results = await Promise.all(starts);
  expect(new Set(results.map((result) => result.exitCode))).toEqual(new Set([7]));
  expect(results.filter((result) => !result.found)).toHaveLength(1);
  expect(executions()).toBe(before + 1);
});

it('goes on when the process that watches it is killed, and is found by the next', async () => {
  const before = executions();
  const starter = spawn(sample.layout.helper, ['job-start', 'orphan', 'a/run', 'count', '4', 'orphan'], {
    detached: true,
  });
  await until(() => existsSync(join(folder('orphan'), 'meta')), 'the job begins');
  if (starter.pid) {
    try {
      process.kill(-starter.pid, 'SIGKILL');
    } catch {
      // It has already ended, which is the same to the job.
    }
  }
  const result = await host.job(commands.count, { word: 'orphan' }, { id: 'orphan', fence: { host: 4 } });
  expect(result).toMatchObject({ found: true, exitCode: 7 });
  expect(executions()).toBe(before + 1);
});

it('is executed when its first starter died before the job began', async () => {
  execFileSync('mkdir', ['-p', folder('stillborn')]);
  const result = await host.job(commands.count, { word: 'late' }, { id: 'stillborn', fence: { host: 5 } });
  expect(result.exitCode).toBe(7);
});

it('stops the whole group when it is cancelled, a child that resists included', async () => {
  const stop = new AbortController();
  const onProgress = ({ lastLine }: { lastLine: string }) => {
    if (lastLine === 'begun') stop.abort();
  };
  const error = await refusal(host.job(commands.linger, {}, { id: 'lingers', signal: stop.signal, onProgress }));
  expect(error).toMatchObject({ code: 'cancelled', details: { left: '', state: 'cancelled' } });
  expect(error.message).toContain('nothing of it is left');
  await until(() => processes() === '', 'no process is left');
  expect((await refusal(host.job(commands.linger, {}, { id: 'lingers' }))).code).toBe('cancelled');
});

it('never executes a job that was cancelled before it began', async () => {
  const before = executions();
  expect(await host.cancelJob('unborn')).toEqual({ state: 'cancelled', left: [] });
  expect(
    (await refusal(host.job(commands.count, { word: 'unborn' }, { id: 'unborn', fence: { host: 6 } }))).code,
  ).toMatch(/^(cancelled|command-refused)$/);
  expect(executions()).toBe(before);
});

it('leaves the job alone when only the watching is to stop', async () => {
  const leave = new AbortController();
  const error = await refusal(
    host.job(
      commands.count,
      { word: 'left' },
      { id: 'left', fence: { host: 7 }, leave: leave.signal, onProgress: () => leave.abort() },
    ),
  );
  expect(error).toMatchObject({ code: 'unavailable', retryable: true });
  expect(await host.job(commands.count, { word: 'left' }, { id: 'left', fence: { host: 7 } })).toMatchObject({
    found: true,
    exitCode: 7,
  });
});

it('is stopped by the host at its deadline', async () => {
  expect((await refusal(host.job(commands.overrun, {}, { id: 'overruns' }))).code).toBe('timeout');
});

it('has an unknown outcome when it is killed', async () => {
  await call('job-start', 'killed', '-', 'linger');
  await until(() => existsSync(join(folder('killed'), 'stdout')), 'the job begins');
  const [, , group] = readFileSync(join(folder('killed'), 'meta'), 'utf8').split(' ');
  process.kill(-Number(group), 'SIGKILL');
  await sleep(300);
  expect((await refusal(host.job(commands.linger, {}, { id: 'killed' }))).code).toBe('outcome-unknown');
});

it('never passes for a lost one where little can be opened, which would have it done again beside itself', async () => {
  await call('job-start', 'cramped', '-', 'linger');
  await until(() => existsSync(join(folder('cramped'), 'stdout')), 'the job begins');
  const said: string[] = [];
  for (let files = 3; files <= 24; files++) {
    const script = `ulimit -n ${files}; exec "$1" job-status cramped 0 0`;
    said.push(spawnSync('sh', ['-c', script, 'sh', sample.layout.helper], { encoding: 'utf8' }).stdout);
  }
  expect(said.join('')).toMatch(/^state running /m);
  expect(said.join('')).not.toMatch(/^state (?!running)/m);
  expect(await host.cancelJob('cramped')).toEqual({ state: 'cancelled', left: [] });
});

it('has an unknown outcome when the host was rebooted under it, though its process id lives on', async () => {
  await call('job-start', 'rebooted', '-', 'linger');
  await until(() => existsSync(join(folder('rebooted'), 'stdout')), 'the job begins');
  const meta = readFileSync(join(folder('rebooted'), 'meta'), 'utf8').split(' ');
  try {
    expect(await call('job-status', 'rebooted', '0', '0')).toMatchObject({
      stdout: expect.stringMatching(/^state running /),
    });
    const reboot = meta.with(3, '00000000-0000-4000-8000-000000000000');
    writeFileSync(join(folder('rebooted'), 'meta'), reboot.join(' '));
    expect((await refusal(host.job(commands.linger, {}, { id: 'rebooted' }))).code).toBe('outcome-unknown');
    const reused = meta.with(1, '1');
    writeFileSync(join(folder('rebooted'), 'meta'), reused.join(' '));
    expect((await refusal(host.job(commands.linger, {}, { id: 'rebooted' }))).code).toBe('outcome-unknown');
  } finally {
    process.kill(-Number(meta[2]), 'SIGKILL');
  }
});

it('keeps a bounded part of much output, counts the rest, and answers its end', async () => {
  const result = await host.job(commands.flood, {}, { id: 'flood' });
  expect(result.stdoutBytes).toBe(8 * 1_600_001);
  expect(result.truncated).toBe(true);
  expect(readFileSync(join(folder('flood'), 'stdout')).length).toBe(8 * 1024 * 1024);
  const kept = readFileSync(join(folder('flood'), 'stdout'), 'utf8');
  expect(result.stdout).toBe(kept.slice(-200_000));
});

it('holds back a newer fence while a job of an older one is at work', async () => {
  await call('job-start', 'holder', '-', 'count', '50', 'holder');
  const error = await host.run(commands.mark, { word: 'newer' }, { fence: { host: 51 } }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  // Either it waited until the job had ended, or it was told to come again; never both at work at once.
  if (error) expect(error).toMatchObject({ code: 'conflict', retryable: true });
  expect(existsSync(join(folder('holder'), 'exit'))).toBe(true);
});

it('is stopped for another run only while that one holds the newest fence', async () => {
  await host.run(commands.mark, { word: 'newest' }, { fence: { host: 60 } });
  await call('job-start', 'others', '-', 'linger');
  await until(() => existsSync(join(folder('others'), 'stdout')), 'the job begins');
  const fencedOut = await refusal(host.cancelJob('others', { fence: { host: 59 } }));
  expect(fencedOut).toMatchObject({ code: 'fenced-out', details: { exitCode: 75 } });
  expect((await host.jobs()).jobs.find(({ id }) => id === 'others')).toMatchObject({ state: 'running' });
  expect(existsSync(join(folder('others'), 'cancel'))).toBe(false);
  expect(await host.cancelJob('others', { fence: { host: 60 } })).toEqual({ state: 'cancelled', left: [] });
});

it('says that it was fenced out, also to a worker that stops watching', async () => {
  await host.run(commands.mark, { word: 'newest' }, { fence: { host: 70 } });
  const leave = AbortSignal.abort();
  const error = await refusal(host.job(commands.count, { word: 'late' }, { id: 'late', fence: { host: 69 }, leave }));
  expect(error).toMatchObject({ code: 'fenced-out', retryable: false });
  expect(error.message).toContain('another run holds its lock');
  expect(existsSync(folder('late'))).toBe(false);
});

it('lists jobs and forgets those that ended long enough ago', async () => {
  const before = (await host.jobs()).jobs;
  expect(before.find((job) => job.id === 'first')).toMatchObject({ state: 'ended', exitCode: 7, verb: 'count' });
  expect(before.find((job) => job.id === 'killed')).toMatchObject({ state: 'lost', verb: 'linger' });
  expect(await host.cleanJobs(1)).toEqual([]);
  // Its starter died before it began, a while ago and long ago.
  for (const [id, age] of [
    ['stuck', '1 hour ago'],
    ['forgotten', '2 days ago'],
  ] as const) {
    mkdirSync(folder(id));
    execFileSync('touch', ['-d', age, folder(id)]);
  }
  expect(await host.cleanJobs(0)).toEqual(expect.arrayContaining(['first', 'forgotten']));
  expect((await host.jobs()).jobs.map(({ id, state }) => [id, state])).toEqual([['stuck', 'starting']]);
  rmdirSync(folder('stuck'));
  const running = await call('job-start', 'still', 'back-up/pve1/1', 'linger');
  expect(running.stdout).toBe('started\n');
  expect(await host.cleanJobs(0)).toEqual([]);
  expect(await host.jobs()).toMatchObject({
    jobs: [{ id: 'still', state: 'running', run: 'back-up/pve1/1' }],
    notUnderstood: 0,
  });
  expect(await host.cancelJob('still')).toEqual({ state: 'cancelled', left: [] });
});

it('is stopped for a run of a guest only if it is one of that guest’s, and while nobody has shown a newer fence', async () => {
  await host.run(commands.mark, { word: 'newest' }, { fence: { host: 80 } });
  await call('job-start', 'of-guest', '-', 'count-guest', '81', '5', '100');
  await call('job-start', 'of-host', '-', 'linger');
  await until(() => existsSync(join(folder('of-guest'), 'stdout')), 'the job begins');
  expect(readFileSync(join(folder('of-guest'), 'command'), 'utf8')).toBe('count-guest 100\n-\nguest-100 81 5\n');
  const cancel = (id: string, fence: number, guest: number, vmid = 100) =>
    host.cancelJob(id, { fence: { host: fence, guest }, vmid });
  expect(await refusal(cancel('of-guest', 79, 5))).toMatchObject({ code: 'fenced-out' });
  expect(await refusal(cancel('of-guest', 81, 4))).toMatchObject({ code: 'fenced-out' });
  expect(await refusal(cancel('of-guest', 81, 9, 200))).toMatchObject({ code: 'command-refused' });
  expect(await refusal(cancel('of-host', 81, 5))).toMatchObject({ code: 'command-refused' });
  // Who holds the host alone may stop all, but not before the guest's run.
  expect(await refusal(host.cancelJob('of-guest', { fence: { host: 80 } }))).toMatchObject({ code: 'fenced-out' });
  expect(await cancel('of-guest', 81, 5)).toEqual({ state: 'cancelled', left: [] });
  expect(await host.cancelJob('of-host', { fence: { host: 82 } })).toEqual({ state: 'cancelled', left: [] });
});

it('keeps who holds the host alone waiting while a guest’s is at work, and lets other guests’ work beside it', async () => {
  const fence = { host: 90, guest: 1 };
  const guest = host.job(commands.countGuest, { vmid: 300 }, { id: 'guest-300', fence });
  await until(() => existsSync(join(folder('guest-300'), 'stdout')), 'the job begins');
  const other = await host.run(commands.markGuest, { vmid: 400, word: 'beside' }, { fence: { host: 85, guest: 1 } });
  expect(other).toMatchObject({ exitCode: 0 });
  expect(existsSync(join(folder('guest-300'), 'exit'))).toBe(false);
  const alone = await host
    .run(commands.mark, { word: 'alone' }, { fence: { host: 95 } })
    .catch((error: unknown) => error);
  // Either it waited until the job had ended, or it was told to come again; never both at work at once.
  if (alone instanceof ServiceError) expect(alone).toMatchObject({ code: 'conflict', retryable: true });
  expect(existsSync(join(folder('guest-300'), 'exit'))).toBe(true);
  expect(await guest).toMatchObject({ exitCode: 7, stdout: expect.stringContaining('300 5\n') });
});

it('counts the lines that a host made up, for whoever types the command that stops one, and shows none of them', async () => {
  const lying = sampleHost();
  try {
    const lines = [
      ...['x;id running - 1 - count -', 'x running - 1 - $(id) -', 'x running - 1 - count `id`', 'garbage'],
      ...['x walking - 1 - count -', 'x running - 1 - count - more', `x running - ${'9'.repeat(20)} - count -`],
    ];
    writeFileSync(
      lying.layout.helper,
      `#!/bin/sh\ncat <<'END'\nfine running - 1 - count -\n${lines.join('\n')}\nEND\n`,
    );
    expect(await sampleClient(lying.config).jobs()).toEqual({
      jobs: [{ id: 'fine', state: 'running', verb: 'count', startedAt: '1970-01-01T00:00:00.001Z' }],
      notUnderstood: lines.length,
    });
  } finally {
    lying.remove();
  }
});
