import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parsePolicy } from '../../src/policy/read-policy.ts';
import { policyLines } from '../../src/policy/words.ts';

const root = join(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'policy.example.yaml'), 'utf8');

it('the example is a valid policy that has every key', () => {
  const { read, problems } = parsePolicy(text, { dangerousCommands: false });
  expect(problems).toEqual([]);
  const keys = (value: unknown): string[] =>
    Array.isArray(value)
      ? value.flatMap(keys)
      : typeof value === 'object' && value !== null
        ? Object.entries(value).flatMap(([key, item]) => [key, ...keys(item)])
        : [];
  const written = new Set(keys(read?.document));
  const known = [
    ...['rules', 'who', 'may', 'operations', 'risks', 'on', 'why', 'hosts', 'guests', 'tags', 'pools', 'protected'],
    ...['windows', 'days', 'from', 'to', 'timeZone', 'approvals', 'count', 'role', 'answerWithin', 'executeWithin'],
    ...['remindEvery', 'signed', 'contacts', 'name', 'mail', 'level', 'subjects', 'webhook', 'escalation'],
    ...['level2', 'level3', 'level4', 'all', 'repeat', 'snapshotFirst', 'dangerousCommands'],
  ];
  expect([...written].sort()).toEqual([...known].sort());
  expect(read && policyLines(read.policy)).toMatchSnapshot();
});

it('what the file refuses as unknown is what the example has not', () => {
  for (const [line, key] of text
    .split('\n')
    .flatMap((one) => (/^ *-? *(\w+):/.test(one) ? [[one, /(\w+):/.exec(one)?.[1] ?? '']] : []))) {
    const { problems } = parsePolicy(text.replace(line ?? '', (line ?? '').replace(`${key}:`, `${key}x:`)), {
      dangerousCommands: false,
    });
    expect(problems.length, `${key}x`).toBeGreaterThan(0);
  }
});
