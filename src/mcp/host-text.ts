import type { Plan } from '../operations/plan.ts';
import type { Progress } from '../operations/run.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import { quote } from '../reports/quote.ts';
import type { RunDetails } from '../runs/runs.ts';

/** How much of what others said is answered, in characters. A report has its own limits; see `src/reports/clean.ts`. */
export const limits = {
  /** A name, a state, a version. */
  name: 120,
  /** A reason, a note, one line of a log. */
  line: 500,
  /** Why something failed. */
  message: 1_500,
  /** An operation's output as JSON: a list of two hundred backups. */
  output: 48_000,
  /** A log, whose end counts. */
  log: 24_000,
  steps: 60,
  choices: 20,
  items: 200,
  depth: 8,
  /** Any one text, whatever it is: a report's quoted section is the longest. */
  text: 40_000,
} as const;

/** {@link cleanText} for every string in a value, for structured answers. */
export function plainDeep<T>(value: T): T {
  if (typeof value === 'string') return cleanText(value, limits.text) as T;
  if (Array.isArray(value)) return value.map(plainDeep) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainDeep(inner)])) as T;
}

/** What others said, for data: cleaned, bounded, and behind a bar, so that it isn't taken for words of this service. */
export function quoted(text: string, max: number): string {
  return quote(cleanText(text, max));
}

/** How far a run is, as data: its notes, and what it asks, may quote its host. */
export function quotedProgress({ phase, message, steps, question, plan }: Progress): Progress {
  return {
    phase,
    message: quoted(message, limits.line),
    steps: steps.slice(0, limits.steps).map(({ title, state, note }) => ({
      title: cleanLine(title, limits.name),
      state,
      ...(note === undefined ? {} : { note: quoted(note, limits.line) }),
    })),
    ...(question === undefined ? {} : { question: quotedQuestion(question) }),
    ...(plan === undefined ? {} : { plan: quotedPlan(plan) }),
  };
}

/** What it is to do: its calls and states may hold words of the host. */
export function quotedPlan(plan: Plan): Plan {
  return boundedOutput(plan) as Plan;
}

export function quotedQuestion(question: NonNullable<Progress['question']>): NonNullable<Progress['question']> {
  return {
    ...question,
    text: quoted(question.text, limits.message),
    choices: question.choices.slice(0, limits.choices).map(({ name, meaning }) => ({
      name: cleanLine(name, limits.name),
      meaning: cleanLine(meaning, limits.line),
    })),
  };
}

/** Why a run failed, as data. */
export function quotedFailure({ code, message, remedy }: NonNullable<RunDetails['failure']>) {
  return {
    code: cleanLine(code, limits.name),
    message: quoted(message, limits.message),
    remedy: cleanLine(remedy, limits.line),
  };
}

/** An operation's own output, of which only the operation knows what its texts are: one line each, so many in all. */
export function boundedOutput(output: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const left = { characters: limits.output as number };
  return bounded(output, left, limits.depth) as Record<string, unknown>;
}

function bounded(value: unknown, left: { characters: number }, depth: number): unknown {
  if (typeof value === 'string') {
    const shown = cleanLine(value, Math.max(0, Math.min(limits.line, left.characters)));
    left.characters -= shown.length;
    return shown;
  }
  if (value === null || typeof value !== 'object') {
    left.characters -= 8;
    return value;
  }
  if (depth === 0) return '…';
  const entries = Object.entries(value);
  const shown: [string, unknown][] = [];
  for (const [key, inner] of entries.slice(0, limits.items)) {
    if (left.characters <= 0) break;
    left.characters -= key.length;
    shown.push([cleanLine(key, limits.name), bounded(inner, left, depth - 1)]);
  }
  const hidden = entries.length - shown.length;
  if (Array.isArray(value)) {
    const items = shown.map(([, inner]) => inner);
    return hidden === 0 ? items : [...items, `… (${hidden} more)`];
  }
  return Object.fromEntries(hidden === 0 ? shown : [...shown, ['…', `${hidden} more`]]);
}
