import type { Documentation, DocumentedField } from '../console/documentation.ts';
import { type OperationDefinition, risksOf, toolName } from '../operations/definition.ts';
import { writtenInput } from '../runs/name-guest.ts';
import type { McpDependencies } from './dependencies.ts';
import { type JsonSchema, jsonSchema } from './json-schema.ts';
import { scopeFor } from './scopes.ts';
import type { Surface } from './surface.ts';
import { startTools } from './tools/operation-tools.ts';

/** What this server serves, for the page that documents it. */
export function documentationOf(surface: Surface, { config, operations }: McpDependencies): Documentation {
  const ofOperations = new Set(operations.map(({ name }) => toolName(name)));
  return {
    publicUrl: config.mcp.publicUrl,
    prompts: surface.prompts.list,
    operations: operations.map((operation) => ({
      name: operation.name,
      title: operation.title,
      description: operation.description,
      steps: operation.steps,
      schedules: operation.schedules,
      scopes: risksOf(operation).map(scopeFor),
      startedWith: toolsFor(operation),
      fields: fieldsOf(jsonSchema(writtenInput(operation))),
    })),
    tools: surface.tools
      .documented()
      .filter(({ name }) => !ofOperations.has(name))
      .map((tool) => ({ ...tool, fields: fieldsOf(tool.inputSchema) })),
  };
}

/** The names of the tools that start an operation. */
function toolsFor(operation: OperationDefinition): readonly string[] {
  const start = risksOf(operation).map((risk) => startTools[risk].name);
  return operation.exposure === 'direct' ? [toolName(operation.name), ...start] : start;
}

interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly FieldSchema[];
  readonly default?: unknown;
  readonly description?: string;
}

function fieldsOf(schema: JsonSchema): DocumentedField[] {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, FieldSchema>>;
  const required = new Set((schema.required ?? []) as readonly string[]);
  return Object.entries(properties).map(([name, field]) => ({
    name,
    type: typeOf(field),
    required: required.has(name),
    description: [
      field.description ?? '',
      field.default === undefined ? '' : `Default: ${JSON.stringify(field.default)}.`,
    ]
      .filter((part) => part !== '')
      .join('. ')
      .replaceAll('.. ', '. '),
  }));
}

function typeOf(field: FieldSchema): string {
  if (field.enum !== undefined) return field.enum.map(String).join(' | ');
  if (field.anyOf !== undefined) return field.anyOf.map(typeOf).join(' | ');
  return [field.type ?? 'any'].flat().join(' | ');
}
