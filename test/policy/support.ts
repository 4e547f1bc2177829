import type { OperationDefinition } from '../../src/operations/definition.ts';
import type { JudgedRequest } from '../../src/operations/judgement.ts';
import type { JudgeContext } from '../../src/policy/judge.ts';
import { type Policy, type PolicyDocument, placed, policySchema } from '../../src/policy/schema.ts';
import { type Person, roles } from '../../src/policy/who.ts';

export const anna: Person = { name: 'anna', role: 'administrator' };
export const ben: Person = { name: 'ben', role: 'operator' };
export const kim: Person = { name: 'kim', role: 'observer' };

export function policyOf(document: PolicyDocument): Policy {
  return placed(policySchema.parse(document), ([key, index]) => (index === undefined ? `${key}` : `${key}[${index}]`));
}

export function operation(more: Partial<OperationDefinition>): OperationDefinition {
  return { name: 'test', risk: 'dangerous', target: 'host', ...more } as OperationDefinition;
}

export function request(more: Partial<JudgedRequest>): JudgedRequest {
  return { operation: 'test', risk: 'change', input: {}, requestedBy: { kind: 'mcp', name: 'claude' }, ...more };
}

/** Who may approve, as far as these tests care: enabled people of the role, without the person who asked. */
const whoMayApprove: JudgeContext['whoMayApprove'] = (people, { role, count, requestedBy }) =>
  people
    .filter((one) => !one.disabled && roles.indexOf(one.role) >= roles.indexOf(role))
    .map(({ name }) => name)
    .filter((name) => !(requestedBy.kind === 'person' && requestedBy.name === name))
    .filter((name) => !(count > 1 && requestedBy.for === name));

export function context(more: Partial<JudgeContext> = {}): JudgeContext {
  return {
    people: [anna],
    hosts: ['pve1', 'pve2'],
    now: Date.parse('2026-11-26T12:00:00Z'),
    timeZoneOf: () => 'UTC',
    whoMayApprove,
    ...more,
  };
}
