import type { HostConfig, HostLayout } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { type Arguments, type Command, isOf, type LayoutReference, type Parameter, vmid } from '../commands/command.ts';

/** A parameter with its host's layout put in. */
export interface ResolvedParameter {
  readonly name: string;
  /** POSIX extended regular expression without anchors; of choices, their alternation. */
  readonly pattern: string;
  readonly maxLength: number;
  readonly examples: readonly string[];
  /** Given: nothing but these. */
  readonly choices?: readonly string[];
  readonly description: string;
}

/** An argument: a constant, or the value of the parameter with that index. */
export type ResolvedArgument = { readonly text: string } | { readonly parameter: number };

/** A command of the table as one host's helper knows it. */
export interface ResolvedCommand {
  readonly command: Command;
  /** In the order in which the helper takes them; of a command that locks a guest, its number first. */
  readonly parameters: readonly ResolvedParameter[];
  /** The program first; absent for a script. */
  readonly vector?: readonly ResolvedArgument[];
}

/** The parameters of a command in the order in which the helper takes them, whatever the layout. */
export function parametersOf(command: Command): readonly Parameter[] {
  return command.lock === 'guest' ? [vmid, ...command.parameters] : command.parameters;
}

/** Whether a call of the command says, behind its fences, of which run it is: of a job, its start says so. */
export function namesRun(command: Command): boolean {
  return command.undo === true && !command.job;
}

/** Puts a layout into a command. Throws `configuration` for a layout whose names don't fit into a policy. */
export function resolveCommand(command: Command, layout: HostLayout): ResolvedCommand {
  const parameters = parametersOf(command);
  const resolved = { command, parameters: parameters.map((parameter) => resolveParameter(parameter, layout)) };
  if (command.argv === undefined) return resolved;
  const vector = command.argv.flatMap((part): ResolvedArgument[] => {
    if (typeof part === 'string') return [{ text: part }];
    if ('layout' in part) return layoutValues(layout, part).map((text) => ({ text }));
    const index = parameters.findIndex(({ name }) => name === part.name);
    if (index >= 0) return [{ parameter: index }];
    throw new Error(`${command.name} uses ${part.name}, which isn't among its parameters`);
  });
  return { ...resolved, vector };
}

/** The argument vector with the values put in. */
export function fillVector({ vector = [] }: ResolvedCommand, values: readonly string[]): string[] {
  return vector.map((part) => ('text' in part ? part.text : (values[part.parameter] ?? '')));
}

/**
 * The values of a command's arguments in its order; throws `invalid-input`. The helper checks what runs as root once
 * more; what runs without it is checked here alone.
 */
export function checkArguments(
  command: Command,
  args: Arguments,
  config: HostConfig,
): { readonly resolved: ResolvedCommand; readonly values: readonly string[] } {
  const resolved = resolveCommand(command, config.layout);
  const values = resolved.parameters.map((parameter) => {
    const value = String(args[parameter.name] ?? '');
    if (isOf(parameter, value)) return value;
    throw new ServiceError({
      code: 'invalid-input',
      message: `${JSON.stringify(value.slice(0, 100))} can't be the ${parameter.name} of ${command.name} on ${config.name}`,
      remedy: `Give what it is: ${parameter.description}.`,
      details: { field: parameter.name, host: config.name },
    });
  });
  return { resolved, values };
}

/** The values of a layout's entry: one, or those of a list. */
function layoutValues(layout: HostLayout, reference: LayoutReference): readonly string[] {
  const value = layout[reference.layout];
  return typeof value === 'string' ? [value] : value;
}

function resolveParameter(parameter: Parameter, layout: HostLayout): ResolvedParameter {
  if ('pattern' in parameter) return parameter;
  const { name, description } = parameter;
  const choices = [
    ...new Set(parameter.choices.flatMap((c) => (typeof c === 'string' ? [c] : layoutValues(layout, c)))),
  ];
  for (const choice of choices) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._@:-]*$/.test(choice)) {
      throw new ServiceError({
        code: 'configuration',
        message: `"${choice}" can't be a ${name} on a host: expected letters, digits and . _ @ : -`,
        remedy: 'Change the name in hosts.yaml or .env.',
        details: { field: name },
      });
    }
  }
  return {
    name,
    // Without a single choice nothing may match.
    pattern: choices.length === 0 ? '[^!-~]' : `(${choices.map((c) => c.replaceAll('.', '[.]')).join('|')})`,
    maxLength: Math.max(1, ...choices.map((c) => c.length)),
    examples: choices,
    choices,
    description,
  };
}
