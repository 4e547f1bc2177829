import { type Command, InvalidArgumentError } from 'commander';
import type { ValueType } from '../config/value-types.ts';

/** A parser of commander for a whole number within bounds. */
export function whole(what: string, from: number, to: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= from && number <= to) return number;
    throw new InvalidArgumentError(`${what} takes a whole number from ${from} to ${to}.`);
  };
}

/** A parser of commander for a value of the configuration: the same rule, and the same words where it isn't accepted. */
export function typed<Value>({ schema, expected, explain }: ValueType<Value>): (text: string) => Value {
  return (text) => {
    const { success, data } = schema.safeParse(text);
    if (success) return data;
    throw new InvalidArgumentError(explain?.(text) ?? `Give ${expected}.`);
  };
}

/**
 * Makes `command` what its group does when no command is named, as `list` in `proxmox-mcp runs`. A mistyped command
 * (`runs lst`) would else be refused as one argument too many of the default one, which says nothing to a person.
 */
export function byDefault(command: Command): Command {
  return command.allowExcessArguments().hook('preAction', () => {
    const group = command.parent;
    const [word] = command.args;
    if (group === null || word === undefined) return;
    if (group.args[0] === command.name())
      command.error(`error: ${command.name()} takes no arguments, but got '${word}'`);
    const known = group.commands.map((one) => one.name()).join(', ');
    group.error(`error: unknown command '${word}'; ${group.name()} has ${known}`);
  });
}
