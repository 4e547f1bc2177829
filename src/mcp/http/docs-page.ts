import { Eta } from 'eta';
import { type OperationDefinition, risksOf, toolName } from '../../operations/definition.ts';
import type { Scope } from '../../tokens/token.ts';
import { type JsonSchema, jsonSchema } from '../json-schema.ts';
import { scopeFor } from '../scopes.ts';
import type { ServedPrompt } from '../surface.ts';
import type { ToolDescriptor } from '../toolbox.ts';
import { startTools } from '../tools/operation-tools.ts';
import { docsTemplate } from './docs-template.ts';

const eta = new Eta({ autoEscape: true, autoTrim: ['nl', 'slurp'] });
const template = eta.compile(docsTemplate);

export interface DocsPage {
  readonly version: string;
  readonly publicUrl: string;
  readonly tools: readonly (ToolDescriptor & { readonly scopes: readonly Scope[] })[];
  readonly operations: readonly OperationDefinition[];
  readonly prompts: readonly ServedPrompt[];
}

/** The tools and operations as one page for a person: no scripts, nothing loaded from elsewhere. */
export function renderDocs({ version, publicUrl, tools, operations, prompts }: DocsPage): string {
  const ofOperations = new Set(operations.map(({ name }) => toolName(name)));
  return eta.render(template, {
    version,
    publicUrl,
    prompts,
    escape: escapeHtml,
    operations: operations.map((operation) => ({
      ...operation,
      scopes: risksOf(operation).map(scopeFor),
      startedWith: toolsFor(operation),
      fields: fieldsOf(jsonSchema(operation.input)),
    })),
    tools: tools
      .filter(({ name }) => !ofOperations.has(name))
      .map((tool) => ({ ...tool, fields: fieldsOf(tool.inputSchema) })),
  });
}

/** The names of the tools that start an operation. */
function toolsFor(operation: OperationDefinition): readonly string[] {
  const start = risksOf(operation).map((risk) => startTools[risk].name);
  return operation.exposure === 'direct' ? [toolName(operation.name), ...start] : start;
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly description: string;
}

interface FieldSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly FieldSchema[];
  readonly default?: unknown;
  readonly description?: string;
}

function fieldsOf(schema: JsonSchema): Field[] {
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
  return field.type ?? 'any';
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
