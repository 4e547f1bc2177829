import type { z } from 'zod';
import type { OperationDefinition, TypedOperation } from '../../operations/definition.ts';
import type { PlanDraft } from '../../operations/plan.ts';
import type { Report, Section } from '../../operations/report.ts';
import type { RunResult } from '../../operations/run.ts';
import type { Lock, Place } from '../../operations/target.ts';
import type { Ask } from './ask.ts';

// What the workflow of an operation gets to work with, and what it gives: `operation-workflow.ts` does the rest.

/** What planning gets to work with: it only looks. */
export interface PlanningRun<Input> {
  readonly input: Input;
  /** Where the target is. Of a guest: as it was found after its lock was granted. */
  readonly place: Place;
  /** Runs one step of the definition's list and keeps the checklist. Its `summary` is the step's text in the UI. */
  step<T>(title: string, act: (summary: string) => Promise<T>, note?: (result: T) => string | undefined): Promise<T>;
  /** Why the policy wants a snapshot of the guest first; undefined: it doesn't. */
  snapshotFirst(): Promise<string | undefined>;
}

/** What a workflow's own logic gets to work with. */
export interface Run<Input> extends PlanningRun<Input> {
  /**
   * When the run began to act, after it got its locks; ms since the epoch. The same in every attempt, so that names can
   * be made from it.
   */
  readonly begunAt: number;
  /**
   * The fences of the locks that are held now, by the lock's name. They are new after the run has asked a person: read
   * them when an activity is called, and never keep them.
   */
  readonly fences: Readonly<Record<string, number>>;
  /** The fence of the host's lock; 0 when the run changes nothing. Read it when an activity is called. */
  readonly fence: number;
  skip(title: string, why: string): void;
  /** Says how far a step is that runs. */
  note(title: string, how: string): void;
  /**
   * Registers how to take a step back, before the step.
   *
   * @param look what the step has left, as a text: after a person was asked about it, another text means that somebody
   *   changed it meanwhile, and they are asked once more
   */
  onUndo(title: string, undo: () => Promise<void>, look?: () => Promise<string>): void;
  /** The step was refused before it changed anything: it leaves nothing to take back. */
  nothingDone(title: string): void;
  /** From here on what was done stays: a later failure takes nothing back. */
  commit(): void;
  /**
   * Pauses the run until a person has answered, without any lock; then takes its locks with new fences. `undefined`: no
   * answer came in time, which is a no. A cancellation is a no, too: it is thrown, and the run undoes what it did.
   *
   * @param look as of {@link onUndo}
   */
  ask<Choice extends string>(ask: Ask<Choice>, look?: () => Promise<string>): Promise<Choice | undefined>;
  /** Runs another operation as a run of its own, with its own locks, and waits for it. A failure of it is thrown. */
  child<Input extends z.ZodObject, Output extends z.ZodObject>(
    operation: TypedOperation<string, OperationDefinition['target'], Input, Output>,
    input: z.input<Input>,
  ): Promise<RunResult<z.output<Output>>>;
  /**
   * Starts another operation that begins when this run has given its locks back, and that nobody here waits for. Returns the
   * id of its run.
   */
  afterwards<Input extends z.ZodObject, Output extends z.ZodObject>(
    operation: TypedOperation<string, OperationDefinition['target'], Input, Output>,
    input: z.input<Input>,
  ): Promise<string>;
  /**
   * For a composite operation, whose children each take their own locks: holds these for a stretch, and the children of
   * that stretch share them, so that nobody comes between. Keep it short, and let its children ask nobody.
   */
  uninterrupted<T>(locks: readonly Lock[], stretch: () => Promise<T>): Promise<T>;
  /** The report of what is known so far, for mailing it before the run ends. */
  report(sections: readonly Section[], summary: string): Report;
}

/** What a workflow's own logic returns; the report is made of it. */
export interface Done<Output> {
  readonly output: Output;
  readonly summary: string;
  readonly sections: readonly Section[];
}

/** What planning found out, and what would be done. */
export interface Planned<Known, Output> {
  /** What acting goes on from. */
  readonly known: Known;
  /** Absent where the request only looks. */
  readonly would?: {
    readonly plan: PlanDraft;
    /** What a dry run returns. */
    readonly output: Output;
    /** What a dry run tells beside the plan. */
    readonly sections?: readonly Section[];
  };
}

/**
 * An operation that changes something: it plans first, which changes nothing, and then does what it has planned. It may
 * plan several times before it acts: for a dry run, for an approval, and once more under its locks.
 */
export interface Change<Input, Output, Known> {
  plan(run: PlanningRun<Input>): Promise<Planned<Known, Output>>;
  act(run: Run<Input>, known: Known): Promise<Done<Output>>;
}

/** An operation that only looks, and one that only starts others, has nothing to plan. */
export type Look<Input, Output> = (run: Run<Input>) => Promise<Done<Output>>;
