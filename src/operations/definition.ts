import type { z } from 'zod';

/** `read` looks; `change` changes and can be undone; `dangerous` can lose data, access or service. */
export type Risk = 'read' | 'change' | 'dangerous';

/** What Temporal does when a schedule fires while its previous run is still going. */
export type Overlap = 'skip' | 'buffer-one';

/** When an operation runs by itself. Every choice is made on purpose, so none has a default. */
export interface ScheduleDefinition<Input> {
  /** Unique within its operation, kebab-case: `daily`. The schedule's id is `<operation>/<id>/<host>`. */
  readonly id: string;
  /** Five-field cron expression, read in the host's time zone. */
  readonly cron: string;
  /** The operation's input, without the host. */
  readonly input: Omit<Input, 'host'>;
  readonly overlap: Overlap;
  /** How late a missed run may still start, e.g. after the server was down. Milliseconds, at least 10 s. */
  readonly catchUpWindowMs: number;
  /** Whether one failed run stops the schedule until a person looks. */
  readonly pauseOnFailure: boolean;
  /** One sentence: why this time and these policies. Shown in the docs and in the Temporal UI. */
  readonly why: string;
}

/**
 * One entry of the catalogue: pure data and zod schemas, safe inside the workflow sandbox. From it come the MCP tool,
 * the CLI command, the schedules, the documentation and the metric labels.
 */
export interface OperationDefinition<
  Name extends string = string,
  Input extends z.ZodObject = z.ZodObject,
  Output extends z.ZodObject = z.ZodObject,
> {
  /** Kebab-case, verb first: `back-up`. The MCP tool is `back_up`, the workflow type is `backUp`. */
  readonly name: Name;
  /** For people: `Back up`. */
  readonly title: string;
  /** One sentence, at most 120 characters. */
  readonly summary: string;
  /** For the model and the docs; key words first, at most 2,048 characters (Claude Code cuts it there). */
  readonly description: string;
  /** The administrator's guide's section that it replaces. */
  readonly guide: string;
  readonly risk: Risk;
  /** Whether running it again changes nothing more (MCP's `idempotentHint`). */
  readonly idempotent: boolean;
  /** Flat object schema; top-level names of `A-Za-z0-9_`. Has `host`; operations that change something have `dryRun`. */
  readonly input: Input;
  /** The operation's own structured result; every run's result is a {@link RunResult} around it. */
  readonly output: Output;
  /** The steps in words, in order: the plan's skeleton and the docs' list. */
  readonly steps: readonly string[];
  readonly schedules: readonly ScheduleDefinition<z.infer<Input>>[];
}

/**
 * Checks an entry's types where it is written and keeps its literal types. The schemas are built when they are first
 * asked for: every run loads every entry into its sandbox, and uses one schema of one of them.
 */
export function defineOperation<const Name extends string, Input extends z.ZodObject, Output extends z.ZodObject>(
  definition: Omit<OperationDefinition<Name, Input, Output>, 'input' | 'output'> & {
    readonly input: () => Input;
    readonly output: () => Output;
  },
): OperationDefinition<Name, Input, Output> {
  const input = once(definition.input);
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

/** `back-up` → `back_up`. */
export function toolName(operation: string): string {
  return operation.replaceAll('-', '_');
}

/** `back-up` → `backUp`: the exported workflow function of `src/workflows/back-up.ts`. */
export function workflowType(operation: string): string {
  return operation.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
