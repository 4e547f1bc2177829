import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const reporter = fileURLToPath(new URL('./reporter.mjs', import.meta.url));

/** A change that breaks more files than this is no noise of the machine: nothing is run again. */
const mostFiles = 8;

/**
 * Runs vitest and, one after the other and each by itself, the files in which something failed once more: what passes then
 * is flaky, which fails nothing but is named. Whole files, since a test may need what those before it did.
 * `run(argv, env)` runs a program to its end and returns its exit code; `node` is the Node.js that runs them, by default
 * this one. Returns how many tests passed and failed, and the names of the broken and the flaky ones, each as
 * `FILE > SUITE > TEST`.
 *
 * A file that can't be loaded and a hook that throws count as one failure each; so does a vitest that fails without a
 * failed test (nothing found, a crash), and every error that nobody caught: these are never tried again, as they have no name.
 */
export function runVitest({ run, args, env = {}, node = process.execPath }) {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-test-'));
  const start = (...more) => {
    const file = join(folder, 'results.json');
    rmSync(file, { force: true });
    const vitest = [node, 'node_modules/vitest/vitest.mjs', 'run', '--reporter=default'];
    const code = run([...vitest, `--reporter=${reporter}`, ...more], { ...env, TEST_RESULTS: file });
    return { code, ...read(file) };
  };
  try {
    const first = start(...args);
    const failures = failuresOf(first);
    const files = [...new Set(failures.map(({ file }) => file))];
    const nameless = first.errors > 0 || (first.code !== 0 && failures.length === 0) ? Math.max(1, first.errors) : 0;
    const passed = new Set(passedOf(first));
    const mended = [];
    const wavering = [];
    if (files.length > mostFiles) console.log(`· failures in ${files.length} files: none is run again`);
    for (const file of files.length > mostFiles ? [] : files) {
      const failed = failures.filter((failure) => failure.file === file);
      console.log(`· once more, by itself: ${failed.length} failed in ${file}`);
      const again = start(file, '--maxWorkers=1');
      if (again.errors > 0) continue;
      for (const key of passedOf(again)) passed.add(key);
      mended.push(...failed.filter((failure) => isMended(failure, again)));
      // What passed the first time and fails now is no better.
      wavering.push(...failuresOf(again).filter((failure) => isMended(failure, first)));
    }
    return {
      passed: passed.size,
      failed: failures.length - mended.length + nameless,
      broken: [
        ...failures.filter((failure) => !mended.includes(failure)).map(nameOf),
        ...(nameless > 0 ? [`${nameless} outside of every test: see the output above`] : []),
      ],
      flaky: [...mended, ...wavering].map(nameOf),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the reporter has written; a vitest that died before has written nothing. */
function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { tests: [], broken: [], errors: 0 };
  }
}

function nameOf({ file, path }) {
  return [file, ...path].join(' > ');
}

function failuresOf({ tests, broken }) {
  return [...broken, ...tests.filter(({ state }) => state === 'failed')];
}

/** A key for each test that passed: its place, and a number, since tests may share a name. */
function passedOf({ tests }) {
  const seen = new Map();
  const keys = [];
  for (const { file, path, state } of tests) {
    const place = JSON.stringify([file, ...path]);
    seen.set(place, (seen.get(place) ?? 0) + 1);
    if (state === 'passed') keys.push(`${place} ${seen.get(place)}`);
  }
  return keys;
}

/** Everything at or below the place of a failure passes now, and something is there. */
function isMended({ file, path }, again) {
  const below = (one) => one.file === file && path.every((name, index) => one.path[index] === name);
  const tests = again.tests.filter((test) => below(test) && test.state !== 'skipped');
  return tests.length > 0 && tests.every(({ state }) => state === 'passed') && !again.broken.some(below);
}
