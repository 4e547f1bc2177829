import type { z } from 'zod';
import type { Reversal } from './reversal.ts';
import type { RightOn } from './rights.ts';
import type { Subject } from './subject.ts';
import type { TargetFields, TargetKind } from './target.ts';

/** `read` looks; `change` changes and can be undone; `dangerous` can lose data, access or service. */
export type Risk = 'read' | 'change' | 'dangerous';

/** A risk that depends on one field of the input: `{ by: 'action', of: { start: 'change', stop: 'dangerous' } }`. */
export interface RiskByField {
  readonly by: string;
  readonly of: Readonly<Record<string, Risk>>;
}

/**
 * How a model finds an operation: by a tool of its own, which costs every conversation its definition, or by
 * `search_operations`. `direct` only for what people ask for daily.
 */
export type Exposure = 'direct' | 'search';

/** What Temporal does when a schedule fires while its previous run is still going. */
export type Overlap = 'skip' | 'buffer-one';

/** When an operation runs by itself. Every choice is made on purpose, so none has a default. */
export interface ScheduleDefinition<Input = Readonly<Record<string, unknown>>> {
  /** Unique within its operation, kebab-case: `daily`. The schedule's id is `<operation>/<id>/<target>`. */
  readonly id: string;
  /** Five-field cron expression, read in the host's time zone. */
  readonly cron: string;
  /** The operation's input, without its target. */
  readonly input: Input;
  readonly overlap: Overlap;
  /** How late a missed run may still start, e.g. after the server was down. Milliseconds, at least 10 s. */
  readonly catchUpWindowMs: number;
  /** Whether one failed run stops the schedule until a person looks. */
  readonly pauseOnFailure: boolean;
  /** One sentence: why this time and these policies. Shown in the docs and in the Temporal UI. */
  readonly why: string;
}

