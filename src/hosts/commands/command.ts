import type { Writable } from 'node:stream';
import type { z } from 'zod';
import type { HostConfig, HostLayout } from '../../config.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Risk } from '../../operations/definition.ts';

/**
 * A typed, bounded value in a command's arguments. `pattern` is a POSIX extended regular expression without anchors that
 * admits only printable ASCII without spaces, quotes, `$`, `%`, `;`, `\` and no value that begins with `-`. It is written
 * once: the sudoers policy, the host helper, the check before a command is sent and the tests are made from it.
 */
export interface PatternParameter<Name extends string = string> {
  readonly name: Name;
  readonly pattern: string;
  readonly maxLength: number;
  /** Values that must be accepted, for the generated tests. */
  readonly examples: readonly [string, ...string[]];
  readonly description: string;
}

/** A parameter that takes one of a few values, some of which the host's layout may name. */
export interface ChoiceParameter<Name extends string = string> {
  readonly name: Name;
  readonly choices: readonly [string | LayoutReference, ...(string | LayoutReference)[]];
  readonly description: string;
}

export type Parameter<Name extends string = string> = PatternParameter<Name> | ChoiceParameter<Name>;

/**
 * A path or name of the host's layout, put in as a constant when the helper and the policy are generated. A list
 * (`containers`, `volumes`) becomes as many arguments, or as many choices.
 */
export interface LayoutReference {
  readonly layout: keyof HostLayout;
}

/** An argument vector that is executed as it stands, without a shell: absolute path of the program first. */
export type Vector = readonly [program: string, ...arguments: (string | Parameter | LayoutReference)[]];

/** A file of POSIX shell functions that the scripts of several commands call; it is in the helper once. */
export type ShellFunctions = URL;

/**
 * Whose lock must be held by who asks for a command that changes something, and so which fence a call needs. `host`:
 * the host's alone. `guest`: the guest's alone, and the host's shared; such a command has the guest's number, `vmid`, as
 * its first parameter (`$1` of its script), without naming it.
 */
export type CommandLock = 'host' | 'guest';

/** What an exit code other than 0 means: the error that is thrown. */
export interface ExitMeaning {
  readonly code: ErrorCode;
  /** One sentence. Default: what was being done, where, and the last line that the command said. */
  readonly message?: (asked: Asked) => string;
  /** One sentence. Default: to look at the cause that the message names. */
  readonly remedy?: string;
}

/** A call of a command, for the sentences of its errors. */
export interface Asked {
  readonly host: HostConfig;
  readonly args: Arguments;
}

export type Arguments = Readonly<Record<string, string | number>>;

interface Described {
  /** The helper's verb for it, in kebab case: `publish-backup`. The value is called the same in camel case. */
  readonly name: string;
  /** What it is, in one line for the policy and the docs. */
  readonly summary: string;
  /** What it does, as the start of a sentence: `Packing the backup`. */
  readonly doing: string | ((args: Arguments) => string);
  readonly parameters: readonly Parameter[];
  /** Deadline in ms (of a job: of its whole run). The host enforces it too. */
  readonly timeoutMs: number;
  /** What is read of its output, in bytes: of a job's the end, else the beginning. Default 64 KiB. */
  readonly maxOutputBytes?: number;
  /** Reads what it printed. See `answer.ts`. */
  readonly answer: z.ZodType;
  /** What its exit codes mean. Default: the command failed, for want of space, of a right, or for what it said. */
  readonly exits?: Readonly<Record<number, ExitMeaning>>;
  /** Every exit code is part of the answer: none is a failure. */
  readonly answersAnyExit?: true;
  /** The folder that it fills, for the error of a full disk. */
  readonly fills?: 'backups';
}

/**
 * Whether who may call a command, with whatever arguments and files they like, becomes root by it: it unpacks files,
 * installs a policy, starts a container from a given file or image, or runs a free vector. Else what vouches for what it
 * is given: this host's own `seal`, which the script itself compares, or an administrator's signature: then the helper
 * executes exactly the calls of a plan that was signed (`../signed-plan.ts`), each once.
 */
export type BecomesRoot = 'no' | { readonly unless: 'sealed' | 'signed'; readonly because: string };

/** Executed as the service's own user, without sudo or helper: it needs no privilege and only looks. */
export interface UserCommand extends Described {
  readonly as: 'user';
  readonly risk: 'read';
  readonly lock?: never;
  readonly job: false;
  readonly argv: Vector;
  readonly script?: never;
  readonly undo?: never;
  readonly own?: never;
  readonly readsInput?: never;
  readonly streamsOutput?: never;
}

interface Scripted {
  /**
   * What one vector can't do: a file with the body of a POSIX shell function of the host helper, beside its module. It
   * gets the parameters as `$1`, `$2` … and every entry of the layout as a variable of its name (`"$installation"`;
   * lists as words with spaces between), runs with `set -efu` (no globbing unless it says `set +f`), a clean
   * environment, umask 077, in `/`.
   */
  readonly script: URL;
  /** What the script calls. */
  readonly uses?: readonly ShellFunctions[];
  /** Whose pattern it has as `$form_NAME`, beside those of its own parameters. */
  readonly forms?: readonly PatternParameter[];
  readonly argv?: never;
}

