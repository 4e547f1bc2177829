import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keepRules, keepText, markBackups, parseKeep } from '../../src/backups/retention.ts';
import { type History, historyCount, historyOf, prunable } from './retention/histories.ts';
import { oddHistories } from './retention/odd-histories.ts';

const folder = join(import.meta.dirname, 'retention');
const linesOf = (name: string) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n');

/** A letter for each: `k` kept, `r` removed, `p` protected; as `scripts/retention/ask-proxmox.pl` writes it. */
function answerTo({ backups, keep, timeZone }: History): string {
  const marks = markBackups(backups.map(prunable), keep, timeZone);
  return marks.map(({ mark }) => mark.slice(0, 1)).join('');
}

describe('markBackups', () => {
  // Proxmox's answers were recorded by scripts/retention/record.mjs.
  it(`answers as Proxmox's own code to ${historyCount} histories`, () => {
    const [digest, ...answers] = readFileSync(join(folder, 'answers.txt'), 'utf8').split('\n').slice(0, -1);
    const histories = Array.from({ length: historyCount }, (_, number) => historyOf(number));
    const asked = histories.map((history) => JSON.stringify(history)).join('\n');
    // Else other histories are compared than Proxmox was asked about.
    expect(createHash('sha256').update(asked).digest('hex')).toBe(digest);
    expect(answers).toHaveLength(historyCount);
    const differing = histories.flatMap((history, number) => {
      const answer = answerTo(history);
      return answer === answers[number] ? [] : [{ number, ...history, answer, proxmox: answers[number] }];
    });
    expect(differing.slice(0, 3)).toEqual([]);
    // The answers are no matter of chance: nothing, everything and a part is kept.
    expect(new Set(answers.join(''))).toEqual(new Set('krp'));
  });

  it('answers as Proxmox where calendars are odd', () => {
    const cases = linesOf('cases.jsonl').map((line) => JSON.parse(line) as History & { readonly answer: string });
    expect(cases.slice(0, oddHistories().length)).toMatchObject(oddHistories());
    for (const { answer, ...history } of cases) expect(answerTo(history), JSON.stringify(history)).toBe(answer);
  });

  it('says by which rule one is kept', () => {
    const times = ['2026-11-27T02:00Z', '2026-11-26T02:00Z', '2026-11-25T02:00Z', '2026-11-01T02:00Z'];
    const backups = times.map((text) => ({ time: Date.parse(text) }));
    expect(markBackups(backups, { 'keep-last': 1, 'keep-daily': 1, 'keep-weekly': 1 }, 'UTC')).toEqual([
      { mark: 'keep', rule: 'keep-last' },
      { mark: 'keep', rule: 'keep-daily' },
      { mark: 'remove' },
      { mark: 'keep', rule: 'keep-weekly' },
    ]);
  });
});

describe('parseKeep', () => {
  it.each([
    ['keep-daily=7', { 'keep-daily': 7 }],
    ['keep-last=3, keep-weekly=4', { 'keep-last': 3, 'keep-weekly': 4 }],
    ['keep-last=3,keep-daily=0', { 'keep-last': 3, 'keep-daily': 0 }],
    ['keep-all=1', {}],
  ])('reads %s', (text, keep) => {
    expect(parseKeep(text)).toEqual(keep);
  });

  it.each([
    '',
    '7',
    'daily=7',
    'keep-daily',
    'keep-daily=',
    'keep-daily=-1',
    'keep-daily=1.5',
    'keep-minutely=3',
    'keep-daily=7,',
    'keep-daily=7;keep-last=3',
    'keep-daily=7,keep-daily=8',
    'keep-all=1,keep-last=3',
    'keep-last=0',
    'keep-all=0',
    'KEEP-LAST=3',
  ])('refuses %j', (text) => {
    expect(parseKeep(text)).toBeUndefined();
  });

  it('reads what keepText writes', () => {
    const keep = fc.record(Object.fromEntries(keepRules.map((rule) => [rule, fc.integer({ min: 1, max: 99_999 })])), {
      requiredKeys: [],
    });
    fc.assert(
      fc.property(keep, (one) => {
        expect(parseKeep(keepText(one))).toEqual(one);
      }),
    );
  });
});
