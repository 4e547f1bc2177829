import { workflowInfo } from '@temporalio/workflow';
import type { NotifyActivities } from '../../activities/notify/notify.ts';
import { makeReport, type Report } from '../../operations/report.ts';
import type { Question } from '../../operations/run.ts';
import { onService } from './activities.ts';

/**
 * Mails what a paused run asks, and how to answer. A mail that can't be sent doesn't stop the run: its state is in the
 * Temporal UI, in lists and in the metrics, too.
 */
export async function tellAdministrators(title: string, target: string, question: Question): Promise<void> {
  try {
    await onService<NotifyActivities>('Tell the administrators').mailReport(paused(title, target, question));
  } catch {
    // Said above.
  }
}

function paused(
  title: string,
  target: string,
  question: Question,
): { readonly subject: string; readonly report: Report } {
  const { workflowId } = workflowInfo();
  const answers = question.choices.map(
    ({ name, meaning }) => `proxmox-mcp runs decide ${workflowId} ${name} (${meaning})`,
  );
  return {
    subject: `[${target}] ${title} is paused and needs you`,
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
      ],
    }),
  };
}
