import { setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Plan } from '../../operations/plan.ts';
import type { Progress, Question, RunStep } from '../../operations/run.ts';
import { cleanText } from '../../reports/clean.ts';
import { stepLine } from '../../reports/steps.ts';

/** A run's steps as the Temporal UI's current details and the `progress` query show them, always in step. */
export interface Checklist {
  readonly progress: () => Progress;
  enter(phase: Progress['phase'], message: string): void;
  mark(title: string, state: RunStep['state'], note?: string): void;
  /** What it waits for a person to decide; undefined: nothing any more. */
  ask(question: Question | undefined): void;
  /** What it is to do. */
  plan(plan: Plan): void;
  /** Nothing of its steps was done: it begins anew. */
  reset(): void;
}

export function createChecklist(title: string, steps: readonly string[]): Checklist {
  const items = new Map<string, RunStep>(steps.map((step) => [step, { title: step, state: 'pending' }]));
  let phase: Progress['phase'] = 'starting';
  let message = 'Starting';
  let asked: Question | undefined;
  let planned: Plan | undefined;
  show();

  return {
    progress: () => ({
      phase,
      message,
      steps: [...items.values()],
      ...(asked && { question: asked }),
      ...(planned && { plan: planned }),
    }),
    enter(nextPhase, nextMessage) {
      phase = nextPhase;
      message = nextMessage;
      show();
    },
    mark(step, state, note) {
      items.set(step, { title: step, state, ...(note === undefined ? {} : { note }) });
      if (state === 'running') message = step;
      show();
    },
    ask(question) {
      asked = question;
      show();
    },
    plan(plan) {
      planned = plan;
      show();
    },
    reset() {
      for (const step of steps) items.set(step, { title: step, state: 'pending' });
      show();
    },
  };

  function show(): void {
    const lines = [...items.values()].map((step) => `- ${stepLine(step, escapeMarkdown)}`);
    const waits =
      asked === undefined
        ? []
        : [...(asked.kind === 'approval' && planned ? whatItWould(planned) : []), ...howToAnswer(asked)];
    setCurrentDetails([`**${title}** – ${escapeMarkdown(message)}`, '', ...lines, ...waits].join('\n'));
  }
}

/** The plan in short: all of it is on the run's page. */
function whatItWould({ summary, steps, risks, affected, digest }: Plan): readonly string[] {
  const some = (texts: readonly string[]) => {
    const lines = texts.slice(0, mostLines).map((text) => `- ${escapeMarkdown(text)}`);
    return texts.length > mostLines ? [...lines, `- … and ${texts.length - mostLines} more`] : lines;
  };
  const does = steps.flatMap(({ title, does: calls }) => calls.map((call) => `${title}: ${call}`));
  return [
    '',
    `It is to ${escapeMarkdown(summary)}:`,
    '',
    ...some(does),
    '',
    'Who feels it, and what can go wrong:',
    '',
    ...some([...affected, ...risks]),
    '',
    `Digest of what it does: \`${digest}\``,
  ];
}

/** Of each list of the plan. */
const mostLines = 15;

function howToAnswer({ kind, choices, ifCancelled }: Question): readonly string[] {
  const { workflowId } = workflowInfo();
  return [
    '',
    'Answer it with one of:',
    '',
    ...choices.map(
      ({ name, meaning }) => `- \`npx proxmox-mcp runs decide ${workflowId} ${name}\`: ${escapeMarkdown(meaning)}`,
    ),
    '',
    kind === 'approval'
      ? `Or from here: \`npx proxmox-mcp runs code ${workflowId} approve\` makes a one-time code; send that with the signal \`decide\`.`
      : "Or send it the signal `decide` with the choice's name from here.",
    ...(ifCancelled === undefined ? [] : ['', cancelling[ifCancelled]]),
  ];
}

const cancelling = {
  ends: 'Cancelling it is a no: it undoes what it did, and ends.',
  nothing: 'Cancelling it changes nothing: it is ending already, and only an answer lets it go on.',
} as const;

/** Notes may quote what a host said; the UI renders Markdown. */
function escapeMarkdown(text: string): string {
  return cleanText(text)
    .replace(/[\\`*_[\]<>#|]/g, '\\$&')
    .replaceAll('\n', ' ');
}
