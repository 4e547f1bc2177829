import type { HostLayout } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { CommandEntry, Joined, LayoutReference, Part, Placeholder } from '../commands/entry.ts';

/** A placeholder with its host's layout put in. */
export interface Parameter {
  readonly name: string;
  /** POSIX extended regular expression without anchors; of choices, their alternation. */
  readonly pattern: string;
  readonly maxLength: number;
  readonly examples: readonly string[];
  /** Given: nothing but these. */
  readonly choices?: readonly string[];
  readonly description: string;
}

/** A piece of an argument: a constant, or the value of the parameter with that index. */
export type ResolvedPiece = { readonly text: string } | { readonly parameter: number };

/** An entry of the table as one host's helper knows it. */
export interface ResolvedEntry {
  readonly name: string;
  /** The helper's name for it: `restartUnit` → `restart-unit`. */
  readonly verb: string;
  readonly entry: CommandEntry;
  readonly parameters: readonly Parameter[];
  /** One list of pieces for each argument, the program first; absent for a script. */
  readonly vector?: readonly (readonly ResolvedPiece[])[];
}

export function verbOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Puts a layout into an entry. Throws `configuration` for a layout whose names don't fit into a policy. */
export function resolveEntry(name: string, entry: CommandEntry, layout: HostLayout): ResolvedEntry {
  const verb = verbOf(name);
  if (entry.as === 'root' && entry.script) {
    return { name, verb, entry, parameters: entry.script.parameters.map((p) => parameter(p, layout)) };
  }
  const placeholders: Placeholder[] = [];
  const vector = (entry.argv ?? []).flatMap((part) => argumentsOf(part, layout, placeholders));
  return { name, verb, entry, parameters: placeholders.map((p) => parameter(p, layout)), vector };
}

/** The names of an entry's parameters in the order in which the helper takes them, whatever the layout. */
export function parameterNames(entry: CommandEntry): readonly string[] {
  if (entry.as === 'root' && entry.script) return entry.script.parameters.map((p) => p.placeholder);
  const parts = (entry.argv ?? []).flatMap((part) => (isJoined(part) ? part.join : [part]));
  return [...new Set(parts.filter(isPlaceholder).map((p) => p.placeholder))];
}

/** The values of a layout's entry: one, or those of a list. */
export function layoutValues(layout: HostLayout, reference: LayoutReference): readonly string[] {
  const value = layout[reference.layout];
  return typeof value === 'string' ? [`${value}${reference.suffix ?? ''}`] : value;
}

/** The argument vector with the values put in. */
export function fillVector(entry: ResolvedEntry, values: readonly string[]): string[] {
  return (entry.vector ?? []).map((pieces) =>
    pieces.map((piece) => ('text' in piece ? piece.text : (values[piece.parameter] ?? ''))).join(''),
  );
}

function argumentsOf(part: Part, layout: HostLayout, placeholders: Placeholder[]): ResolvedPiece[][] {
  if (isLayout(part)) return layoutValues(layout, part).map((text) => [{ text }]);
  const pieces = isJoined(part) ? part.join : [part];
  return [
    pieces.flatMap((piece): ResolvedPiece[] => {
      if (typeof piece === 'string') return [{ text: piece }];
      if (isLayout(piece)) return layoutValues(layout, piece).map((text) => ({ text }));
      const known = placeholders.findIndex((p) => p.placeholder === piece.placeholder);
      return [{ parameter: known >= 0 ? known : placeholders.push(piece) - 1 }];
    }),
  ];
}

function parameter(placeholder: Placeholder, layout: HostLayout): Parameter {
  const { placeholder: name, description } = placeholder;
  if ('pattern' in placeholder) {
    const { pattern, maxLength, examples } = placeholder;
    return { name, pattern, maxLength, examples, description };
  }
  const choices = [
    ...new Set(placeholder.choices.flatMap((c) => (typeof c === 'string' ? [c] : layoutValues(layout, c)))),
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

function isPlaceholder(part: Part): part is Placeholder {
  return typeof part !== 'string' && 'placeholder' in part;
}

function isLayout(part: Part): part is LayoutReference {
  return typeof part !== 'string' && 'layout' in part;
}

function isJoined(part: Part): part is Joined {
  return typeof part !== 'string' && 'join' in part;
}
