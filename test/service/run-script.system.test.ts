import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/package.ts';
import { temporaryFolder } from './temporary.ts';

/** The tree as it is now, without what it made, the tests, and the benchmarks, which use the tests' hosts. */
function bareCopy(): string {
  const root = packageRoot();
  const copy = join(temporaryFolder(), 'clone');
  const made = ['node_modules', 'dist', 'data', '.git', 'test', 'bench'].map((name) => join(root, name));
  cpSync(root, copy, { recursive: true, filter: (path) => !made.includes(path) });
  return copy;
}

function run(folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, nodeArgs: readonly string[] = []) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArgs, 'scripts/run.mjs', ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

it('installs, generates and builds from a bare clone, and does nothing again until something changes', () => {
  const folder = bareCopy();
  // In place of npm: what it would install is here already, and a minute is saved.
  const bin = temporaryFolder();
  const modules = join(packageRoot(), 'node_modules');
  symlinkSync(modules, join(bin, 'modules'));
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\necho "npm $*"\nln -s ${bin}/modules node_modules\n`, { mode: 0o755 });
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}` };
  rmSync(join(folder, 'src/operations/catalogue.generated.ts'));
  const longAgo = new Date(2020, 1, 1);
  utimesSync(join(folder, 'package-lock.json'), longAgo, longAgo);
  appendFileSync(join(folder, 'src/gone.ts'), "export const here = 'yes';\n");

  const first = run(folder, ['build'], env);
  expect(first).toMatchObject({ status: 0 });
  expect(first.stdout).toContain('npm ci --include=dev');
  expect(first.stdout).toContain('wrote src/operations/catalogue.generated.ts');
  const made = ['dist/src/cli.js', 'dist/workflow-bundle.js'].map((path) => join(folder, path));
  for (const path of made) expect(existsSync(path)).toBe(true);

  const before = made.map((path) => statSync(path).mtimeMs);
  expect(run(folder, ['build'], env)).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(made.map((path) => statSync(path).mtimeMs)).toEqual(before);

  expect(existsSync(join(folder, 'dist/src/gone.js'))).toBe(true);
  rmSync(join(folder, 'src/gone.ts'));
  expect(run(folder, ['build'], env)).toMatchObject({ status: 0, stdout: expect.stringContaining('building') });
  expect(existsSync(join(folder, 'dist/src/gone.js'))).toBe(false);
}, 180_000);

it('says so when a generated file is not what the sources say', () => {
  const folder = bareCopy();
  const generate = (...args: string[]) =>
    spawnSync(process.execPath, ['scripts/generate.mjs', 'before-build', ...args], { cwd: folder, encoding: 'utf8' });
  expect(generate()).toMatchObject({ status: 0 });
  expect(generate('--check')).toMatchObject({ status: 0 });
  appendFileSync(join(folder, 'src/operations/catalogue.generated.ts'), '// mine\n');
  const check = generate('--check');
  expect(check.status).toBe(1);
  expect(check.stderr).toContain('src/operations/catalogue.generated.ts. Run npm run generate');
});

it('asks for a newer Node.js in one sentence', () => {
  const folder = temporaryFolder();
  const old = join(folder, 'old.cjs');
  writeFileSync(
    old,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } });",
  );
  const { status, stderr } = run(packageRoot(), ['start'], {}, ['--require', old]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^Node\.js 20\.19 or newer is needed; /);
});

it('says where the commands are that there are', () => {
  expect(run(packageRoot(), ['fly'])).toMatchObject({ status: 1, stderr: expect.stringContaining('package.json') });
});

it.each(['x?y', 'a!b', 'a*b', 'a\nb'])(
  'a project folder %j that nothing can be built in is refused at once',
  (name) => {
    const folder = join(temporaryFolder(), name);
    cpSync(join(packageRoot(), 'scripts'), join(folder, 'scripts'), { recursive: true });
    const refused = run(folder, ['build']);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toContain(`The project's folder ${JSON.stringify(folder)}`);
  },
);
