import { defineSearchAttributeKey, type SearchAttributePair, SearchAttributeType } from '@temporalio/common';
import { type OperationDefinition, worstRisk } from '../operations/definition.ts';
import type { Requester } from '../operations/run.ts';
import { searchAttributes } from '../operations/search-attributes.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);

export const keys = {
  operation: keyword(searchAttributes.operation),
  target: keyword(searchAttributes.target),
  risk: keyword(searchAttributes.risk),
  phase: keyword(searchAttributes.phase),
  outcome: keyword(searchAttributes.outcome),
  requestedBy: keyword(searchAttributes.requestedBy),
};

/** What a run is found by from its first moment; its workflow adds phase and outcome. */
export function startAttributes(operation: OperationDefinition, host: string, by: Requester): SearchAttributePair[] {
  return [
    { key: keys.operation, value: operation.name },
    { key: keys.target, value: host },
    { key: keys.risk, value: worstRisk(operation) },
    { key: keys.phase, value: 'running' },
    { key: keys.requestedBy, value: `${by.kind}:${by.name}` },
  ];
}

/** The texts that the Temporal UI shows of a run before it has said anything itself. */
export function startTexts(operation: OperationDefinition, host: string, by: Requester) {
  return {
    staticSummary: `${operation.title} ${host}`,
    staticDetails: [
      operation.summary,
      '',
      `- Asked for by **${by.name}** (${by.kind})`,
      `- Risk: ${worstRisk(operation)}`,
      `- Guide: ${operation.guide}`,
    ].join('\n'),
  };
}
