// npm start | test | run test:unit | … (the cases below), from a bare clone: does the set-up that is missing, then runs.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { filesBelow, fingerprint } from './files.mjs';
import { recordCrashMatrix, runTests } from './test.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [command = 'start', ...args] = process.argv.slice(2);

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  stop(
    `Node.js 20.19 or newer is needed; this is ${process.version}. Install a newer one (https://nodejs.org) and run this again.`,
  );
}

// The bundler and the compiler give these a meaning of their own.
const unusable = /[?!*\\\p{Cc}]/u.exec(root)?.[0];
if (unusable !== undefined) {
  stop(
    `The project's folder ${JSON.stringify(root)} can't be built in, because its name holds ${JSON.stringify(unusable)}. Move or rename it.`,
  );
}
process.chdir(root);
install();
switch (command) {
  case 'start':
    build();
    process.argv.splice(1, process.argv.length, join(root, 'dist/src/cli.js'), 'start', ...args);
    await import(pathToFileURL(join(root, 'dist/src/cli.js')).href);
    break;
  case 'host':
    build();
    process.argv.splice(1, process.argv.length, join(root, 'dist/src/cli.js'), 'host', ...args);
    await import(pathToFileURL(join(root, 'dist/src/cli.js')).href);
    break;
  case 'test':
    process.exitCode = await runTests({ build, run, args });
    break;
  case 'test:unit':
    must('generated files', [process.execPath, 'scripts/generate.mjs', 'before-build']);
    process.exitCode = run([process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', ...args]);
    break;
  case 'test:exhaustive':
    process.exitCode = await runTests({ build, run, args, exhaustive: true });
    break;
  case 'crash-matrix':
    process.exitCode = await recordCrashMatrix({ build, run, words: args });
    break;
  case 'build':
    build();
    break;
  case 'generate':
    build();
    must('generated files', [process.execPath, 'scripts/generate.mjs', 'after-build', ...args]);
    break;
  case 'bench':
    build();
    process.exitCode = run([process.execPath, 'dist/bench/main.js', ...args]);
    break;
  default:
    stop(`"${command}" is not a command; package.json's scripts name those that there are.`);
}

/** npm writes node_modules/.package-lock.json last, so it tells when an installation was completed. */
function install() {
  const installed = statSync('node_modules/.package-lock.json', { throwIfNoEntry: false });
  if (installed && installed.mtimeMs >= statSync('package-lock.json').mtimeMs) return;
  say('installing packages (npm ci)');
  must('npm ci', ['npm', 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']);
}

/** TypeScript to dist, and the workflows into one bundle; nothing when no source has changed since. */
function build() {
  must('generated files', [process.execPath, 'scripts/generate.mjs', 'before-build']);
  const sources = ['src', 'lab', 'bench'].flatMap((folder) => filesBelow(folder));
  const files = [...sources, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  const now = fingerprint(files);
  const built = existsSync('dist/.built') ? JSON.parse(readFileSync('dist/.built', 'utf8')) : { files: [] };
  if (built.fingerprint === now) return;
  say('building');
  // A source that is gone would leave its output behind: the compiler never removes any.
  if (built.files.some((file) => !files.includes(file))) rmSync('dist', { recursive: true, force: true });
  rmSync('dist/.built', { force: true });
  must('build', [process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  for (const asset of sources.filter((file) => !file.endsWith('.ts'))) {
    mkdirSync(dirname(join('dist', asset)), { recursive: true });
    cpSync(asset, join('dist', asset));
  }
  // npx links to it once and for all, and doesn't look again when it was built anew.
  chmodSync('dist/src/cli.js', 0o755);
  must('workflow bundle', [process.execPath, 'scripts/bundle-workflows.mjs']);
  writeFileSync('dist/.built', JSON.stringify({ fingerprint: now, files }));
}

/** Runs a program with this terminal; returns its exit code. */
function run([program, ...rest], env = {}) {
  const result = spawnSync(program, rest, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.error) stop(`${program} could not be started: ${result.error.message}`);
  return result.status ?? 1;
}

function must(what, argv) {
  const code = run(argv);
  if (code !== 0) stop(`${what} failed; see above.`, code);
}

function say(text) {
  console.log(`· ${text}`);
}

function stop(text, code = 1) {
  console.error(text);
  process.exit(code);
}
