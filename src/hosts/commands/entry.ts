import type { HostLayout } from '../../config.ts';
import type { Risk } from '../../operations/definition.ts';

/**
 * A typed, bounded placeholder of an argument vector. `pattern` is a POSIX extended regular expression without anchors
 * that admits only printable ASCII without spaces, quotes, `$`, `%`, `;`, `\` and no value that begins with `-`; it goes
 * into the sudoers policy, the host helper and the tests, and `test/privileges` holds it to that.
 */
export interface PatternPlaceholder<Name extends string = string> {
  readonly placeholder: Name;
  readonly pattern: string;
  readonly maxLength: number;
  /** Values that must be accepted, for the generated tests. */
  readonly examples: readonly [string, ...string[]];
  readonly description: string;
}

/** A placeholder that takes one of a few values, some of which the host's layout may name. */
export interface ChoicePlaceholder<Name extends string = string> {
  readonly placeholder: Name;
  readonly choices: readonly [string | LayoutReference, ...(string | LayoutReference)[]];
  readonly description: string;
}

export type Placeholder<Name extends string = string> = PatternPlaceholder<Name> | ChoicePlaceholder<Name>;

/**
 * A path or name of the host's layout, put in as a constant when the helper and the policy are generated. A list
 * (`containers`, `volumes`) becomes as many arguments, or as many choices.
 */
export interface LayoutReference {
  readonly layout: keyof HostLayout;
  /** Appended to the path: `/keys`. Not with a list. */
  readonly suffix?: string;
}

/** One argument made of several pieces: `--filter=name=` and a container. */
export interface Joined {
  readonly join: readonly [Piece, ...Piece[]];
}

export type Piece = string | Placeholder | LayoutReference;
export type Part = Piece | Joined;
export type Vector = readonly [program: string, ...parts: Part[]];

/**
 * What one vector can't do: the body of a POSIX shell function in the host helper. It gets the placeholders as `$1`,
 * `$2` … and every entry of the layout as a variable of its name (`"$installation"`; lists as words with spaces
 * between), runs with `set -efu` (no globbing unless it says `set +f`), a clean environment, umask 077, in `/`.
 */
export interface Script {
  readonly parameters: readonly Placeholder[];
  readonly body: string;
  /** Functions that the body calls. */
  readonly uses?: readonly SharedFunction[];
}

/** A shell function that the scripts of several commands share; it is in the helper once. */
export interface SharedFunction {
  readonly name: string;
  /** What it is for, in one line. */
  readonly about: string;
  readonly body: string;
}

interface Described {
  readonly summary: string;
  /** Deadline in ms (of a job: of its whole run). The host enforces it too. */
  readonly timeoutMs: number;
}

/** A look at something that needs no privilege: executed as the service's own user, without sudo or helper. */
export interface UserEntry extends Described {
  readonly as: 'user';
  readonly risk: 'read';
  readonly job: false;
  readonly argv: Vector;
}

/** A command that the host helper executes as root. */
export interface RootEntry extends Described {
  readonly as: 'root';
  readonly risk: Risk;
  /** Whether it may last: it is then started as a job that outlives the connection. */
  readonly job: boolean;
  /** Executed as it stands; no shell. */
  readonly argv?: Vector;
  readonly script?: Script;
}

/** One command that the service may run on a host: a `RootEntry` has either `argv` or `script`. */
export type CommandEntry = UserEntry | RootEntry;
