import { CancellationScope, CancelledFailure } from '@temporalio/workflow';
import { type Failure, failureOf } from './failure.ts';

/** How to take back a step. */
export interface UndoStep {
  readonly title: string;
  /** Must tolerate that there is nothing to undo: the step may have half-succeeded. */
  readonly undo: () => Promise<void>;
  /** What the step has left, as one comparable text: read before a person is asked and again before it goes on. */
  readonly look?: (() => Promise<string>) | undefined;
}

export interface UndoStack {
  /** Registers how to take a step back, **before** the step runs. */
  push(step: UndoStep): void;
  isEmpty(): boolean;
  /** Forgets the last step of that title: it was refused, and there is nothing to take back. */
  drop(title: string): void;
  /** Forgets everything: what was done stays. */
  clear(): void;
  /**
   * Takes everything back, last first, also when the run is cancelled. Resolves to the titles of what was undone and to
   * what was left, as sentences.
   */
  unwind(): Promise<{ readonly undone: readonly string[]; readonly left: readonly string[] }>;
}

/**
 * Compensation of a run. An undo that fails although its activity retried for its whole time halts the run (the earlier
 * steps may depend on it): `onStuck` asks a person, and says whether to try again or to leave it.
 */
export function createUndoStack(hooks: {
  readonly onStep: (title: string) => void;
  readonly onUndone: (title: string) => void;
  readonly onStuck: (step: UndoStep, why: Failure) => Promise<'retry' | 'leave'>;
}): UndoStack {
  const stack: UndoStep[] = [];
  return {
    push(step) {
      stack.push(step);
    },
    isEmpty: () => stack.length === 0,
    drop(title) {
      const at = stack.findLastIndex((step) => step.title === title);
      if (at >= 0) stack.splice(at, 1);
    },
    clear() {
      stack.length = 0;
    },
    unwind() {
      return CancellationScope.nonCancellable(async () => {
        const undone: string[] = [];
        const left: string[] = [];
        for (let step = stack.pop(); step; step = stack.pop()) {
          hooks.onStep(step.title);
          const why = await whyNot(step.undo);
          if (why === undefined) {
            undone.push(step.title);
            hooks.onUndone(step.title);
          } else if ((await hooks.onStuck(step, why)) === 'retry') stack.push(step);
          else left.push(`${step.title}: ${why.message}`);
        }
        return { undone, left };
      });
    },
  };
}

/**
 * Before a run says that what was done stays. A cancellation that comes in one workflow task with the end of the last step, as
 * after minutes without a worker, stops nothing by itself: there is no later step that it would keep from beginning.
 */
export function requireNotCancelled(): void {
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('It was cancelled.');
}

async function whyNot(undo: () => Promise<void>): Promise<Failure | undefined> {
  try {
    await undo();
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
}
