import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { Context } from '@temporalio/activity';
import type { Config } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { Finding } from '../../operations/finding.ts';
import type { Report } from '../../operations/report.ts';
import { renderHtml } from '../../reports/html.ts';
import { asSubject, subjectOf } from '../../reports/subject.ts';
import { renderText } from '../../reports/text.ts';
import { runPageUrl, runUrl } from '../../run-url.ts';
import { zoneOfTarget } from '../../time-zone.ts';

export const queue = 'service';

export interface MailReportResult {
  /** Whether the mail server took it for at least one recipient. */
  readonly mailed: boolean;
  /** For the report: to whom it went, or why it didn't. */
  readonly finding: Finding;
}

export interface NotifyActivities {
  mailReport(input: {
    readonly report: Report;
    /** Default: with the cause in it, from the report's findings. */
    readonly subject?: string;
    /** The run that it is about; `null` where that is none, or are several. Default: the one that mails it. */
    readonly run?: string | null;
    /** What it tells, where a later call may tell the same once more. Default: this call. */
    readonly id?: string;
  }): Promise<MailReportResult>;
}

/** Used when the caller's retry policy has no limit: a report nobody gets must not keep a run open for ever. */
const defaultAttempts = 5;

/**
 * Tells people. A report that can't be mailed isn't a failed run: what may work later is thrown so that Temporal tries
 * again, and what won't, or still doesn't at the last attempt, is returned as a finding.
 */
export function createNotifyActivities({
  mailer,
  config,
}: {
  readonly mailer?: Mailer | undefined;
  readonly config: Pick<Config, 'hosts' | 'temporal' | 'mcp'>;
}): NotifyActivities {
  return {
    async mailReport({ report, subject, run, id }) {
      if (mailer === undefined) {
        return notMailed(
          'skipped',
          'No mail server is configured (SMTP_HOST, MAIL_FROM, MAIL_TO), so nobody was told.',
        );
      }
      const { info } = Context.current();
      const last = info.attempt >= (info.retryPolicy?.maximumAttempts || defaultAttempts);
      // The same for every attempt of this run, so that a mail that was taken twice is shown once.
      const mailing = id ?? `${info.workflowExecution?.workflowId}/${info.workflowExecution?.runId}/${info.activityId}`;
      const about = run === undefined ? info.workflowExecution?.workflowId : run;
      const options = {
        timeZone: zoneOfTarget(config, report.target),
        ...(typeof about === 'string' && {
          run: { id: about, url: runUrl(config, about), page: runPageUrl(config, about), machine: hostname() },
        }),
      };
      try {
        const sent = await mailer.send({
          id: createHash('sha256').update(mailing).digest('hex').slice(0, 32),
          subject: subject === undefined ? subjectOf(report) : asSubject(subject),
          text: renderText(report, { ...options, folded: true }),
          html: renderHtml(report, options),
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
                summary: `${taken} The mail server refused ${sent.rejected.join(', ')}.`,
                remedy: 'Check MAIL_TO.',
              },
            };
      } catch (error) {
        if (!(error instanceof ServiceError) || (error.retryable && !last)) throw error;
        return notMailed('failed', error.message, error.remedy);
      }
    },
  };
}

function notMailed(verdict: 'skipped' | 'failed', summary: string, remedy?: string): MailReportResult {
  return { mailed: false, finding: { check: 'Mail', verdict, summary, ...(remedy !== undefined && { remedy }) } };
}
