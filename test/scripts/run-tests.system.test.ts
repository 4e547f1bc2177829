import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

const root = join(import.meta.dirname, '../..');
const script = (name: string) => JSON.stringify(pathToFileURL(join(root, 'scripts/test', name)).href);

function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'proxmox-mcp-scripts-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A project of its own with these test files. */
function project(files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder();
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(
      join(folder, name),
      `import { beforeAll, describe, expect, it } from 'vitest';\nimport { existsSync, writeFileSync } from 'node:fs';\n${text}`,
    );
  }
  return folder;
}

/** Tells the first time from the second. */
const firstTime = (name: string) => `
  const firstTime = () => { const is = !existsSync('${name}'); writeFileSync('${name}', ''); return is; };`;

/** What `runVitest` answers, and what was said meanwhile. */
function runVitest(folder: string, ...args: string[]) {
  const source = `import { runVitest } from ${script('vitest.mjs')};
    import { spawnSync } from 'node:child_process';
    const run = ([program, ...args], env) =>
      spawnSync(program, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1;
    console.log('answer ' + JSON.stringify(runVitest({ run, args: ${JSON.stringify(args)} })));`;
  const { VITEST: _, ...env } = process.env;
  const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
    cwd: folder,
    encoding: 'utf8',
    env,
  });
  const answer = /^answer (.*)$/m.exec(ran.stdout)?.[1];
  expect(answer, ran.stdout + ran.stderr).toBeDefined();
  return { ...JSON.parse(answer ?? ''), said: ran.stdout };
}

describe('a test run', () => {
  it('counts what passes, and runs nothing twice', () => {
    const folder = project({ 'a.test.ts': "it('one', () => {}); it('two', () => {}); it.skip('three', () => {});" });
    const ran = runVitest(folder);
    expect(ran).toMatchObject({ passed: 2, failed: 0, flaky: [] });
    expect(ran.said).not.toContain('once more');
  });

  it('names a test that fails the first time only, and counts it as passed', () => {
    const folder = project({
      'deep/a.test.ts': `${firstTime('was')}
        describe('a suite', () => {
          it('fails the first time', () => expect(firstTime()).toBe(false));
          it('other', () => {});
        });`,
    });
    expect(runVitest(folder)).toMatchObject({
      passed: 2,
      failed: 0,
      flaky: ['deep/a.test.ts > a suite > fails the first time'],
    });
  });

  it('runs the whole file once more, since a test may need what those before it did', () => {
    const folder = project({
      'a.test.ts': `${firstTime('was')} let ready = false;
        it('makes ready', () => { ready = true; });
        it('needs it', () => expect(ready && !firstTime()).toBe(true));
        it('passes the first time only', () => expect(existsSync('twice')).toBe(false));
        it('last', () => writeFileSync('twice', ''));`,
    });
    expect(runVitest(folder)).toMatchObject({
      passed: 4,
      failed: 0,
      flaky: ['a.test.ts > needs it', 'a.test.ts > passes the first time only'],
    });
  });

  it('counts a test that fails always, beside a flaky one', () => {
    const folder = project({
      'a.test.ts': `${firstTime('was')} it('flaky', () => expect(firstTime()).toBe(false)); it('bad', () => expect(1).toBe(2));`,
      'b.test.ts': "it('good', () => {});",
    });
    expect(runVitest(folder)).toMatchObject({
      passed: 2,
      failed: 1,
      broken: ['a.test.ts > bad'],
      flaky: ['a.test.ts > flaky'],
    });
  });

  it('counts a file that can not be loaded as one failure, and as its tests when it can be the second time', () => {
    const folder = project({
      'never.test.ts': "import './nothing.ts';",
      'later.test.ts': `${firstTime('was')} if (firstTime()) throw new Error('not yet'); it('one', () => {}); it('two', () => {});`,
    });
    expect(runVitest(folder)).toMatchObject({
      passed: 2,
      failed: 1,
      broken: ['never.test.ts'],
      flaky: ['later.test.ts'],
    });
  });

  it('counts a hook that fails as one failure, and runs all tests behind it once more', () => {
    const folder = project({
      'a.test.ts': `${firstTime('was')}
        describe('mended', () => {
          beforeAll(() => { if (firstTime()) throw new Error('slow machine'); });
          it('one', () => {}); it('two', () => {});
        });
        describe('broken', () => {
          beforeAll(() => { throw new Error('always'); });
          it('one', () => {});
        });`,
    });
    expect(runVitest(folder)).toMatchObject({ passed: 2, failed: 1, flaky: ['a.test.ts > mended'] });
  });

  it('fails for an error that nobody caught, though all tests pass, and does not hide it behind a flaky one', () => {
    const lost =
      "it('lost', async () => { void Promise.reject(new Error('nobody')); await new Promise((r) => setTimeout(r, 50)); });";
    expect(runVitest(project({ 'a.test.ts': lost }))).toMatchObject({
      passed: 1,
      failed: 1,
      broken: ['1 outside of every test: see the output above'],
      flaky: [],
    });
    const folder = project({
      'a.test.ts': lost,
      'b.test.ts': `${firstTime('was')} it('flaky', () => expect(firstTime()).toBe(false));`,
    });
    expect(runVitest(folder)).toMatchObject({ passed: 2, failed: 1, flaky: ['b.test.ts > flaky'] });
  });

  it('fails when vitest finds no test, and when it dies', () => {
    expect(runVitest(project({}))).toMatchObject({ passed: 0, failed: 1, flaky: [] });
    const folder = project({ 'a.test.ts': "it('one', () => {});" });
    writeFileSync(join(folder, 'vitest.config.ts'), 'process.kill(process.pid, "SIGKILL");');
    expect(runVitest(folder)).toMatchObject({ passed: 0, failed: 1, flaky: [] });
  });

  it('runs nothing again when so many files fail that it is no noise', () => {
    const files = Array.from({ length: 9 }, (_, index) => [`${index}.test.ts`, "it('bad', () => expect(1).toBe(2));"]);
    const ran = runVitest(project(Object.fromEntries(files)));
    expect(ran).toMatchObject({ passed: 0, failed: 9, flaky: [] });
    expect(ran.said).toContain('failures in 9 files: none is run again');
  });
});

