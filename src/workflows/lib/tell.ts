import type { NotifyActivities } from '../../activities/notify/notify.ts';
import type { Report } from '../../operations/report.ts';
import { onService } from './activities.ts';

/**
 * Mails a report about a run that needs a person. A mail that can't be sent doesn't stop the run: its state is in the
 * Temporal UI, in lists and in the metrics, too.
 */
export async function tellAdministrators(mail: { readonly subject: string; readonly report: Report }): Promise<void> {
  try {
    await onService<NotifyActivities>('Tell the administrators').mailReport(mail);
  } catch {
    // Said above.
  }
}
