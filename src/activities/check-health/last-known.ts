import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import { z } from 'zod';
import { backUp } from '../../operations/back-up.ts';
import { workflowType } from '../../operations/definition.ts';
import type { Finding } from '../../operations/finding.ts';
import { searchAttributes } from '../../operations/search-attributes.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableDuration, readableTime } from '../../reports/units.ts';
import { finding } from './finding.ts';
import { backupFailedHours, backupWarningHours } from './limits.ts';

/** Of which runs the results are read: the newest may have been plans, or have made what doesn't count. */
const lookedThrough = 10;
/** The report of a dead host doesn't wait for its history. */
const askMs = 5_000;

/** What of a back-up run's result says that there is a good archive. */
const made = z.object({
  report: z.object({ finishedAt: z.iso.datetime() }),
  output: z.object({ archive: z.object({ path: z.string(), counts: z.boolean() }).optional() }),
});

/** The last good backup of a host that can't be asked, as the service knows it from its own runs. */
export async function inspectLastKnown(
  client: Client,
  host: string,
  timeZone: string,
  now = Date.now(),
): Promise<Finding> {
  const { target, outcome } = searchAttributes;
  const query = `WorkflowType = '${workflowType(backUp.name)}' AND ${target} = '${host}' AND ${outcome} = 'done'`;
  const check = 'Last known good backup';
  try {
    return await client.withDeadline(Date.now() + askMs, async () => {
      let read = 0;
      for await (const { workflowId, runId } of client.workflow.list({ query, pageSize: lookedThrough })) {
        read += 1;
        if (read > lookedThrough) break;
        const result = made.safeParse(await client.workflow.getHandle(workflowId, runId).result());
        if (!result.success || result.data.output.archive?.counts !== true) continue;
        const { report, output } = result.data;
        return judgeLastKnown(cleanLine(output.archive?.path ?? '', 300), report.finishedAt, { host, timeZone, now });
      }
      return finding(check, 'unknown', `This service knows of no good backup of ${host}.`, {
        remedy: `Once it answers: npx proxmox-mcp back-up --host ${host}`,
      });
    });
  } catch {
    return finding(check, 'unknown', 'The runs of this service could not be asked for it.', {
      remedy: 'See whether its Temporal server is well: npx proxmox-mcp doctor',
    });
  }
}

export function judgeLastKnown(
  path: string,
  finishedAt: string,
  { host, timeZone, now }: { readonly host: string; readonly timeZone: string; readonly now: number },
): Finding {
  const ageMs = now - Date.parse(finishedAt);
  const hours = ageMs / 3_600_000;
  const verdict = hours >= backupFailedHours ? 'failed' : hours >= backupWarningHours ? 'warning' : 'ok';
  const summary = `As this service knows it, ${path} was published ${readableDuration(ageMs)} ago, ${readableTime(finishedAt, timeZone)}.`;
  return finding('Last known good backup', verdict, summary, {
    ...(verdict !== 'ok' && { remedy: `Once ${host} answers: npx proxmox-mcp back-up --host ${host}` }),
  });
}

/** Since when the service is to back a host up, in ms since 1970; undefined: it isn't, or nobody knows. */
export async function backedUpSince(client: Client, host: string): Promise<number | undefined> {
  try {
    return await client.withDeadline(Date.now() + askMs, async () => {
      const created = await Promise.all(
        // A schedule's id, as src/operations/definition.ts has it.
        backUp.schedules.map(({ id }) => createdAt(client, `${backUp.name}/${id}/${host}`)),
      );
      const known = created.filter((time) => time !== undefined);
      return known.length === 0 ? undefined : Math.min(...known);
    });
  } catch {
    return undefined;
  }
}

async function createdAt(client: Client, schedule: string): Promise<number | undefined> {
  try {
    return (await client.schedule.getHandle(schedule).describe()).info.createdAt.getTime();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}
