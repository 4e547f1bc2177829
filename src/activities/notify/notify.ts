import { createHash } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { explain, ServiceError } from '../../errors.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { Finding } from '../../operations/finding.ts';
import type { Report } from '../../operations/report.ts';
import { cleanLine } from '../../reports/clean.ts';
import { renderHtml } from '../../reports/html.ts';
import { renderText } from '../../reports/text.ts';

export const queue = 'service';

export interface MailReportResult {
  /** Whether the mail server took it for at least one recipient. */
  readonly mailed: boolean;
  /** For the report: to whom it went, or why it didn't. */
  readonly finding: Finding;
}

export interface NotifyActivities {
  /** @param input `id`: what the mail is about, where a later call may send the same mail once more */
  mailReport(input: {
    readonly report: Report;
    readonly subject?: string;
    readonly id?: string;
  }): Promise<MailReportResult>;
}

/** Used when the caller's retry policy has no limit: a report nobody gets must not keep a run open for ever. */
const defaultAttempts = 5;

/**
 * Tells people. A report that can't be mailed isn't a failed run: what may work later is thrown so that Temporal tries
 * again, and what won't, or still doesn't at the last attempt, is returned as a finding.
 */
export function createNotifyActivities(dependencies: { readonly mailer?: Mailer | undefined }): NotifyActivities {
  const { mailer } = dependencies;
  return {
    async mailReport({ report, subject, id }) {
      if (mailer === undefined) {
        return notMailed(
          'skipped',
          'No mail server is configured (SMTP_HOST, MAIL_FROM, MAIL_TO), so nobody was told.',
        );
      }
      const { info } = Context.current();
      const last = info.attempt >= (info.retryPolicy?.maximumAttempts || defaultAttempts);
      // The same for every attempt of this run, so that a mail that was taken twice is shown once.
      const run = `${info.workflowExecution?.workflowId}/${info.workflowExecution?.runId}/${info.activityId}`;
      try {
        const sent = await mailer.send({
          id: createHash('sha256')
            .update(id ?? run)
            .digest('hex')
            .slice(0, 32),
          subject: cleanLine(subject ?? `[${report.target}] ${report.title}: ${report.verdict}`, 150),
          text: renderText(report),
          html: renderHtml(report),
          date: new Date(report.finishedAt),
        });
        const taken = `Sent to ${sent.accepted.join(', ')}.`;
        return sent.rejected.length === 0
          ? { mailed: true, finding: { check: 'Mail', verdict: 'ok', summary: taken } }
          : {
              mailed: true,
              finding: {
                check: 'Mail',
                verdict: 'warning',
                summary: `${taken} The mail server refused ${sent.rejected.join(', ')}: check MAIL_TO.`,
              },
            };
      } catch (error) {
        if (!(error instanceof ServiceError) || (error.retryable && !last)) throw error;
        return notMailed('failed', explain(error));
      }
    },
  };
}

function notMailed(verdict: 'skipped' | 'failed', summary: string): MailReportResult {
  return { mailed: false, finding: { check: 'Mail', verdict, summary } };
}
