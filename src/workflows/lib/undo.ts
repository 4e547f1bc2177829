import { CancellationScope, condition, defineSignal, setHandler } from '@temporalio/workflow';
import { failureOf } from './failure.ts';

/** A person's answer to a run that is paused because it could not undo something. */
export const decideSignal = defineSignal<['retry' | 'leave']>('decide');

export interface UndoStack {
  /** Registers how to take a step back, **before** the step runs: it may half-succeed. Must tolerate nothing to undo. */
  push(title: string, undo: () => Promise<void>): void;
  isEmpty(): boolean;
  /** Forgets everything: what was done stays. */
  clear(): void;
  /** Takes everything back, last first, also when the run is cancelled. Resolves to what was left, as sentences. */
  unwind(): Promise<readonly string[]>;
}

/**
 * Compensation of a run. An undo that fails although its activity retried for its whole time halts the run (the earlier
 * steps may depend on it): `onStuck` calls a person, and the run waits for `decide`: `retry` or `leave`.
 */
export function createUndoStack(hooks: {
  readonly onStep: (title: string) => void;
  readonly onUndone: (title: string) => void;
  readonly onStuck: (title: string, why: string) => Promise<void>;
}): UndoStack {
  const stack: { title: string; undo: () => Promise<void> }[] = [];
  let decision: 'retry' | 'leave' | undefined;
  setHandler(decideSignal, (answer) => {
    // Typed by a person: anything else is no answer, least of all one that leaves things as they are.
    if (answer === 'retry' || answer === 'leave') decision = answer;
  });

  return {
    push(title, undo) {
      stack.push({ title, undo });
    },
    isEmpty: () => stack.length === 0,
    clear() {
      stack.length = 0;
    },
    unwind() {
      return CancellationScope.nonCancellable(async () => {
        const left: string[] = [];
        for (let step = stack.pop(); step; step = stack.pop()) {
          hooks.onStep(step.title);
          const why = await attempt(step.undo);
          if (why === undefined) {
            hooks.onUndone(step.title);
            continue;
          }
          decision = undefined;
          await hooks.onStuck(step.title, why);
          await condition(() => decision !== undefined);
          if (decision === 'retry') stack.push(step);
          else left.push(`${step.title}: ${why}`);
        }
        return left;
      });
    },
  };
}

async function attempt(undo: () => Promise<void>): Promise<string | undefined> {
  try {
    await undo();
    return undefined;
  } catch (error) {
    return failureOf(error).message;
  }
}
