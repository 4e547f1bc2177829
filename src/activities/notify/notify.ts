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
import type { Secret } from '../../secret.ts';
import { zoneOfTarget } from '../../time-zone.ts';
import { postToWebhook, type WebhookKey } from './webhook.ts';

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
    /** Whom the policy's contacts name. Default: `MAIL_TO`. */
    readonly to?: readonly string[];
  }): Promise<MailReportResult>;
  /** Posts a short text to webhooks that page people; each of them once, as far as that can be known. */
  page(input: { readonly text: string; readonly webhooks: readonly WebhookKey[] }): Promise<PageResult>;
}

export interface PageResult {
  /** Whether at least one webhook took it. */
  readonly paged: boolean;
  /** For a report: which did, and why the others didn't. */
  readonly finding: Finding;
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
  readonly config: Pick<Config, 'hosts' | 'temporal' | 'mcp' | 'webhooks'>;
}): NotifyActivities {
  return {
    async mailReport({ report, subject, run, id, to }) {
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
          ...(to !== undefined && to.length > 0 && { to }),
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
                remedy:
                  to === undefined ? 'Check MAIL_TO.' : 'Check MAIL_TO, and the contacts: npx proxmox-mcp policy show',
              },
            };
      } catch (error) {
        if (!(error instanceof ServiceError) || (error.retryable && !last)) throw error;
        return notMailed('failed', error.message, error.remedy);
      }
    },
    async page({ text, webhooks }) {
      const { info } = Context.current();
      const last = info.attempt >= (info.retryPolicy?.maximumAttempts || defaultAttempts);
      // Who was paged by an earlier attempt isn't again.
      const done = new Set<string>(Array.isArray(info.heartbeatDetails) ? info.heartbeatDetails.map(String) : []);
      const failures: ServiceError[] = [];
      for (const key of webhooks.filter((one) => !done.has(one))) {
        const url = urlOf(config.webhooks, key);
        try {
          if (url === undefined) throw noUrl(key);
          await postToWebhook(key, url, text);
          done.add(key);
          Context.current().heartbeat([...done]);
        } catch (error) {
          if (!(error instanceof ServiceError)) throw error;
          failures.push(error);
        }
      }
      const later = failures.find(({ retryable }) => retryable);
      if (later !== undefined && !last) throw later;
      return pageResult([...done], failures);
    },
  };
}

function notMailed(verdict: 'skipped' | 'failed', summary: string, remedy?: string): MailReportResult {
  return { mailed: false, finding: { check: 'Mail', verdict, summary, ...(remedy !== undefined && { remedy }) } };
}

function pageResult(done: readonly string[], failures: readonly ServiceError[]): PageResult {
  const taken = done.length === 0 ? [] : [`Paged by ${done.join(', ')}`];
  const [first] = failures;
  return {
    paged: done.length > 0,
    finding: {
      check: 'Page',
      verdict: first === undefined ? 'ok' : done.length > 0 ? 'warning' : 'failed',
      summary: `${[...taken, ...failures.map(({ message }) => message)].join('. ')}.`,
      ...(first !== undefined && { remedy: first.remedy }),
    },
  };
}

function urlOf({ onCall, slack, discord }: Config['webhooks'], key: WebhookKey): Secret | undefined {
  return { ONCALL_WEBHOOK_URL: onCall, SLACK_WEBHOOK_URL: slack, DISCORD_WEBHOOK_URL: discord }[key];
}

function noUrl(key: WebhookKey): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `Nobody was paged by ${key}: it isn't set`,
    remedy: `Write ${key}_FILE=PATH into .env, or take it from the contacts.`,
    details: { key },
  });
}