/** An operation on a guest, and its input without the guest. */
export interface EachGuest {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** A privilege of Proxmox VE, and on what it is needed. */
export interface ApiRight {
  /** `VM.Snapshot` */
  readonly privilege: string;
  readonly on: RightOn;
  /** For which requests: `with vmstate`, `of a privileged container`. Absent: all. */
  readonly when?: string;
}

/**
 * One entry of the catalogue: pure data and zod schemas, safe inside the workflow sandbox. From it come the MCP tools,
 * the CLI command, the schedules, the documentation, the locks and the metric labels.
 */
export interface OperationDefinition {
  /** Kebab-case, verb first: `back-up`. The MCP tool is `back_up`, the workflow type is `backUp`. */
  readonly name: string;
  /** For people: `Back up`. */
  readonly title: string;
  /** One sentence, at most 120 characters. */
  readonly summary: string;
  /** For the model and the docs; key words first, at most 2,048 characters (Claude Code cuts it there). */
  readonly description: string;
  /** The administrator's guide's section that it replaces. */
  readonly guide: string;
  readonly target: TargetKind;
  /** What a host must have for it: commands (SSH or local execution), its Proxmox API, either, a Proxmox Backup Server, or any of them. */
  readonly needs: 'commands' | 'api' | 'either' | 'backup-server' | 'any';
  readonly risk: Risk | RiskByField;
  /**
   * Refused while ENABLE_DANGEROUS_COMMANDS is false, approved or not: commands and API calls of any kind, and what
   * deletes guests, disks, volumes and backups. `true`, or for the values of one field: `{ by: 'action', of: ['destroy'] }`.
   */
  readonly needsDangerousCommands?: true | { readonly by: string; readonly of: readonly string[] };
  /** No policy lets it through without an approval: what the guide itself never does without one. */
  readonly alwaysAsks?: true;
  /** Who is told first where a run of it needs a person or fails: the contacts of that subject. Default: operations. */
  readonly subject?: Subject;
  readonly exposure: Exposure;
  /** Of one with a tool of its own: what people say when they mean it, where its name and description have other words. */
  readonly searchHint?: string;
  /**
   * A look that takes some seconds and is asked for its answer, not for its run: its tool waits for the report, and lists
   * of runs may leave it out.
   */
  readonly answersAtOnce?: true;
  /** Whether running it again changes nothing more (MCP's `idempotentHint`). */
  readonly idempotent: boolean;
  /** Flat object schema; top-level names of `A-Za-z0-9_`. Names its target; has `dryRun` if it changes something. */
  readonly input: z.ZodObject;
  /** The operation's own structured result; every run's result is a {@link RunResult} around it. */
  readonly output: z.ZodObject;
  /**
   * What it needs of the API token, where it works through the Proxmox API: what it looks with, and what it changes with. Said
   * here alone: the roles that `host install` makes, `doctor` and the documentation are made from it. What is to be changed on
   * `root` reaches far: it must be one of `wideRights` in `rights.ts`, and is only given where it is asked for.
   */
  readonly api?: { readonly reads: readonly ApiRight[]; readonly changes: readonly ApiRight[] };
  /**
   * Of a host's: a request with a `vmid` is about that guest, so that it is judged by the guest's rules and takes the guest's
   * lock, beside others on its host.
   */
  readonly mayNameGuest?: true;
  /** Of a host's: others may work on the host beside it. */
  readonly sharesHost?: true;
  /** Of a guest's: the policy may want a snapshot before it. */
  readonly snapshotFirst?: true;
  /** Of a bulk form: what it does to each guest, without naming it. */
  readonly each?: (input: Readonly<Record<string, unknown>>) => EachGuest;
  /** The steps in words, in order: the plan's skeleton and the docs' list. */
  readonly steps: readonly string[];
  readonly schedules: readonly ScheduleDefinition[];
  /** How a run that is done is taken back. Every operation that changes something says it. */
  readonly undo?: UndoDefinition<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>>;
}

/** How finished runs of an operation are taken back. */
export interface UndoDefinition<Input, Output> {
  /** For people, in general: `a start by a shutdown; a reboot leaves nothing to put back`. */
  readonly how: string;
  /** Of one run, from its input and from what it recorded in its output. Pure; asked once, when the run ends. */
  reverse(input: Input, output: Output): Reversal;
}

/** An entry with the types of its own input and output. */
export interface TypedOperation<
  Name extends string = string,
  Kind extends TargetKind = TargetKind,
  Input extends z.ZodObject = z.ZodObject,
  Output extends z.ZodObject = z.ZodObject,
> extends OperationDefinition {
  readonly name: Name;
  readonly target: Kind;
  readonly input: Input;
  readonly output: Output;
}

/**
 * Checks an entry's types where it is written and keeps its literal types. The schemas are built when they are first
 * asked for: every run loads every entry into its sandbox, and uses one schema of one of them.
 */
export function defineOperation<
  const Name extends string,
  const Kind extends TargetKind,
  Input extends z.ZodObject,
  Output extends z.ZodObject,
>(
  definition: Omit<TypedOperation<Name, Kind, Input, Output>, 'input' | 'output' | 'schedules' | 'undo'> & {
    readonly input: () => z.output<Input> extends TargetFields[Kind] ? Input : never;
    readonly output: () => Output;
    readonly schedules: readonly ScheduleDefinition<Omit<z.input<Input>, 'host' | 'vmid' | 'hosts'>>[];
    readonly undo?: UndoDefinition<z.output<Input>, z.output<Output>>;
  },
): TypedOperation<Name, Kind, Input, Output> {
  const input = once<Input>(definition.input);
  const output = once(definition.output);
  return {
    ...definition,
    get input() {
      return input();
    },
    get output() {
      return output();
    },
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const ranks: readonly Risk[] = ['read', 'change', 'dangerous'];

/** The risk of one request. What a field doesn't name counts as the worst. */
export function riskOf({ risk }: Pick<OperationDefinition, 'risk'>, input: Readonly<Record<string, unknown>>): Risk {
  if (typeof risk === 'string') return risk;
  const value = input[risk.by];
  return (typeof value === 'string' && Object.hasOwn(risk.of, value) ? risk.of[value] : undefined) ?? 'dangerous';
}

/** Whether a request is one that ENABLE_DANGEROUS_COMMANDS=false refuses. A field that isn't there counts as the worst. */
export function needsDangerousCommands(
  { needsDangerousCommands: needs }: Pick<OperationDefinition, 'needsDangerousCommands'>,
  input: Readonly<Record<string, unknown>>,
): boolean {
  if (needs === undefined || needs === true) return needs === true;
  const value = input[needs.by];
  return typeof value !== 'string' || needs.of.includes(value);
}

/** Every risk that a request of the operation can have, least first. */
export function risksOf({ risk }: Pick<OperationDefinition, 'risk'>): readonly [Risk, ...Risk[]] {
  if (typeof risk === 'string') return [risk];
  const [first, ...rest] = ranks.filter((rank) => Object.values(risk.of).includes(rank));
  return first === undefined ? ['dangerous'] : [first, ...rest];
}

/** The worst of {@link risksOf}: what tools and lists say of an operation as a whole. */
export function worstRisk(operation: Pick<OperationDefinition, 'risk'>): Risk {
  return risksOf(operation).at(-1) ?? 'dangerous';
}

/** The risk in words: `change`, or `by action: read (status, logs), change (start, stop)`. */
export function riskText({ risk }: Pick<OperationDefinition, 'risk'>): string {
  if (typeof risk === 'string') return risk;
  const parts = risksOf({ risk }).map((rank) => {
    const values = Object.keys(risk.of).filter((value) => risk.of[value] === rank);
    return `${rank} (${values.join(', ')})`;
  });
  return `by ${risk.by}: ${parts.join(', ')}`;
}

/** `back-up` → `back_up`. */
export function toolName(operation: string): string {
  return operation.replaceAll('-', '_');
}

/** `back-up` → `backUp`: the exported workflow function of `src/workflows/back-up.ts`. */
export function workflowType(operation: string): string {
  return operation.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
