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

/** `never`, `90d`, `1y` or a day: Unix seconds, 0 for never. Past and far ends are mistakes. */
export function expiry(option: string): (text: string) => number {
  return (text) => {
    if (text === 'never') return 0;
    const [, count, unit] = /^([1-9]\d{0,3})([dmy])$/.exec(text) ?? [];
    const days = { d: 1, m: 30, y: 365 } as const;
    const now = Date.now();
    const at =
      unit === undefined
        ? /^\d{4}-\d{2}-\d{2}$/.test(text)
          ? Date.parse(`${text}T23:59:59Z`)
          : Number.NaN
        : now + Number(count) * days[unit as keyof typeof days] * 86_400_000;
    if (at > now && at < now + 10 * 366 * 86_400_000) return Math.floor(at / 1000);
    throw new InvalidArgumentError(`${option} is never, a time (90d, 6m, 1y) or a day to come (2027-11-26).`);
  };
}
