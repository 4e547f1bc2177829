import { backupCommands } from './backup.ts';
import type { CommandEntry, Joined, Placeholder } from './entry.ts';
import { inspection } from './inspection.ts';

/** Every command that the service may run on a host. The single source of the helper, the policy, the docs, the tests. */
export const table = { ...inspection, ...backupCommands } as const satisfies Readonly<Record<string, CommandEntry>>;

export type CommandName = keyof typeof table;

type PiecesOf<Part> = Part extends Joined ? Part['join'][number] : Part;

export type PlaceholdersOf<Entry> = Entry extends { readonly argv: readonly (infer Part)[] }
  ? Extract<PiecesOf<Part>, Placeholder>
  : Entry extends { readonly script: { readonly parameters: readonly (infer Parameter)[] } }
    ? Extract<Parameter, Placeholder>
    : never;

/** The value that a placeholder takes: a union of strings where its choices are known here. */
export type ValueOf<P> = P extends { readonly choices: readonly (infer Choice)[] }
  ? Choice extends string
    ? Choice
    : string
  : string;

export type ArgumentsOf<Entry> = {
  readonly [P in PlaceholdersOf<Entry> as P['placeholder']]: ValueOf<P>;
};

/** `{ unit: string, … }`: one value for each placeholder of the entry. */
export type CommandArguments<Name extends CommandName> = ArgumentsOf<(typeof table)[Name]>;

/** Commands that are run and awaited at once. */
export type PlainCommandName = {
  [Name in CommandName]: (typeof table)[Name] extends { readonly job: false } ? Name : never;
}[CommandName];

/** Commands that outlive the connection. */
export type JobCommandName = Exclude<CommandName, PlainCommandName>;

/** Whether the entry changes something, so that it needs the lease's fencing token. */
export type NeedsFence<Name extends CommandName> = (typeof table)[Name] extends { readonly risk: 'read' }
  ? false
  : true;