type Body = { readonly argv: Vector; readonly script?: never } | Scripted;

type Effect =
  | { readonly risk: 'read'; readonly lock?: never; readonly own?: never; readonly undo?: never }
  /** It changes only what the helper keeps itself: whoever holds the host, and whether changes are stopped or not. */
  | { readonly risk: 'change'; readonly lock?: never; readonly own: true; readonly undo?: never; readonly job: false }
  | {
      readonly risk: Exclude<Risk, 'read'>;
      readonly lock: CommandLock;
      readonly own?: never;
      /**
       * It takes back what a run changed, and goes on where changes are stopped if the run was at work then: its first
       * parameter names what it is about, as in the calls that changed it. Its calls name the run.
       */
      readonly undo?: true;
    };

/** A command that the host helper executes as root. */
export type RootCommand = Described & {
  readonly as: 'root';
  /** Whether it may last: it is then started as a job that outlives the connection. */
  readonly job: boolean;
  readonly becomesRoot: BecomesRoot;
  /** It reads standard input, which it has to bound itself: what is signed. Everything else has none. */
  readonly readsInput?: true;
  /**
   * Its standard output is as long as it is, and goes to who asks instead of being kept; how it ended, the exit code and
   * standard error say. Until then nobody may take what came for the whole.
   */
  readonly streamsOutput?: true;
} & Body &
  Effect;

/**
 * A command for which an administrator must be root by a login of their own. The helper doesn't know it, so there is
 * nothing on the host that sudo could admit the service to: its script is brought over the administrator's login, and
 * nothing of it stays (`../install/administrator.ts`). It takes no fence: an administrator holds no lock of the service.
 */
export type AdministratorCommand = Described &
  Scripted & {
    readonly as: 'administrator';
    readonly risk: Risk;
    readonly lock?: never;
    readonly job: false;
    readonly undo?: never;
    readonly own?: never;
    readonly readsInput?: never;
    readonly streamsOutput?: never;
  };

/** A command that the service may run on a host. */
export type ServiceCommand = UserCommand | RootCommand;

/** A command on a host, with its arguments, what executes it, its answer and its failures. */
export type Command = ServiceCommand | AdministratorCommand;

/** Commands that the service runs and awaits at once. */
export type PlainCommand = ServiceCommand & { readonly job: false };

/** Commands that outlive the connection. */
export type JobCommand = ServiceCommand & { readonly job: true };

/** Checks a command's types where it is written and keeps its literal types. */
export function defineCommand<const C extends Command>(command: C): C {
  return command;
}

/** The value that a parameter takes: a union of strings where its choices are known here. */
type ValueOf<P> = P extends { readonly choices: readonly (infer Choice)[] }
  ? Choice extends string
    ? Choice
    : string
  : string;

/** `{ backup: string, … }`: one value for each parameter of the command, and the guest's number where it locks one. */
export type ArgumentsOf<C extends Command> = {
  readonly [P in C['parameters'][number] as P['name']]: ValueOf<P>;
} & (C extends { readonly lock: 'guest' } ? { readonly vmid: number } : unknown);

/** What a run shows the host to change something on it: the fence of the host's lock, which it holds alone. */
export interface HostFence {
  readonly host: number;
  readonly guest?: never;
}

/** The fences of a run that holds a guest alone, and its host shared. */
export interface GuestFence {
  readonly host: number;
  readonly guest: number;
}

/** The fence that a call of the command needs; none where it only looks. */
export type FenceOf<C extends Command> = C extends { readonly lock: 'host' }
  ? { readonly fence: HostFence }
  : C extends { readonly lock: 'guest' }
    ? { readonly fence: GuestFence }
    : { readonly fence?: never };

/** What a plain undo says beside its fences: the run whose change it takes back, by its workflow id. */
export type RunOf<C extends Command> = C extends { readonly undo: true; readonly job: false }
  ? { readonly run: string }
  : unknown;

/** What a command is given to read. */
export type InputOf<C extends Command> = C extends { readonly readsInput: true } ? { readonly input: string } : unknown;

/** Where the output of a command goes that isn't kept. */
export type OutputOf<C extends Command> = C extends { readonly streamsOutput: true }
  ? { readonly stdoutTo: Writable }
  : unknown;

/** The number of a guest: Proxmox VE's own range. A leading zero would name another guest to some of its tools. */
export const vmid = {
  name: 'vmid',
  pattern: '[1-9][0-9]{2,8}',
  maxLength: 9,
  examples: ['100', '9001', '999999999'],
  description: 'Number of a guest, 100 to 999999999',
} as const satisfies PatternParameter;

/** Whether a value is one of a parameter's, as the helper checks it too. */
export function isOf({ pattern, maxLength }: Pick<PatternParameter, 'pattern' | 'maxLength'>, value: string): boolean {
  return value.length <= maxLength && /^[!-~]+$/.test(value) && new RegExp(`^(?:${pattern})$`).test(value);
}

/** The same parameter under another name, for a command that takes two of a kind. */
export function named<const Name extends string, P extends Parameter>(
  name: Name,
  like: P,
): Omit<P, 'name'> & { readonly name: Name } {
  return { ...like, name };
}
