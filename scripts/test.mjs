import { spawnSync } from 'node:child_process';
import { leftAfterAWhile, watchForLeftBehind } from './test/left-behind.mjs';
import { runVitest } from './test/vitest.mjs';

const node = process.execPath;

/**
 * Everything that must hold: generated files, lint, types, tests, and that they leave nothing running. Tests that failed
 * and passed when they were run once more are named before the last line, which is `N passed, N failed`. Returns the exit
 * code. `exhaustive`: every case of what else is a sample, and writes what the crash tests found.
 */
export function runTests({ build, run, args, exhaustive = false }) {
  let passed = 0;
  let failed = 0;
  const check = (what, argv) => {
    console.log(`· ${what}`);
    if (run(argv) === 0) passed += 1;
    else failed += 1;
  };
  const leftBehind = watchForLeftBehind(process.cwd());
  check('generated files', [node, 'scripts/generate.mjs', 'before-build', '--check']);
  check('lint', [node, 'node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']);
  check('types', [node, 'node_modules/typescript/bin/tsc', '--noEmit']);
  build();
  check('documents made from the sources', [node, 'scripts/generate.mjs', 'after-build', '--check']);

  // Once, before all tests: where it must be built, no test could wait for it.
  const temporal = spawnSync(node, ['scripts/get-temporal.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (temporal.status !== 0) failed += 1;
  const env = {
    ...(temporal.status === 0 && { TEMPORAL_BINARY: temporal.stdout.toString().trim() }),
    ...(exhaustive && { TEST_EXHAUSTIVE: '1' }),
  };
  const tests = runVitest({ run, args, env });
  passed += tests.passed;
  failed += tests.failed;

  const left = leftAfterAWhile(leftBehind);
  if (left.length > 0) failed += 1;
  else passed += 1;

  tell('FLAKY: failed, and passed when run once more by themselves. Each is a fault to be found', tests.flaky);
  tell('LEFT BEHIND: still there after the tests', left);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function tell(what, lines) {
  if (lines.length === 0) return;
  console.log(
    ['', '!'.repeat(100), `${what} (${lines.length}):`, ...lines.map((line) => `  ${line}`), '!'.repeat(100), ''].join(
      '\n',
    ),
  );
}
