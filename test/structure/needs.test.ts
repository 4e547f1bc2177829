import { expect, it } from 'vitest';
import { closureOf, readSources } from './sources.ts';

/** What a test that imports one of these needs, by its ending. The first that fits counts. */
const needs = [
  ['.lab.test.ts', /^lab\/(hosts\/lab-host|images)\.ts$/],
  [
    '.system.test.ts',
    /^lab\/sshd\.ts$|^test\/(support\/(built|local-host|service|temporal|browser)|hosts\/helper\/sandbox\/sandbox)\.ts$/,
  ],
] as const;

const sources = readSources('test', 'lab', 'src');
const tests = sources.map(({ path }) => path).filter((path) => path.endsWith('.test.ts'));

it('the ending of a test’s name says what it needs', () => {
  const wrong = tests.flatMap((path) => {
    const imported = [...closureOf(sources, path)];
    const [ending = ''] = needs.find(([, sign]) => imported.some((name) => sign.test(name))) ?? [];
    // One that starts programs itself may say so without importing any of these.
    if (ending === '') return path.endsWith('.lab.test.ts') ? [`${path} needs no lab`] : [];
    return path.endsWith(ending) ? [] : [`${path} must end in ${ending}`];
  });
  expect(wrong).toEqual([]);
});

it('tests are in folders of the same names as what they test', () => {
  // Beside them: what is about all of it, and what tests share.
  const others = /^test\/(bench|deploy|faults|fixtures|lab|replay|scripts|structure|support)\//;
  const folders = new Set(sources.map(({ path }) => path.split('/').slice(0, 2).join('/')));
  const strange = tests.filter((path) => !others.test(path) && !folders.has(`src/${path.split('/')[1]}`));
  expect(strange).toEqual([]);
});
