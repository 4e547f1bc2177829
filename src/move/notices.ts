import { WorkflowNotFoundError } from '@temporalio/client';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import type { Notices } from '../operations/notice.ts';
import { readNotices, watchOptions } from '../runs/watch.ts';
import { watchId } from '../workflows/lib/messages.ts';
import type { ServerStore } from './store.ts';

const file = 'notices.json';
/** What the watch wrote of itself: it goes back into the same workflow. */
const content = z.looseObject({ pending: z.array(z.looseObject({})), dropped: z.int(), mailed: z.int() });

/** What could not be mailed yet. What was told of runs of the old server needs nobody's memory: the new one has none of them. */
export const noticeStore: ServerStore = {
  name: 'notices',
  keptBy: 'server',

  async export({ client }, into) {
    const notices = await readNotices(client);
    if (notices === 'silent') {
      throw new ServiceError({
        code: 'unavailable',
        message: 'No worker answers, so that it is not known which notices could not be mailed',
        remedy: 'Start the service, then export again. Or leave them behind: --skip notices',
      });
    }
    const kept: Notices = notices === 'absent' ? { pending: [], dropped: 0, mailed: 0 } : notices;
    into.write(file, kept);
    return { text: `${kept.pending.length + kept.dropped} notices that wait to be mailed` };
  },

  async import({ client, dryRun }, from) {
    const notices = from.read(file, content) as unknown as Notices;
    const waiting = notices.pending.length + notices.dropped;
    const text = `${waiting} notices that wait to be mailed`;
    if (dryRun) return { text };
    if (await isThere()) {
      const lost = `A watch runs on the new server already, so that the ${waiting} notices that waited were not brought; they stand in ${from.path}.`;
      return { text, remarks: waiting > 0 ? [lost] : [] };
    }
    await client.workflow.start('watchRuns', { ...watchOptions, args: [{ ...notices, since: Date.now() }] });
    return { text };

    async function isThere(): Promise<boolean> {
      try {
        return (await client.workflow.getHandle(watchId).describe()).status.name === 'RUNNING';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    }
  },
};
