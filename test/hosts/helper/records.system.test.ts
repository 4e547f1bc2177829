import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callHelper, commands, sampleClient, sampleHost } from './sample.ts';

// The record of a job may be cut by a crash, or damaged by a disk: it is one line of a list, and it is cleaned.

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (condition()) return;
    await sleep(20);
  }
  throw new Error(`never: ${what}`);
}

describe('a record', () => {
  const sample = sampleHost();
  afterAll(sample.remove);
  const host = sampleClient(sample.config);
  const call = (...args: string[]) => callHelper(sample.layout, ...args);
  const jobs = join(sample.layout.state, 'jobs');
  const kept = join(sample.folder, 'kept');

  beforeAll(async () => {
    await host.job(commands.count, { word: 'whole' }, { id: 'whole', fence: { host: 1 } });
    cpSync(join(jobs, 'whole'), kept, { recursive: true });
  });

  const cases: Record<string, (file: string) => void> = {
    missing: (file) => rmSync(file, { recursive: true, force: true }),
    empty: (file) => writeFileSync(file, ''),
    'a blank line': (file) => writeFileSync(file, '\n'),
    cut: (file) => writeFileSync(file, readFileSync(file).subarray(0, -3)),
    'cut to its first character': (file) => writeFileSync(file, readFileSync(file).subarray(0, 1)),
    'without its last word': (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/ ?\S+\n$/, '\n')),
    'with a blank instead of its last word': (file) =>
      writeFileSync(file, readFileSync(file, 'utf8').replace(/\S+\n$/, '\n')),
    garbage: (file) => writeFileSync(file, Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 167) % 256))),
    words: (file) => writeFileSync(file, '$(id) ; -n * 08 x\n../..\n'),
    'numbers that no shell counts': (file) => writeFileSync(file, `${`${'9'.repeat(40)} `.repeat(5)}\n`),
    'numbers with zeros before': (file) => writeFileSync(file, '08 09 08 09 08\n'),
    'a time that has not come': (file) => writeFileSync(file, `0 ${Date.now() + 1e12}\n`),
    'a folder': (file) => {
      rmSync(file, { recursive: true, force: true });
      mkdirSync(file);
    },
  };
  const files = ['command', 'claim', 'meta', 'exit', 'stdout', 'stdout.more', 'stderr', 'cancel'];
  const broken = files.flatMap((file) => Object.keys(cases).map((what) => [file, what] as const));

  it.each(broken)('whose %s is %s is one line, and is cleaned', async (file, what) => {
    const folder = join(jobs, 'broken');
    rmSync(jobs, { recursive: true });
    for (const copy of [folder, join(jobs, 'whole')]) cpSync(kept, copy, { recursive: true });
    const path = join(folder, file);
    if (!existsSync(path) || file === 'claim') {
      rmSync(path, { recursive: true, force: true });
      writeFileSync(path, 'what it holds\n');
    }
    cases[what]?.(path);
    const old = new Date(Date.now() - 10 * 86_400_000);
    for (const each of [...files.map((name) => join(folder, name)), folder])
      if (existsSync(each)) utimesSync(each, old, old);

    const { jobs: listed, notUnderstood } = await host.jobs();
    expect(notUnderstood).toBe(0);
    expect(listed.map(({ id }) => id)).toEqual(['broken', 'whole']);
    const status = await call('job-status', 'broken', '0', '0');
    expect(status).toMatchObject({ exitCode: 0, stderr: '' });
    expect(status.stdout).toMatch(
      /^state (ended|lost|starting) (-|\d+) (-|\d+) (-|\d+)\nstdout \d+ \d+ [\w+/=]*\nstderr \d+ \d+ [\w+/=]*\n$/,
    );
    const start = await call('job-start', 'broken', '-', 'count', '1', 'whole');
    expect([0, 64]).toContain(start.exitCode);
    expect(await call('job-cancel', 'broken')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/\nleft \n$/),
    });
    for (const each of [...files.map((name) => join(folder, name)), folder])
      if (existsSync(each)) utimesSync(each, old, old);
    // What the record still says counts: with a time of its own it is of today.
    expect(await host.cleanJobs(0)).toContain('broken');
    expect(existsSync(folder)).toBe(false);
  });

  it('with a name that no helper gives hides no other', async () => {
    const names = ['-rf', 'with space', 'new\nline', 'UPPER', '$(id)', 'x'.repeat(150)];
    rmSync(jobs, { recursive: true });
    cpSync(kept, join(jobs, 'whole'), { recursive: true });
    for (const name of names) mkdirSync(join(jobs, name));
    writeFileSync(join(jobs, 'a-file'), 'x');
    const { jobs: listed, notUnderstood } = await host.jobs();
    expect(listed.map(({ id }) => id)).toEqual(['whole']);
    expect(notUnderstood).toBe(6);
    const old = new Date(Date.now() - 10 * 86_400_000);
    for (const name of ['-rf', 'with space', 'new\nline']) utimesSync(join(jobs, name), old, old);
    expect((await call('job-clean', '7')).exitCode).toBe(0);
    expect((await host.jobs()).notUnderstood).toBe(3);
  });

  it('of a job that is at work passes for no lost one, whatever happens to what names its process', async () => {
    await call('job-start', 'at-work', '-', 'linger');
    const folder = join(jobs, 'at-work');
    await until(() => existsSync(join(folder, 'stdout')), 'it begins');
    const stateOf = async () => (await host.jobs()).jobs.find(({ id }) => id === 'at-work')?.state;
    for (const text of ['', 'garbage\n', '1 2 3\n', '0 0 0 0 0\n']) {
      writeFileSync(join(folder, 'meta'), text);
      expect(await stateOf(), text).toBe('running');
    }
    rmSync(join(folder, 'meta'));
    const old = new Date(Date.now() - 86_400_000);
    utimesSync(join(folder, 'claim'), old, old);
    expect(await stateOf()).toBe('running');
    expect(await host.cancelJob('at-work')).toEqual({ state: 'cancelled', left: [] });
  });

  it('that was claimed and not begun is lost after some minutes, not about to start for ever', async () => {
    mkdirSync(join(jobs, 'claimed', 'claim'), { recursive: true });
    const stateOf = async () => (await host.jobs()).jobs.find(({ id }) => id === 'claimed')?.state;
    expect(await stateOf()).toBe('starting');
    const old = new Date(Date.now() - 600_000);
    utimesSync(join(jobs, 'claimed', 'claim'), old, old);
    expect(await stateOf()).toBe('lost');
  });
});

