import type { HostLayout } from '../config.ts';
import type { Risk } from '../operations/definition.ts';

/**
 * A typed, bounded placeholder of an argument vector. `pattern` is a POSIX extended regular expression without anchors,
 * capturing groups or classes that admit a space; it goes into the sudoers policy, the host helper and the tests.
 */
export interface Placeholder<Name extends string = string> {
  readonly placeholder: Name;
  readonly pattern: string;
  readonly maxLength: number;
  /** Values that must be accepted, for the generated tests. */
  readonly examples: readonly [string, ...string[]];
  readonly description: string;
}

/** A path or name of the host's layout, put in as a constant when the helper and the policy are generated. */
export interface LayoutReference {
  readonly layout: keyof HostLayout;
  /** Appended to the path: `/keys`. */
  readonly suffix?: string;
}

export type Part = string | Placeholder | LayoutReference;

/**
 * One command that the service may run on a host. `argv` is executed as it stands (no shell); `script` is the body of
 * a POSIX shell function in the host helper, for what one vector can't do, and receives the placeholders as $1, $2 ….
 */
export interface CommandEntry {
  /** `root`: through sudo and the helper. `user`: as the service's own user, without sudo. */
  readonly as: 'root' | 'user';
  readonly risk: Risk;
  /** Whether it may last: it is then started as a job that outlives the connection. */
  readonly job: boolean;
  readonly summary: string;
  readonly argv?: readonly [program: string, ...parts: Part[]];
  readonly script?: { readonly parameters: readonly Placeholder[]; readonly body: string };
  /** Deadline in ms (of a job: of its whole run). */
  readonly timeoutMs: number;
}
