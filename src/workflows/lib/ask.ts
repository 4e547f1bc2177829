import { ApplicationFailure, condition, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Answer, ApprovalState, CodedAnswer, Question } from '../../operations/run.ts';
import { decideSignal, decideUpdate } from './messages.ts';

/** What a run asks, and how its answer is to be understood. */
export interface Ask<Choice extends string> {
  /** What happened and what is to be decided, for a person who knows nothing of the run. */
  readonly question: string;
  /** What each choice means, in a few words. */
  readonly choices: Readonly<Record<Choice, string>>;
  /** Ms since the epoch. Without an answer by then the answer is `undefined`: a no. Default: it waits for ever. */
  readonly until?: number;
}

/** Asks for the approval of a plan, which is a person's who has proved to be one of those who may. */
export interface AskApproval {
  readonly question: string;
  readonly approval: Omit<ApprovalState, 'given'>;
  /** Ms since the epoch: without enough answers by then it is a no. */
  readonly until: number;
  /** Who hears of it is reminded each time so many ms have passed without an end. */
  readonly remindEveryMs: number;
  /** Is told of every answer that counts, before it does. */
  readonly onAnswer: (answer: Answer) => Promise<void>;
  /** Whose answer a one-time code makes it; undefined: it is wrong, was seen before, or is for another plan. */
  readonly redeem: (coded: CodedAnswer, question: Question) => Promise<Answer | undefined>;
}

/** How an approval ended: `undefined` is no answer in time. */
export interface ApprovalEnd {
  readonly choice: ApprovalChoice | undefined;
  /** The answers that count, in order. */
  readonly answers: readonly Answer[];
}

export type ApprovalChoice = 'approve' | 'refuse';
const approvalChoices: Readonly<Record<ApprovalChoice, string>> = {
  approve: 'it does exactly this',
  refuse: 'nothing is done',
};

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
  /** Waits until enough approvers have said yes, or one no. Cancelled as {@link ask}. */
  askApproval(ask: AskApproval): Promise<ApprovalEnd>;
  /** The id that the next question has if it is an approval. */
  nextId(): string;
  readonly open: Question | undefined;
}

/** Who hears of what is still open, and when beside the times that the question itself has. */
export interface Reminders {
  /** Ms since the epoch; undefined: none is due. */
  nextAt(): number | undefined;
  remind(question: Question): Promise<void>;
}

/**
 * A run's questions to people, answered by the update or the signal `decide`. Make it at the run's start, so that an
 * answer that comes early is refused and not lost.
 *
 * @param onAsked is told of every new question, and of `undefined` when it is answered or given up
 * @param onChanged is told when an approver has said yes and more are needed
 * @param reminders default: nobody is reminded
 */
export function createQuestions(
  onAsked: (question: Question | undefined) => Promise<void>,
  onChanged: (question: Question) => void = () => {},
  reminders: Reminders = { nextAt: () => undefined, remind: async () => {} },
): Questions {
  let open: Question | undefined;
  let answers: readonly Answer[] = [];
  let coded: readonly CodedAnswer[] = [];
  let count = 0;
  // Who resets a run has its later answers sent to it again: they must be for none of its own questions.
  const runPart = workflowInfo().runId.slice(0, 8);

  // Synchronous, as are the validators: what was let in counts before anything else happens.
  function take(given: Answer): void {
    answers = [...answers, given];
    if (open?.approval === undefined) return;
    open = { ...open, approval: { ...open.approval, given: saidYes(answers) } };
    onChanged(open);
  }

  setHandler(decideUpdate, take, {
    validator(given) {
      const wrong = whyNoAnswer(open, answers, given);
      if (wrong !== undefined) throw ApplicationFailure.nonRetryable(wrong, 'conflict');
    },
    description: 'Answers the question of a paused run: { "choice": "retry" }',
  });
  setHandler(
    decideSignal,
    (given) => {
      if (open?.kind === 'approval') {
        // Who sends a signal is unknown, so only a code can make it somebody's; whatever else it says is ignored.
        const answer = codedIn(given);
        if (answer !== undefined) coded = [...coded, answer];
        return;
      }
      const said = typeof given === 'string' ? { choice: given } : given;
      // Typed by a person: anything else is no answer, least of all one that leaves things as they are.
      if (whyNoAnswer(open, answers, said) === undefined) take(said);
    },
    { description: 'Answers the question of a paused run: the name of a choice, e.g. "retry"' },
  );

  async function asked<T>(question: Omit<Question, 'id' | 'askedAt'>, wait: () => Promise<T>): Promise<T> {
    count += 1;
    answers = [];
    coded = [];
    const id = question.kind === 'approval' ? `q${count}-${runPart}` : `q${count}`;
    open = { id, ...question, askedAt: new Date().toISOString() };
    try {
      await onAsked(open);
      return await wait();
    } finally {
      open = undefined;
      await onAsked(undefined);
    }
  }

  return {
    get open() {
      return open;
    },
    nextId: () => `q${count + 1}-${runPart}`,
    async ask({ question, choices, until }, ifCancelled) {
      const about = { text: question, choices: named(choices), kind: 'decision', ...lastMoment(until) } as const;
      const chosen = await asked({ ...about, ifCancelled }, async () => {
        const answered = () => answers.length > 0;
        const reminder = reminderEvery(Number.POSITIVE_INFINITY);
        const last = until ?? Number.POSITIVE_INFINITY;
        for (;;) {
          const due = reminder.at();
          const isNews = () => answered() || reminder.at() !== due;
          const end = Math.min(last, due);
          if (end === Number.POSITIVE_INFINITY) await condition(isNews);
          else await condition(isNews, Math.max(1, end - Date.now()), { summary: 'Waiting for an answer' });
          if (answered() || Date.now() >= last) return answers[0]?.choice;
          await reminder.ring();
        }
      });
      return chosen !== undefined && isOneOf(chosen, choices) ? chosen : undefined;
    },
    async askApproval(ask) {
      const { question, approval, until, remindEveryMs } = ask;
      const about = {
        text: question,
        choices: named(approvalChoices),
        kind: 'approval',
        ...lastMoment(until),
      } as const;
      return asked({ ...about, approval: { ...approval, given: [] }, ifCancelled: 'ends' }, async () => {
        let told = 0;
        const reminder = reminderEvery(remindEveryMs);
        for (;;) {
          const due = reminder.at();
          const isNews = () => answers.length > told || coded.length > 0 || reminder.at() !== due;
          const waitMs = Math.max(1, Math.min(until, due) - Date.now());
          await condition(isNews, waitMs, { summary: 'Waiting for an approval' });
          for (const answer of answers.slice(told)) await ask.onAnswer(answer);
          told = Math.max(told, answers.length);
          const end = endOf(answers, approval.count);
          if (end !== undefined) return { choice: end, answers };
          await redeemNext(ask);
          if (Date.now() >= until) return { choice: undefined, answers };
          await reminder.ring();
        }
      });
    },
  };

  /** Due whenever so many ms have passed since the last time, and when somebody else is to be told. */
  function reminderEvery(ms: number) {
    let own = Date.now() + ms;
    const at = () => Math.min(own, reminders.nextAt() ?? Number.POSITIVE_INFINITY);
    return {
      at,
      /** Reminds, where that is due. */
      async ring(): Promise<void> {
        if (Date.now() < at() || open === undefined) return;
        own = Math.min(own, Date.now()) + ms;
        await reminders.remind(open);
      },
    };
  }

  async function redeemNext({ redeem }: AskApproval): Promise<void> {
    const [next, ...rest] = coded;
    if (next === undefined || open === undefined) return;
    coded = rest;
    const answer = await redeem(next, open);
    if (answer !== undefined && whyNoAnswer(open, answers, answer) === undefined) take(answer);
  }
}

