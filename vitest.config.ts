import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defaultSeed } from './test/support/seed.ts';

/** What a test needs is in its file's name; `test/structure/needs.test.ts` holds the names to what the files do. */
const projects = [
  // Real hosts in containers: root and a Docker engine, beside what `system` needs.
  { name: 'lab', include: ['test/**/*.lab.test.ts'] },
  // Other programs of this machine: the built service, a Temporal server, sshd, sudo in a sandbox, a browser.
  { name: 'system', include: ['test/**/*.system.test.ts'] },
  // Nothing but Node and the sources. All of them take seconds.
  { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/**/*.{lab,system}.test.ts'] },
];

/** In the projects' order, so that what takes long begins first and nothing long is left for the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project }: TestSpecification) => projects.findIndex(({ name }) => name === project.name);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

// Once: vitest reads this file for every project. Workers inherit the variable.
if (!process.env.TEST_SEED) {
  process.env.TEST_SEED = defaultSeed();
  console.log(`Samples are chosen by TEST_SEED=${process.env.TEST_SEED}`);
}

export default defineConfig({
  test: {
    // For what hangs; a loaded machine is only slow.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    pool: 'forks',
    // Many tests wait for other processes, hosts and clocks; vitest's own choice on two cores is one at a time. With six, two
    // cores had ten to thirty processes waiting for them all the time, and what has limits of time failed.
    maxWorkers: 4,
    reporters: ['default'],
    sequence: { sequencer: LongestFirst },
    projects: projects.map((test) => ({ extends: true as const, test })),
  },
});
