import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { crashTests, forgetOutcomes, writeCrashMatrix } from './test/crash-matrix.mjs';
import { leftAfterAWhile, watchForLeftBehind } from './test/left-behind.mjs';
import { otherNode } from './test/other-node.mjs';
import { runVitest } from './test/vitest.mjs';

const node = process.execPath;

/**
 * Everything that must hold: generated files, lint, types, tests, and that they leave nothing running. What failed, and
 * the tests that failed once and passed once, are named before the last line, which is `N passed, N failed`. Returns the
 * exit code.
 * `exhaustive`: every case of what else is a sample, and writes what the crash tests found.
 */
export async function runTests({ build, run, args, exhaustive = false }) {
  let passed = 0;
  let failed = 0;
  const broken = [];
  const judge = (what, good) => {
    if (good) passed += 1;
    else {
      failed += 1;
      broken.push(what);
    }
  };
  const check = (what, argv) => {
    console.log(`· ${what}`);
    judge(what, run(argv) === 0);
  };
  process.env.TEST_RUN = randomUUID();
  const leftBehind = watchForLeftBehind(process.cwd(), process.env.TEST_RUN);
  check('generated files', [node, 'scripts/generate.mjs', 'before-build', '--check']);
  check('lint', [node, 'node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']);
  check('types', [node, 'node_modules/typescript/bin/tsc', '--noEmit']);
  build();
  check('documents made from the sources', [node, 'scripts/generate.mjs', 'after-build', '--check']);

  const temporal = temporalServer();
  if (temporal === undefined) judge('the Temporal server', false);
  if (exhaustive) forgetOutcomes();
  const tests = runVitest({ run, args, env: { ...temporal, ...(exhaustive && { TEST_EXHAUSTIVE: '1' }) } });
  passed += tests.passed;
  failed += tests.failed;
  broken.push(...tests.broken);
  // The container image has another Node.js than most machines.
  const other = args.length === 0 ? otherNode(run) : undefined;
  if (other !== undefined) {
    console.log('· unit tests on the Node.js of the container image');
    const there = runVitest({ run, args: ['--project', 'unit', ...(exhaustive ? [] : [shardOfThree()])], node: other });
    passed += there.passed;
    failed += there.failed;
    broken.push(...there.broken.map(onNode24));
    tests.flaky.push(...there.flaky.map(onNode24));
  }
  if (exhaustive && args.length === 0 && tests.failed === 0) await writeCrashMatrix();

  const left = leftAfterAWhile(leftBehind);
  judge('nothing is left behind', left.length === 0);

  tell('FAILED', broken);
  tell(flakyTests, tests.flaky);
  tell('LEFT BEHIND: still there after the tests', left);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/**
 * Runs the crash tests, every case, and writes docs/crash-matrix.md from what they saw. With words only the files that have one
 * in their path, and the other rows stay. Returns the exit code.
 */
export async function recordCrashMatrix({ build, run, words }) {
  const files = crashTests(words);
  if (files.length === 0) {
    console.log(`No crash test has ${words.join(' or ')} in its path. There are:\n${crashTests().join('\n')}`);
    return 1;
  }
  build();
  forgetOutcomes();
  const { passed, failed, broken, flaky } = runVitest({
    run,
    args: files,
    env: { ...temporalServer(), TEST_EXHAUSTIVE: '1' },
  });
  tell('FAILED', broken);
  tell(flakyTests, flaky);
  if (failed === 0) await writeCrashMatrix({ keeps: words.length > 0 });
  else console.log('docs/crash-matrix.md is as it was, because tests failed.');
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function onNode24(test) {
  return `${test} (Node.js 24)`;
}

/** A third of the files, another one with each commit. */
function shardOfThree() {
  const { stdout } = spawnSync('git', ['rev-parse', '--short=8', 'HEAD'], { encoding: 'utf8' });
  return `--shard=${(Number.parseInt(stdout?.trim() || '0', 16) % 3) + 1}/3`;
}

/** Once, before all tests: where it must be built, no test could wait for it. Undefined: there is none. */
function temporalServer() {
  const { status, stdout } = spawnSync(node, ['scripts/get-temporal.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  return status === 0 ? { TEMPORAL_BINARY: stdout.toString().trim() } : undefined;
}

const flakyTests = 'FLAKY: failed once and passed once, as their files were run again. Each is a fault to be found';

function tell(what, lines) {
  if (lines.length === 0) return;
  console.log(
    ['', '!'.repeat(100), `${what} (${lines.length}):`, ...lines.map((line) => `  ${line}`), '!'.repeat(100), ''].join(
      '\n',
    ),
  );
}
