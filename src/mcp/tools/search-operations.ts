import { z } from 'zod';
import { type OperationDefinition, risksOf, worstRisk } from '../../operations/definition.ts';
import { writtenInput } from '../../runs/name-guest.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { jsonSchema } from '../json-schema.ts';
import { createOperationSearch } from '../operation-search.ts';
import { type Caller, mayUse, scopeFor } from '../scopes.ts';
import { howToStart } from './operation-tools.ts';

/** How many hits beyond those that are shown in full are named. */
const namedBeside = 10;

/** Finds the operations that have no tool of their own, and says how to start them. */
export function searchOperationsTool(operations: readonly OperationDefinition[]): AnyTool {
  const search = createOperationSearch(operations);
  const byName = [...operations].sort((a, b) => (a.name < b.name ? -1 : 1));
  return defineTool({
    name: 'search_operations',
    title: 'Search operations',
    description: `Find what this service can do on Proxmox hosts and guests: ${operations.length} operations, most without a tool of their own. Search by words (restart a service, backup, upgrade packages, snapshot, VM, container …) for an operation's name, risk, input schema and the tool that starts it. Without a query it names all.`,
    risk: 'read',
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
    input: z.object({
      query: z.string().max(500).optional().describe('What is to be done'),
      limit: z.int().min(1).max(10).default(3).describe('How many to describe in full'),
    }),
    async handler({ query = '', limit }, _dependencies, { caller }) {
      const hits = search.find(query);
      return { data: hits.length === 0 ? everything(query) : answer(hits, limit, caller) };
    },
  });

  function everything(query: string): SearchAnswer {
    const note =
      query.trim() === ''
        ? 'These are all operations. Search for one by its name to see its input.'
        : 'No operation has these words. These are all operations.';
    return { note, operations: [], others: byName.map(inALine) };
  }
}

type SearchAnswer = {
  readonly note?: string;
  /** The best, in full. */
  readonly operations: readonly ReturnType<typeof described>[];
  /** Those beside them, a line each. */
  readonly others: readonly string[];
};

function answer(hits: readonly OperationDefinition[], limit: number, caller: Caller): SearchAnswer {
  return {
    operations: hits.slice(0, limit).map((operation) => described(operation, caller)),
    others: hits.slice(limit, limit + namedBeside).map(inALine),
  };
}

function inALine(operation: OperationDefinition): string {
  return `${operation.name} (${risksOf(operation).join(' or ')}): ${operation.summary}`;
}

function described(operation: OperationDefinition, caller: Caller) {
  const { name, title, summary, description } = operation;
  const worst = worstRisk(operation);
  return {
    name,
    title,
    summary,
    description,
    risk: operation.risk,
    startWith: howToStart(operation),
    ...(mayUse(caller, worst)
      ? {}
      : { note: `Of the risk "${worst}" it needs a token of the scope "${scopeFor(worst)}".` }),
    input: jsonSchema(writtenInput(operation).strict()),
  };
}
