import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Everything that must hold: generated files, lint, types, tests. Ends with `N passed, N failed`; returns the exit code. */
export function runTests({ build, run, args }) {
  let passed = 0;
  let failed = 0;
  const check = (what, argv) => {
    console.log(`· ${what}`);
    if (run(argv) === 0) passed += 1;
    else failed += 1;
  };
  const node = process.execPath;
  check('generated files', [node, 'scripts/generate.mjs', 'before-build', '--check']);
  check('lint', [node, 'node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']);
  check('types', [node, 'node_modules/typescript/bin/tsc', '--noEmit']);
  build();
  check('documents made from the sources', [node, 'scripts/generate.mjs', 'after-build', '--check']);

  // Once, before all tests: where it must be built, no test could wait for it.
  const temporal = spawnSync(node, ['scripts/get-temporal.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (temporal.status !== 0) failed += 1;
  const env = temporal.status === 0 ? { TEMPORAL_BINARY: temporal.stdout.toString().trim() } : {};

  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-test-'));
  try {
    const results = join(folder, 'results.json');
    const vitest = [node, 'node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json'];
    const code = run([...vitest, `--outputFile.json=${results}`, ...args], env);
    const tests = count(results);
    passed += tests.passed;
    // Vitest can fail without a failed test: an unhandled rejection, no test found, a crash.
    failed += tests.failed === 0 && code !== 0 ? 1 : tests.failed;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** A file that could not be loaded has no tests and counts as one failure. */
function count(file) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 0 };
  }
  const broken = results.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
  );
  return { passed: results.numPassedTests, failed: results.numFailedTests + broken.length };
}