describe('what tests left running', () => {
  /** What is said to be left in this checkout, when these were started after the beginning; they are ended again. */
  function left(
    folder: string,
    started: readonly { argv: string[]; cwd: string; argv0?: string; env?: object }[] = [],
  ): string[] {
    const source = `import { leftAfterAWhile, watchForLeftBehind } from ${script('left-behind.mjs')};
      import { spawn } from 'node:child_process';
      const leftBehind = watchForLeftBehind(${JSON.stringify(folder)}, 'this-run');
      const children = ${JSON.stringify(started)}.map(({ argv: [program, ...args], ...options }) =>
        spawn(program, args, { ...options, stdio: 'ignore' }));
      const lines = leftAfterAWhile(leftBehind, 1_000);
      const words = (line) => children.reduce((text, { pid }, i) => text.replace('process ' + pid + ':', 'child ' + i + ':'), line);
      console.log('answer ' + JSON.stringify(lines.map(words)));
      for (const child of children) child.kill('SIGKILL');`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', source], { encoding: 'utf8' });
    const answer = /^answer (.*)$/m.exec(ran.stdout)?.[1];
    expect(answer, ran.stderr).toBeDefined();
    // Other checkouts may be tested on this machine meanwhile.
    return (JSON.parse(answer ?? '') as string[]).filter((line) => line.startsWith('child '));
  }

  it('is nothing where nothing was started, or all has ended', () => {
    const folder = temporaryFolder();
    expect(left(folder)).toEqual([]);
    expect(left(folder, [{ argv: ['sleep', '0.3'], cwd: folder }])).toEqual([]);
  });

  it('is a process that stands in the checkout, or is made from it, and no other', () => {
    const folder = temporaryFolder();
    const file = join(folder, 'dist/src/worker.js');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, 'setTimeout(() => {}, 60_000);');
    const lines = left(folder, [
      { argv: ['sleep', '60'], cwd: folder },
      { argv: ['sleep', '60'], cwd: '/' },
      { argv: [process.execPath, file], cwd: '/' },
    ]);
    expect(lines.sort()).toEqual(['child 0: sleep 60', `child 2: ${process.execPath} ${file}`]);
  });

  it('is a process that bears the mark of the run, wherever it stands', () => {
    const argv = ['sleep', '60'];
    const started = ['this-run', 'another-run'].map((TEST_RUN) => ({ argv, cwd: '/', env: { TEST_RUN } }));
    expect(left(temporaryFolder(), started)).toEqual(['child 0: sleep 60']);
  });

  it('is not what ran before', () => {
    const folder = temporaryFolder();
    const before = spawn('sleep', ['60'], { cwd: folder, stdio: 'ignore' });
    onTestFinished(() => void before.kill());
    const source = `import { watchForLeftBehind } from ${script('left-behind.mjs')};
      console.log(watchForLeftBehind(${JSON.stringify(folder)})().filter((line) => line.includes('${before.pid}')).length);`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', source], { encoding: 'utf8' });
    expect(ran).toMatchObject({ stdout: '0\n', stderr: '' });
  });

  it.each([
    ['dockerd', ['--exec-root', '/tmp/engine', '-']],
    ['containerd', ['--config', '/tmp/engine/containerd/containerd.toml']],
  ])('is a %s that built an image of the lab and was forgotten, though it ran before', (argv0, args) => {
    const idle = [process.execPath, '-e', 'setTimeout(() => {}, 60_000)', '--', ...args];
    expect(left(temporaryFolder(), [{ argv: idle, argv0, cwd: '/' }])).toEqual([
      expect.stringMatching(`^child 0: ${argv0} `),
    ]);
    const before = spawn(idle[0] ?? '', idle.slice(1), { argv0, cwd: '/', stdio: 'ignore' });
    onTestFinished(() => void before.kill());
    const source = `import { watchForLeftBehind } from ${script('left-behind.mjs')};
      console.log(watchForLeftBehind('/nowhere')().filter((line) => line.includes('${before.pid}')).length);`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', source], { encoding: 'utf8' });
    expect(ran).toMatchObject({ stdout: '1\n', stderr: '' });
  });
});
