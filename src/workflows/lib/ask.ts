import { ApplicationFailure, condition, setHandler } from '@temporalio/workflow';
import type { Answer, Question } from '../../operations/run.ts';
import { decideSignal, decideUpdate } from './messages.ts';

/** What a run asks, and how its answer is to be understood. */
export interface Ask<Choice extends string> {
  /** What happened and what is to be decided, for a person who knows nothing of the run. */
  readonly question: string;
  /** What each choice means, in a few words. */
  readonly choices: Readonly<Record<Choice, string>>;
  /** Default `decision`. An `approval` is given by an administrator, never by a model. */
  readonly kind?: Question['kind'];
  /** Ms since the epoch. Without an answer by then the answer is `undefined`: a no. Default: it waits for ever. */
  readonly until?: number;
}

/** The open question of a run, of which there is one at most. */
export interface Questions {
  /**
   * Waits for a person. Cancelled with the scope it is called in: then it throws, and the question is closed.
   *
   * @param ifCancelled what the question says of that
   */
  ask<Choice extends string>(
    ask: Ask<Choice>,
    ifCancelled: NonNullable<Question['ifCancelled']>,
  ): Promise<Choice | undefined>;
  readonly open: Question | undefined;
}

/**
 * A run's questions to people, answered by the update or the signal `decide`. Make it at the run's start, so that an
 * answer that comes early is refused and not lost.
 *
 * @param onAsked is told of every new question, and of `undefined` when it is answered or given up
 */
export function createQuestions(onAsked: (question: Question | undefined) => Promise<void>): Questions {
  let open: Question | undefined;
  let answer: Answer | undefined;
  let count = 0;

  setHandler(
    decideUpdate,
    (given) => {
      answer = given;
    },
    {
      validator(given) {
        const wrong = whyNoAnswer(open, answer, given);
        if (wrong !== undefined) throw ApplicationFailure.nonRetryable(wrong, 'conflict');
      },
      description: 'Answers the question of a paused run: { "choice": "retry" }',
    },
  );
  setHandler(
    decideSignal,
    (given) => {
      const said = typeof given === 'string' ? { choice: given } : given;
      // Typed by a person: anything else is no answer, least of all one that leaves things as they are.
      if (whyNoAnswer(open, answer, said) === undefined) answer = said;
    },
    { description: 'Answers the question of a paused run: the name of a choice, e.g. "retry"' },
  );

  return {
    get open() {
      return open;
    },
    async ask({ question, choices, kind = 'decision', until }, ifCancelled) {
      count += 1;
      answer = undefined;
      open = {
        id: `q${count}`,
        text: question,
        choices: Object.entries<string>(choices).map(([name, meaning]) => ({ name, meaning })),
        kind,
        askedAt: new Date().toISOString(),
        ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
        ifCancelled,
      };
      try {
        await onAsked(open);
        const answered = () => answer !== undefined;
        if (until === undefined) await condition(answered);
        else await condition(answered, Math.max(1, until - Date.now()), { summary: 'Waiting for an answer' });
      } finally {
        open = undefined;
        await onAsked(undefined);
      }
      const chosen = chosenIn(answer);
      return chosen !== undefined && isOneOf(chosen, choices) ? chosen : undefined;
    },
  };
}

/** A function, because the compiler doesn't see that a handler may have set it. */
function chosenIn(answer: Answer | undefined): string | undefined {
  return answer?.choice;
}

function isOneOf<Choice extends string>(name: string, choices: Readonly<Record<Choice, string>>): name is Choice {
  return Object.hasOwn(choices, name);
}

function whyNoAnswer(open: Question | undefined, given: Answer | undefined, answer: Answer): string | undefined {
  if (open === undefined || given !== undefined) return 'The run waits for no answer now.';
  if (typeof answer !== 'object' || answer === null) return 'An answer is the name of a choice.';
  if (answer.question !== undefined && answer.question !== open.id) {
    return 'The run has asked something else meanwhile: read it first.';
  }
  const names = open.choices.map(({ name }) => name);
  return names.includes(answer.choice) ? undefined : `It is none of the choices: ${names.join(', ')}.`;
}
