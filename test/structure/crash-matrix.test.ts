import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { risksOf } from '../../src/operations/definition.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/crash-matrix.md'), 'utf8');
const rows = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [
      section.split('\n')[0],
      [...section.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)],
    ]),
);

describe('docs/crash-matrix.md', () => {
  /** Dangerous for what it shows, and changes nothing. */
  const onlyShows = ['fetch-file'];
  const changing = Object.values(catalogue).filter(
    (operation) => risksOf(operation).some((risk) => risk !== 'read') && !onlyShows.includes(operation.name),
  );

  it.each(changing)('has rows for $name, each of a step of it', ({ name, steps }) => {
    const ofIt = (rows.get(name) ?? []).filter(([, step]) => step !== 'step' && !/^-/.test(step ?? ''));
    expect(ofIt.length).toBeGreaterThan(0);
    expect(ofIt.map(([, step]) => step).filter((step) => !steps.includes(step ?? ''))).toEqual([]);
    expect(ofIt.map(([, , , outcome]) => outcome).filter((one) => !/^(done|undone|paused)$/.test(one ?? ''))).toEqual(
      [],
    );
  });

  it('has no row of what is no operation', () => {
    expect([...rows.keys()].filter((name) => !Object.hasOwn(catalogue, name ?? ''))).toEqual([]);
  });
});
