import { defineSearchAttributeKey, type SearchAttributePair, SearchAttributeType } from '@temporalio/common';
import { type OperationDefinition, riskOf } from '../../operations/definition.ts';
import type { Requester } from '../../operations/run.ts';
import { searchAttributes } from '../../operations/search-attributes.ts';
import { labelFor } from '../../operations/target.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);

export const keys = {
  operation: keyword(searchAttributes.operation),
  target: keyword(searchAttributes.target),
  risk: keyword(searchAttributes.risk),
  phase: keyword(searchAttributes.phase),
  outcome: keyword(searchAttributes.outcome),
  requestedBy: keyword(searchAttributes.requestedBy),
  verdict: keyword(searchAttributes.verdict),
  dryRun: keyword(searchAttributes.dryRun),
};

/** What every start of a run says, whoever starts it: a client, a schedule or another run. */
export function startOptions(
  operation: OperationDefinition,
  input: Readonly<Record<string, unknown>>,
  by: Requester,
  undoes?: string,
): {
  readonly typedSearchAttributes: SearchAttributePair[];
  readonly staticSummary: string;
  readonly staticDetails: string;
} {
  const target = labelFor(operation, input);
  const risk = riskOf(operation, input);
  return {
    // What a run is found by from its first moment; its workflow changes the phase and adds the outcome.
    typedSearchAttributes: [
      { key: keys.operation, value: operation.name },
      { key: keys.target, value: target },
      { key: keys.risk, value: risk },
      { key: keys.phase, value: 'running' },
      { key: keys.requestedBy, value: `${by.kind}:${by.name}` },
      { key: keys.dryRun, value: input.dryRun === true ? 'yes' : 'no' },
    ],
    staticSummary: `${operation.title} ${target}`,
    staticDetails: [
      operation.summary,
      '',
      `- Asked for by **${by.name}** (${by.kind})`,
      ...(undoes === undefined ? [] : [`- Takes back **${undoes}**`]),
      `- Risk: ${risk}`,
      `- Guide: ${operation.guide}`,
    ].join('\n'),
  };
}

/** `back-up/pve1/…`, `control-guest/pve1.100/…`: the operation and the target, so that lists of ids can be read. */
export function runIdPrefix(operation: OperationDefinition, input: Readonly<Record<string, unknown>>): string {
  const label = operation.target === 'fleet' ? 'fleet' : labelFor(operation, input);
  return `${operation.name}/${label.replaceAll('/', '.')}`;
}
