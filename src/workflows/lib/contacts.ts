import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { Asked, ContactActivities, Told } from '../../activities/contacts/contacts.ts';
import type { MailReportResult, NotifyActivities, PageResult } from '../../activities/notify/notify.ts';
import { failureOf } from './failure.ts';
import { ledgerQueue } from './messages.ts';
import { policies } from './policies.ts';

/**
 * Who is to be told now. Undefined where that can't be known within seconds: a person must hear of it all the same, so
 * that `MAIL_TO` is told.
 */
export async function whoIsTold(asked: Asked): Promise<Told | undefined> {
  const { whoHears } = proxyActivities<ContactActivities>({
    ...policies.ledgerAtOnce,
    taskQueue: ledgerQueue,
    summary: 'Ask who is to be told',
  });
  try {
    return await whoHears(asked);
  } catch (error) {
    if (isCancellation(error)) throw error;
    return undefined;
  }
}

/** What is told: the whole by mail, and a line to those who are paged. */
export interface Message {
  readonly mail: Parameters<NotifyActivities['mailReport']>[0];
  readonly page: string;
}

/** What became of a message: the mail's own answer, or, where no mail was to be sent, the page's. */
export interface Delivery extends Pick<MailReportResult, 'mailed' | 'finding'> {
  /** Whether somebody was paged. */
  readonly paged: boolean;
}

/**
 * Tells them: by mail and by page at the same time, neither of which waits for the other. Where the contacts have
 * webhooks only and none of them took it, `MAIL_TO` is told. Throws only when it is cancelled.
 *
 * @param pages false: who is to be paged was
 */
export async function deliver(
  notify: NotifyActivities,
  { mail, page: text }: Message,
  told: Told | undefined,
  pages = true,
): Promise<Delivery> {
  const { addresses = [], webhooks = [], nextInMs } = told ?? {};
  const paging = webhooks.length > 0 && pages ? page() : undefined;
  if (addresses.length > 0 || webhooks.length === 0) {
    // Without contacts it is whoever `MAIL_TO` names where the mail is sent.
    const isNamed = nextInMs !== undefined && addresses.length > 0;
    const [sent, paged] = await Promise.all([send(isNamed ? { ...mail, to: addresses } : mail), paging]);
    return { ...sent, paged: paged?.paged ?? false };
  }
  const paged = await paging;
  return paged?.paged ? { mailed: true, ...paged } : { ...(await send(mail)), paged: false };

  async function send(given: Message['mail']): Promise<MailReportResult> {
    try {
      return await notify.mailReport(given);
    } catch (error) {
      if (isCancellation(error)) throw error;
      return { mailed: false, finding: { check: 'Mail', verdict: 'failed', summary: failureOf(error).message } };
    }
  }

  async function page(): Promise<PageResult | undefined> {
    try {
      return await notify.page({ text, webhooks });
    } catch (error) {
      if (isCancellation(error)) throw error;
      return undefined;
    }
  }
}

/** At which level a message is told, for its subject. */
export function levelText(told: Told | undefined): string {
  if (told?.nextInMs === undefined) return '';
  return told.level === 'all' ? ' (all contacts)' : ` (level ${told.level})`;
}
