import type { CommandEntry, Placeholder } from './entry.ts';
import { inspection } from './inspection.ts';

/** Every command that the service may run on a host. The single source of the helper, the policy, the docs, the tests. */
export const table = { ...inspection } as const satisfies Readonly<Record<string, CommandEntry>>;

export type CommandName = keyof typeof table;

type PlaceholdersOf<Entry> = Entry extends { readonly argv: readonly (infer P)[] }
  ? Extract<P, Placeholder>
  : Entry extends { readonly script: { readonly parameters: readonly (infer P)[] } }
    ? Extract<P, Placeholder>
    : never;

/** `{ unit: string, … }`: one string for each placeholder of the entry. */
export type CommandArguments<Name extends CommandName> = {
  readonly [P in PlaceholdersOf<(typeof table)[Name]> as P['placeholder']]: string;
};

export type JobCommandName = {
  [Name in CommandName]: (typeof table)[Name] extends { readonly job: true } ? Name : never;
}[CommandName];