describe('a cancel', () => {
  const sample = sampleHost();
  // The sample's folder has a blank in its name, which env -S would take apart.
  const link = execFileSync('mktemp', ['-u', '/tmp/pmx-programs-XXXXXX'], { encoding: 'utf8' }).trim();
  afterAll(() => {
    rmSync(link, { force: true });
    sample.remove();
  });
  const host = sampleClient(sample.config);
  const call = (...args: string[]) => callHelper(sample.layout, ...args);
  const programs = join(sample.folder, 'programs');
  const slow = (program: string) => join(sample.folder, `slow-${program}`);
  const at = (program: string) => join(sample.folder, `at-${program}`);

  beforeAll(() => {
    mkdirSync(programs);
    for (const program of ['date', 'sync', 'mv']) {
      const real = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
      const script = `#!/bin/sh\n[ ! -e '${slow(program)}' ] || { : >'${at(program)}'; sleep 0.5; }\nexec ${real} "$@"\n`;
      writeFileSync(join(programs, program), script);
      chmodSync(join(programs, program), 0o755);
    }
    symlinkSync(programs, link);
    const helper = readFileSync(sample.layout.helper, 'utf8').replace('PATH=', `PATH=${link}:`);
    writeFileSync(sample.layout.helper, helper);
  });

  it.each(['date', 'sync', 'mv'])('while %s is at work for the record leaves it whole', async (program) => {
    await call('job-start', `hit-${program}`, '-', 'count', '1', 'x');
    writeFileSync(slow(program), '');
    rmSync(at(program), { force: true });
    await until(() => existsSync(at(program)), `${program} writes the record`);
    const group = readFileSync(join(sample.layout.state, 'jobs', `hit-${program}`, 'meta'), 'utf8').split(' ')[2];
    process.kill(-Number(group), 'SIGTERM');
    await until(() => existsSync(join(sample.layout.state, 'jobs', `hit-${program}`, 'exit')), 'it is recorded');
    rmSync(slow(program));
    const { jobs, notUnderstood } = await host.jobs();
    expect(notUnderstood).toBe(0);
    expect(jobs.find(({ id }) => id === `hit-${program}`)).toMatchObject({
      state: 'ended',
      exitCode: 7,
      endedAt: expect.any(String),
    });
  });

  it.each(['date', 'sync', 'mv'])('while %s is at work for its beginning is heard', async (program) => {
    writeFileSync(slow(program), '');
    rmSync(at(program), { force: true });
    const id = `early-${program}`;
    const started = call('job-start', id, '-', 'linger');
    await until(() => existsSync(at(program)), `${program} is at work`);
    await sleep(700);
    rmSync(slow(program));
    expect(await host.cancelJob(id)).toMatchObject({ left: [] });
    await started;
    await until(() => existsSync(join(sample.layout.state, 'jobs', id, 'exit')), 'it is recorded');
    expect((await host.jobs()).jobs.find((job) => job.id === id)).toMatchObject({ state: 'cancelled' });
  });
});
