import type { OperationDefinition } from '../../src/operations/definition.ts';
import type { JudgedRequest } from '../../src/operations/judgement.ts';
import type { JudgeContext } from '../../src/policy/judge.ts';
import { type Policy, type PolicyDocument, placed, policySchema } from '../../src/policy/schema.ts';
import type { KnownPerson } from '../../src/policy/who.ts';

export const anna: KnownPerson = { name: 'anna', role: 'administrator', disabled: false };
export const ben: KnownPerson = { name: 'ben', role: 'operator', disabled: false };
export const kim: KnownPerson = { name: 'kim', role: 'observer', disabled: false };

export function policyOf(document: PolicyDocument): Policy {
  return placed(policySchema.parse(document), ([key, index]) => (index === undefined ? `${key}` : `${key}[${index}]`));
}

export function operation(more: Partial<OperationDefinition>): OperationDefinition {
  return { name: 'test', risk: 'dangerous', target: 'host', ...more } as OperationDefinition;
}

export function request(more: Partial<JudgedRequest>): JudgedRequest {
  return { operation: 'test', risk: 'change', input: {}, requestedBy: { kind: 'mcp', name: 'claude' }, ...more };
}

export function context(more: Partial<JudgeContext> = {}): JudgeContext {
  return {
    people: [anna],
    hosts: ['pve1', 'pve2'],
    now: Date.parse('2026-11-26T12:00:00Z'),
    timeZoneOf: () => 'UTC',
    ...more,
  };
}
