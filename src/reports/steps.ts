import type { RunStep } from '../operations/run.ts';

/** The mark of a step's state, alike in the Temporal UI, on a terminal and for a model. */
export const stepMarks: Readonly<Record<RunStep['state'], string>> = {
  pending: '⬜',
  running: '⏳',
  done: '✅',
  failed: '❌',
  skipped: '➖',
  undone: '⏪',
};

/** A step of a run's checklist as one line; `show` makes its note, which may quote a host, safe for the reader. */
export function stepLine({ title, state, note }: RunStep, show: (note: string) => string): string {
  return `${stepMarks[state]} ${title}${note ? `: ${show(note)}` : ''}`;
}
