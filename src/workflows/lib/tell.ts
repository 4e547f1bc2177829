import { CancellationScope, patched, workflowInfo } from '@temporalio/workflow';
import type { NotifyActivities } from '../../activities/notify/notify.ts';
import type { Plan } from '../../operations/plan.ts';
import { makeReport, type Report } from '../../operations/report.ts';
import type { Question } from '../../operations/run.ts';
import { planSections } from '../../reports/plan.ts';
import { onService } from './activities.ts';

/** How the administrators hear of a paused run. */
export interface Telling {
  /**
   * Mails what it asks, and how to answer, beside the waiting: an answer that comes before the mail is sent is followed at
   * once, and the mail, which would ask for what is decided, is given up. `undefined`: nothing is asked any more.
   *
   * @param plan what an approval is asked for
   */
  tell(question: Question | undefined, plan?: Plan): Promise<void>;
  /** Mails once more what is still open. */
  remind(question: Question): Promise<void>;
}

export function createTelling(title: string, target: string): Telling {
  let open: CancellationScope | undefined;
  let asked: Plan | undefined;
  return {
    async tell(question, plan) {
      open?.cancel();
      open = undefined;
      asked = plan;
      if (question === undefined) return;
      // Runs that were paused before it was so replay with the mail first.
      if (!patched('mail-beside')) return await mail(title, target, question, plan);
      open = new CancellationScope();
      void open.run(() => mail(title, target, question, plan));
    },
    async remind(question) {
      await open?.run(() => mail(title, target, question, asked));
    },
  };
}

/**
 * A mail that can't be sent doesn't stop the run: its state is in the Temporal UI, in lists and in the metrics, too.
 */
async function mail(title: string, target: string, question: Question, plan: Plan | undefined): Promise<void> {
  try {
    await onService<NotifyActivities>('Tell the administrators').mailReport(paused(title, target, question, plan));
  } catch {
    // Said above.
  }
}

function paused(
  title: string,
  target: string,
  question: Question,
  plan: Plan | undefined,
): { readonly subject: string; readonly report: Report } {
  const { workflowId } = workflowInfo();
  const answers = question.choices.map(
    ({ name, meaning }) => `npx proxmox-mcp runs decide ${workflowId} ${name} (${meaning})`,
  );
  return {
    subject: `[${target}] ${title} is paused and needs you: ${question.text}`,
    report: makeReport({
      title: `${title} is paused`,
      target,
      summary: question.text,
      startedAt: question.askedAt,
      finishedAt: question.askedAt,
      sections: [
        {
          title: 'What to do',
          findings: [
            {
              check: 'Decision',
              verdict: 'failed',
              summary: question.text,
              remedy: `Run one of: ${answers.join('; ')}.`,
            },
          ],
        },
        ...(plan === undefined ? [] : planSections(plan)),
      ],
    }),
  };
}
