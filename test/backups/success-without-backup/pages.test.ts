import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { waysOfGuests } from './of-guests.ts';
import { waysOfHosts } from './of-hosts.ts';
import { renderWays } from './ways.ts';

it.each([
  ['backups.md', waysOfHosts],
  ['guest-backups.md', waysOfGuests],
])('docs/%s shows how each way is found', async (name, ways) => {
  const page = join(import.meta.dirname, '../../../docs', name);
  const text = readFileSync(page, 'utf8');
  const table = /^\| what \| found by \| check \|\n(?:\|.*\n)+/m;
  expect(text).toMatch(table);
  await expect(text.replace(table, () => renderWays(ways))).toMatchFileSnapshot(page);
});

it('each way is told once, and there are more than twenty', () => {
  for (const ways of [waysOfHosts, waysOfGuests]) {
    const told = ways.map(({ way }) => way);
    expect(new Set(told).size).toBe(told.length);
    expect(told.length).toBeGreaterThan(20);
  }
});
