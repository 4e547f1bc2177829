import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Mailer } from '../../mail/mailer.ts';
import type { Finding } from '../../operations/finding.ts';
import { noticesFinding } from '../../reports/notices.ts';
import { noticesQuery, watchId } from '../../workflows/lib/messages.ts';
import { finding } from './finding.ts';

/** A worker answers, perhaps this one. */
const queryTimeoutMs = 5_000;
const check = 'Notices';

/** Whether failures of scheduled runs reach a person: what waits to be mailed, and why. */
export async function inspectNotices(client: Client, mailer: Mailer | undefined, timeZone: string): Promise<Finding> {
  if (mailer === undefined) {
    return finding(check, 'skipped', 'No mail server is set up, so failures of scheduled runs reach nobody.', {
      remedy: 'Set SMTP_HOST, MAIL_FROM and MAIL_TO in .env, and restart the service.',
    });
  }
  const restart = { remedy: 'Restart the service, whose worker starts it.' };
  try {
    const watch = client.workflow.getHandle(watchId);
    const { status } = await watch.describe();
    if (status.name !== 'RUNNING') return finding(check, 'failed', 'Nobody watches over the scheduled runs.', restart);
    const asked = client.withDeadline(Date.now() + queryTimeoutMs, () => watch.query(noticesQuery));
    return noticesFinding(await asked, timeZone);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) {
      return finding(check, 'failed', 'Nobody watches over the scheduled runs.', restart);
    }
    return finding(check, 'unknown', 'What waits to be mailed could not be asked.', {
      remedy: 'See: npx proxmox-mcp doctor',
      evidence: error instanceof Error ? error.message : String(error),
    });
  }
}
