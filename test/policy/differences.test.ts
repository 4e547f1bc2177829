import { describe, expect, it } from 'vitest';
import { differences } from '../../src/policy/differences.ts';
import type { PolicyDocument } from '../../src/policy/schema.ts';
import { policyLines } from '../../src/policy/words.ts';
import { policyOf } from './support.ts';

const said = (approved: PolicyDocument, file: PolicyDocument) =>
  differences(policyOf(approved), policyOf(file)).map(({ effect, text }) => `${effect}: ${text}`);

describe('what a file says otherwise than what was approved', () => {
  const frees = { who: 'token:claude', may: 'yes', risks: 'dangerous', on: { tags: 'test' } } as const;
  const forbids = {
    who: ['agents'],
    may: 'no',
    operations: ['control-guest'],
    on: { guests: ['200-299', 100] },
  } as const;
  it.each<[string, PolicyDocument, PolicyDocument, string[]]>([
    [
      'a rule that permits',
      {},
      { rules: [frees] },
      ['looser: New rule: the token claude may do what is dangerous on guests tagged test'],
    ],
    [
      'without it',
      { rules: [frees] },
      {},
      ['tighter: No rule any more: the token claude may do what is dangerous on guests tagged test'],
    ],
    [
      'a rule that forbids',
      {},
      { rules: [{ ...forbids, operations: ['control-guest'], on: { guests: ['200-299', 100] } }] } as PolicyDocument,
      ['tighter: New rule: agents may not do control-guest (change or dangerous) on guests 200–299 and 100'],
    ],
    [
      'another order, place and reason',
      { rules: [frees, { who: 'people', may: 'ask', why: 'x' }] },
      { rules: [{ who: ['people'], may: 'ask' }, frees] },
      [],
    ],
    [
      'less protection',
      { protected: { hosts: ['pve1', 'pve2'], tags: 'crown' } },
      { protected: { hosts: 'pve1', pools: 'customers' } },
      [
        'tighter: Protected: guests of the pool customers',
        'looser: No longer protected: pve2 with its guests',
        'looser: No longer protected: guests tagged crown',
      ],
    ],
    [
      'the first window',
      {},
      { windows: [{ days: ['sun', 'sat'], from: '22:00', to: '04:00', on: { hosts: 'pve1' } }] },
      [
        'tighter: New window: Changes and what is dangerous on pve1 with its guests only sat and sun 22:00–04:00 by the clock of the host',
      ],
    ],
    [
      'more time in a window beside one',
      { windows: [{ from: '22:00', to: '23:00' }] },
      {
        windows: [
          { from: '22:00', to: '23:00' },
          { days: 'sat', timeZone: 'Asia/Tokyo' },
        ],
      },
      ['looser: New window: Changes and what is dangerous only sat 00:00–24:00 in Asia/Tokyo'],
    ],
    [
      'a window that took another one’s place',
      { windows: [{ from: '22:00', to: '23:00' }] },
      { windows: [{ from: '22:00', to: '22:30' }] },
      [
        'other: New window: Changes and what is dangerous only daily 22:00–22:30 by the clock of the host',
        'other: No window any more: Changes and what is dangerous only daily 22:00–23:00 by the clock of the host',
      ],
    ],
    [
      'an approver less',
      { approvals: [{ count: 3, signed: true }] },
      { approvals: [{ count: 2, signed: true }] },
      [
        'looser: Approval: What is dangerous: 2 approvers, each yes signed; it was: What is dangerous: 3 approvers, each yes signed',
      ],
    ],
    [
      'less time to answer',
      { approvals: [{ answerWithin: '3d' }] },
      { approvals: [{ answerWithin: '30m', signed: true }] },
      [
        'tighter: Approval: What is dangerous: an approver, each yes signed, an answer within 30 min; it was: What is dangerous: an approver, an answer within 3 days',
      ],
    ],
    [
      'no approval',
      { approvals: [{ operations: 'back-up' }] },
      {},
      ['looser: No approval any more: back-up (change or dangerous): an approver'],
    ],
    [
      'a contact less',
      { contacts: [{ name: 'Anna', level: 1, mail: 'anna@example.org', subjects: 'security' }] },
      {},
      ['other: No contact any more: Level 1: Anna (anna@example.org) for security'],
    ],
    [
      'ENABLE_DANGEROUS_COMMANDS=true',
      {},
      { dangerousCommands: true },
      [expect.stringMatching(/^looser: ENABLE_DANGEROUS/) as never],
    ],
  ])('%s', (_, approved, file, expected) => {
    expect(said(approved, file)).toEqual(expected);
  });
});

it('a policy is shown in words, each line with where it stands', () => {
  const policy = policyOf({
    rules: [{ who: ['role:observer', 'person:anna'], may: 'ask', why: 'she asked for it' }],
    protected: { guests: 100 },
    contacts: [{ name: 'Anna', level: 1, mail: 'anna@example.org', webhook: 'ONCALL_WEBHOOK_URL' }],
    escalation: { all: '30m' },
  });
  const text = policyLines(policy).flatMap(({ title, lines }) => [
    title,
    ...lines.map((line) => `  ${line.text} [${line.at}]`),
  ]);
  expect(text.slice(0, 2)).toEqual([
    'Who may do what',
    '  every observer and anna must ask for changes and what is dangerous: she asked for it [rules[0]]',
  ]);
  expect(text).toContain('  Nothing dangerous is done to guest 100, and changes of them need an approval [protected]');
  expect(text).toContain('  Level 1: Anna (anna@example.org and the webhook ONCALL_WEBHOOK_URL) [contacts]');
  expect(text).toContain('  Operations: level 1 at once, all after 30 min [escalation]');
  // The default is said, too: no part is empty.
  for (const { lines } of policyLines(policyOf({}))) expect(lines.length).toBeGreaterThan(0);
});
