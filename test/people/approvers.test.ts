import { describe, expect, it } from 'vitest';
import type { Requester } from '../../src/operations/run.ts';
import { whoMayApprove } from '../../src/people/approvers.ts';
import type { Person, Role } from '../../src/people/person.ts';

const person = (name: string, role: Role, disabled = false): Person => ({
  name,
  role,
  mail: [],
  totp: true,
  keys: [],
  createdAt: '2026-11-26T12:00:00.000Z',
  disabled,
});
const people = [
  person('anna', 'administrator'),
  person('bob', 'administrator'),
  person('carl', 'operator'),
  person('dora', 'observer'),
  person('emil', 'administrator', true),
];
const agentOfAnna: Requester = { kind: 'mcp', name: 'claude', for: 'anna' };

describe('who may approve', () => {
  it.each<[string, Role, number, Requester, readonly string[]]>([
    ['an agent without an owner', 'administrator', 1, { kind: 'mcp', name: 'claude' }, ['anna', 'bob']],
    ['somebody’s agent, one is enough', 'administrator', 1, agentOfAnna, ['anna', 'bob']],
    ['somebody’s agent, two have to', 'administrator', 2, agentOfAnna, ['bob']],
    ['a person', 'administrator', 1, { kind: 'person', name: 'anna' }, ['bob']],
    ['a person who is no administrator', 'administrator', 1, { kind: 'person', name: 'carl' }, ['anna', 'bob']],
    ['a login, which proves nobody', 'administrator', 1, { kind: 'cli', name: 'anna' }, ['anna', 'bob']],
    ['an agent with a person’s name', 'administrator', 2, { kind: 'mcp', name: 'anna' }, ['anna', 'bob']],
    ['a schedule', 'operator', 1, { kind: 'schedule', name: 'back-up/daily/pve1' }, ['anna', 'bob', 'carl']],
  ])('of what %s asked', (_, role, count, requestedBy, names) => {
    expect(whoMayApprove(people, { role, count, requestedBy })).toEqual(names);
  });
});
