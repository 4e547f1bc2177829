import { setCurrentDetails } from '@temporalio/workflow';
import type { Progress, RunStep } from '../../operations/run.ts';
import { stepLine } from '../../reports/steps.ts';

/** A run's steps as the Temporal UI's current details and the `progress` query show them, always in step. */
export interface Checklist {
  readonly progress: () => Progress;
  enter(phase: Progress['phase'], message: string): void;
  mark(title: string, state: RunStep['state'], note?: string): void;
}

export function createChecklist(title: string, steps: readonly string[]): Checklist {
  const items = new Map<string, RunStep>(steps.map((step) => [step, { title: step, state: 'pending' }]));
  let phase: Progress['phase'] = 'starting';
  let message = 'Starting';
  show();

  return {
    progress: () => ({ phase, message, steps: [...items.values()] }),
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
  };

  function show(): void {
    const lines = [...items.values()].map((step) => `- ${stepLine(step, escapeMarkdown)}`);
    setCurrentDetails([`**${title}** – ${escapeMarkdown(message)}`, '', ...lines].join('\n'));
  }
}

/** Notes may quote what a host said; the UI renders Markdown. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_[\]<>#|]/g, '\\$&').replaceAll('\n', ' ');
}
