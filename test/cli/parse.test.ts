import { describe, expect, it } from 'vitest';
import { expiry } from '../../src/cli/parse.ts';

describe('when something expires', () => {
  const parse = expiry('--expires');
  const inDays = (text: string) => Math.round((parse(text) - Date.now() / 1000) / 86_400);

  it.each([
    ['90d', 90],
    ['6m', 180],
    ['1y', 365],
  ])('%s', (text, days) => {
    expect(inDays(text)).toBe(days);
  });

  it('a day to come, to its end, or never', () => {
    const day = new Date(Date.now() + 40 * 86_400_000).toISOString().slice(0, 10);
    expect(new Date(parse(day) * 1000).toISOString()).toBe(`${day}T23:59:59.000Z`);
    expect(parse('never')).toBe(0);
  });

  it.each(['', '0d', '90', '-5d', '2020-01-01', '2027-13-45', '99y', 'tomorrow', '1e3d'])('not %j', (text) => {
    expect(() => parse(text)).toThrow(/--expires is never, a time \(90d, 6m, 1y\) or a day to come/);
  });
});