function named(choices: Readonly<Record<string, string>>): Question['choices'] {
  return Object.entries(choices).map(([name, meaning]) => ({ name, meaning }));
}

function lastMoment(until: number | undefined): Pick<Question, 'until'> {
  return until === undefined ? {} : { until: new Date(until).toISOString() };
}

function isOneOf<Choice extends string>(name: string, choices: Readonly<Record<Choice, string>>): name is Choice {
  return Object.hasOwn(choices, name);
}

/** `approve CODE`, or an object that says so. */
function codedIn(given: Answer | CodedAnswer | string): CodedAnswer | undefined {
  if (typeof given === 'string') {
    const [choice = '', code = '', ...more] = given.trim().split(/\s+/);
    return code === '' || more.length > 0 ? undefined : { choice, code };
  }
  if (typeof given !== 'object' || given === null || !('code' in given)) return undefined;
  const { choice, code } = given;
  return typeof choice === 'string' && typeof code === 'string' ? { choice, code } : undefined;
}

function saidYes(answers: readonly Answer[]): string[] {
  return answers.flatMap(({ choice, by }) => (choice === 'approve' && by !== undefined ? [by.name] : []));
}

function endOf(answers: readonly Answer[], count: number): ApprovalChoice | undefined {
  if (answers.some(({ choice }) => choice === 'refuse')) return 'refuse';
  return saidYes(answers).length >= count ? 'approve' : undefined;
}

function whyNoAnswer(open: Question | undefined, given: readonly Answer[], answer: Answer): string | undefined {
  const isOver = open?.approval === undefined ? given.length > 0 : endOf(given, open.approval.count) !== undefined;
  if (open === undefined || isOver) return 'The run waits for no answer now.';
  if (typeof answer !== 'object' || answer === null) return 'An answer is the name of a choice.';
  if (answer.question !== undefined && answer.question !== open.id) {
    return 'The run has asked something else meanwhile: read it first.';
  }
  const names = open.choices.map(({ name }) => name);
  if (!names.includes(answer.choice)) return `It is none of the choices: ${names.join(', ')}.`;
  return open.approval === undefined ? undefined : whyNoApproval(open, open.approval, answer);
}

function whyNoApproval({ until }: Question, state: ApprovalState, answer: Answer): string | undefined {
  const { by, choice, digest } = answer;
  if (by?.kind !== 'person') {
    return 'Only a person who has signed in can answer this: on the page, or by npx proxmox-mcp runs decide.';
  }
  if (!state.approvers.includes(by.name)) {
    return `${by.name} is none of those who may answer this: ${state.approvers.join(', ')}. Who asked for a run does not approve it.`;
  }
  if (digest !== state.digest)
    return 'The answer is for another plan than the one that the run asks about: read it first.';
  if (until !== undefined && Date.now() >= Date.parse(until)) return `Its time was over at ${until}.`;
  if (choice === 'approve' && !isSigned(state, answer)) {
    return 'Its yes has to be signed with your SSH key: npx proxmox-mcp runs decide RUN approve --sign KEYFILE.';
  }
  if (choice === 'approve' && state.given.includes(by.name)) {
    return `${by.name} has said yes already; ${state.count} different people have to.`;
  }
  return undefined;
}

const longestSignature = 20_000;

/** Whether it brings a signature for each host; the host says whether it is a good one. */
function isSigned({ toSign = [] }: ApprovalState, { signatures = [] }: Answer): boolean {
  if (!Array.isArray(signatures)) return false;
  return toSign.every(({ host }) =>
    signatures.some(
      (one) => one?.host === host && typeof one.signature === 'string' && one.signature.length < longestSignature,
    ),
  );
}
