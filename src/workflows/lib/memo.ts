import { patched, upsertMemo } from '@temporalio/workflow';
import type { Reversal } from '../../operations/reversal.ts';
import type { Ending, Question, RunMemo } from '../../operations/run.ts';
import { cleanLine } from '../../reports/clean.ts';

/** How much of a memo's texts is kept: it comes with every line of a list. In characters. */
const limits = { question: 1_000, meaning: 200, choices: 12, left: 500, steps: 50 } as const;

/** Says in the run's memo what it asks, for who can't ask a worker; undefined: nothing any more. */
export function rememberQuestion(question: Question | undefined): void {
  remember({ question: question && boundedQuestion(question) });
}

/** Says in the run's memo where it stopped and what it undid. */
export function rememberEnding({ at, undone, left }: Ending): void {
  remember({
    ending: {
      at: cleanLine(at, limits.meaning),
      undone: undone.slice(0, limits.steps),
      left: left.slice(0, limits.steps).map((step) => cleanLine(step, limits.left)),
    },
  });
}

/** Says in the run's memo how it is taken back. Runs that were begun before that was recorded replay without it. */
export function rememberReversal(way: Reversal): void {
  if (patched('reversal')) upsertMemo({ reversal: way } satisfies RunMemo);
}

/** Runs that were begun before there was a memo replay without it. */
function remember(memo: RunMemo): void {
  if (patched('run-memo')) upsertMemo(memo);
}

function boundedQuestion({ text, choices, approval, ...rest }: Question): Question {
  const { toSign: _, ...state } = approval ?? {};
  return {
    ...rest,
    ...(approval === undefined ? {} : { approval: state as NonNullable<Question['approval']> }),
    text: cleanLine(text, limits.question),
    choices: choices
      .slice(0, limits.choices)
      .map(({ name, meaning }) => ({ name, meaning: cleanLine(meaning, limits.meaning) })),
  };
}
