import { writeFileSync } from 'node:fs';

/**
 * A reporter of vitest's that writes what `vitest.mjs` counts, as JSON to the file that `TEST_RESULTS` names: every test's
 * state, what failed outside of a test (a file that can't be loaded, a hook), and how many errors nobody caught. Vitest's
 * own JSON has no hooks and no such errors.
 */
export default class Results {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = [];
    const broken = [];
    for (const module of modules) {
      const file = module.relativeModuleId;
      if (module.errors().length > 0) broken.push({ file, path: [] });
      for (const suite of module.children.allSuites()) {
        if (suite.errors().length > 0) broken.push({ file, path: pathOf(suite) });
      }
      for (const test of module.children.allTests()) {
        tests.push({ file, path: pathOf(test), state: test.result().state });
      }
    }
    writeFileSync(process.env.TEST_RESULTS, JSON.stringify({ tests, broken, errors: unhandledErrors.length }));
  }
}

/** The names of the suites around it, and its own. */
function pathOf(task) {
  return task.type === 'module' ? [] : [...pathOf(task.parent), task.name];
}
