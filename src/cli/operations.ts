import { type Command, Option } from 'commander';
import { z } from 'zod';
import { catalogue } from '../operations/catalogue.generated.ts';
import { type OperationDefinition, riskText } from '../operations/definition.ts';
import type { CliContext } from './context.ts';
import { whole } from './parse.ts';
import { followRun } from './show-run.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

/** What of a property's JSON schema the flags need. */
interface Property {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
}

interface OperationOptions {
  readonly wait: boolean;
  readonly json?: boolean;
  readonly timeout: number;
  readonly idempotencyKey?: string;
  readonly [flag: string]: unknown;
}

/** One command per operation of the catalogue, its flags made from the input schema. */
export function operationCommands(program: Command, context: CliContext): void {
  for (const operation of Object.values(catalogue)) addOperation(program, context, operation);
}

function addOperation(program: Command, context: CliContext, operation: OperationDefinition): void {
  const properties = propertiesOf(operation);
  const command = program
    .command(operation.name)
    .summary(operation.summary)
    .description(
      `${asFlags(operation.description, properties)}\n\nSteps: ${operation.steps.join(', ')}. Risk: ${riskText(operation)}.`,
    );
  for (const [name, property] of Object.entries(properties)) command.addOption(toOption(name, property));
  command
    .option('--no-wait', "Return as soon as the run is started; don't follow it")
    .option(
      '--timeout <seconds>',
      'How long to follow it at most; the run itself goes on',
      whole('--timeout', 1, 604_800),
      86_400,
    )
    .option(
      '--idempotency-key <key>',
      'The same key with the same input finds the same run instead of starting another',
    )
    .option('--json', 'Print the run as JSON')
    .action(async (options: OperationOptions) => {
      const input = inputOf(properties, options);
      await withTemporal(context, async ({ runs }) => {
        const { idempotencyKey: key } = options;
        const run = await runs.start(
          operation.name,
          input,
          requester(),
          key === undefined ? {} : { idempotencyKey: key },
        );
        note(`${run.existing ? 'Found' : 'Started'} run ${run.id}\n${run.url}`);
        const json = options.json === true;
        if (options.wait) await followRun(context, runs, run, { timeoutMs: options.timeout * 1_000, json });
        else if (json) printJson(run);
        else print(run.id);
      });
    });
}

function propertiesOf(operation: OperationDefinition): Readonly<Record<string, Property>> {
  const schema = z.toJSONSchema(operation.input, { io: 'input' });
  return (schema.properties ?? {}) as Readonly<Record<string, Property>>;
}

/** `dryRun` → `--dry-run`. A flag that is on by default is written as `--no-…`. */
function toOption(name: string, property: Property): Option {
  const flag = kebab(name);
  const what = (property.description ?? '').replace('list_hosts names them', 'npx proxmox-mcp host list names them');
  if (property.type === 'boolean') {
    if (property.default === true) return new Option(`--no-${flag}`, what);
    return new Option(
      `--${flag}`,
      what.replace(/^true: (.)/, (_, letter: string) => letter.toUpperCase()),
    );
  }
  const option = new Option(
    property.type === 'array' ? `--${flag} <values...>` : `--${flag} <${placeholder(name, property)}>`,
    what,
  );
  if (property.enum !== undefined) option.choices([...property.enum]);
  // Not commander's default: the schema puts its own in, and so only what a person wrote is sent.
  if (property.default !== undefined) option.description += ` (default: ${String(property.default)})`;
  return option;
}

/** A value of one field of an operation's input as a person wrote it. */
export function fieldValue(operation: OperationDefinition, name: string, text: string): unknown {
  const property = propertiesOf(operation)[name];
  if (property?.type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
  if (property?.type === 'array') return text.split(',');
  return convert(text, property ?? {});
}

/** The operation's input from the flags that were written; Runs checks it against the schema. */
function inputOf(properties: Readonly<Record<string, Property>>, options: OperationOptions): Record<string, unknown> {
  const written = Object.entries(properties).flatMap(([name, property]) => {
    const value = options[name];
    return value === undefined ? [] : [[name, convert(value, property)] as const];
  });
  return Object.fromEntries(written);
}

function convert(value: unknown, { type }: Property): unknown {
  if (typeof value !== 'string') return value;
  if ((type === 'integer' || type === 'number') && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (type === 'object') {
    try {
      return JSON.parse(value);
    } catch {
      return value;
    }
  }
  return value;
}

function placeholder(name: string, { type }: Property): string {
  return name === 'host'
    ? 'name'
    : type === 'integer' || type === 'number'
      ? 'number'
      : type === 'object'
        ? 'json'
        : 'value';
}

/** The catalogue's words are those of MCP: `dryRun` is `--dry-run` here. */
function asFlags(text: string, properties: Readonly<Record<string, Property>>): string {
  return Object.keys(properties)
    .filter((name) => kebab(name) !== name)
    .reduce((said, name) => said.replaceAll(name, `--${kebab(name)}`), text);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-');
}
