import { expect, it } from 'vitest';
import { parseCron } from '../../src/runs/cron.ts';

it('reads what Temporal reads, the same way', () => {
  const { minutes, hours, days, months, weekdays } = parseCron(' 5,*/30 2-6/2  28/2 jan-Mar,December sun,5-7 ');
  expect(minutes).toEqual([0, 5, 30]);
  expect(hours).toEqual([2, 4, 6]);
  expect(days).toEqual([28, 30]);
  expect(months).toEqual([1, 2, 3, 12]);
  expect(weekdays).toEqual([0, 5, 6]);
});

it.each([
  ['60 2 * * *', 'minute "60"'],
  ['0 24 * * *', 'hour "24"'],
  ['0 2 0 * *', 'day of the month "0"'],
  ['0 2 * 13 *', 'month "13"'],
  ['0 2 * * 8', 'weekday "8"'],
  ['0 2 * * fre', 'weekday "fre"'],
  ['5-1 2 * * *', 'minute "5-1"'],
  ['*/0 2 * * *', 'minute "*/0"'],
  ['*-5 2 * * *', 'minute "*-5"'],
  ['-5 2 * * *', 'minute "-5"'],
  ['1,,2 2 * * *', 'minute "1,,2"'],
  ['0 2 * *', 'it has 4 fields'],
  ['0 0 2 * * *', 'it has 6 fields'],
  ['@daily', 'it has 1 fields'],
  ['CRON_TZ=UTC 0 2 * * *', 'it has 6 fields'],
])('%s is refused by its field', (text, named) => {
  expect(() => parseCron(text)).toThrow(named);
});
