import { type Command, Option } from 'commander';
import { catalogue } from '../operations/catalogue.generated.ts';
import { type OperationDefinition, riskText } from '../operations/definition.ts';
import { type InputField, inputFields, readField } from '../runs/input-fields.ts';
import type { CliContext } from './context.ts';
import { whole } from './parse.ts';
import { followRun } from './show-run.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

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
  const fields = inputFields(operation);
  const command = program
    .command(operation.name)
    .summary(operation.summary)
    .description(
      `${asFlags(operation.description, fields)}\n\nSteps: ${operation.steps.join(', ')}. Risk: ${riskText(operation)}.`,
    );
  for (const field of fields) command.addOption(toOption(field));
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
      const input = inputOf(fields, options);
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

/** `dryRun` → `--dry-run`. A flag that is on by default is written as `--no-…`. */
function toOption(field: InputField): Option {
  const flag = kebab(field.name);
  const what = (field.description ?? '').replace('list_hosts names them', 'npx proxmox-mcp host list names them');
  if (field.type === 'boolean') {
    if (field.default === true) return new Option(`--no-${flag}`, what);
    return new Option(
      `--${flag}`,
      what.replace(/^true: (.)/, (_, letter: string) => letter.toUpperCase()),
    );
  }
  const option = new Option(
    field.type === 'array' ? `--${flag} <values...>` : `--${flag} <${placeholder(field)}>`,
    what,
  );
  if (field.enum !== undefined) option.choices([...field.enum]);
  // Not commander's default: the schema puts its own in, and so only what a person wrote is sent.
  if (field.default !== undefined)
    option.description += ` (default: ${typeof field.default === 'object' ? JSON.stringify(field.default) : String(field.default)})`;
  return option;
}

/** The operation's input from the flags that were written; Runs checks it against the schema. */
function inputOf(fields: readonly InputField[], options: OperationOptions): Record<string, unknown> {
  const written = fields.flatMap((field) => {
    const value = options[field.name];
    if (value === undefined) return [];
    return [[field.name, typeof value === 'string' ? readField(field, value) : value] as const];
  });
  return Object.fromEntries(written);
}

function placeholder({ name, type }: InputField): string {
  return name === 'host'
    ? 'name'
    : type === 'integer' || type === 'number'
      ? 'number'
      : type === 'object'
        ? 'json'
        : 'value';
}

/** The catalogue's words are those of MCP: `dryRun` is `--dry-run` here. */
function asFlags(text: string, fields: readonly InputField[]): string {
  return fields
    .map(({ name }) => name)
    .filter((name) => kebab(name) !== name)
    .reduce((said, name) => said.replaceAll(name, `--${kebab(name)}`), text);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-');
}
