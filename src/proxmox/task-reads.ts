import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxClient, TaskFilter } from './client.ts';
import { age, type Listing, listing, offsetIn, type Page, type Reading, timeOf } from './listing.ts';
import { type ProxmoxTask, tasksSchema } from './schemas.ts';
import type { CallOptions } from './transport.ts';
import { parseUpid } from './upid.ts';

/** Longest line of a log. */
const longestLine = 500;

/** Which tasks. */
export interface WantedTasks {
  /** Of one node; default: the newest of the whole cluster. */
  readonly node?: string | undefined;
  readonly vmid?: number | undefined;
  /** `vzdump`, `qmstart` … */
  readonly type?: string | undefined;
  /** Only those that did not end with OK. */
  readonly errors?: boolean | undefined;
  /** Unix seconds. */
  readonly since?: number | undefined;
}

/** Tasks as a table; the newest first, as they came. */
export function shownTasks(tasks: readonly ProxmoxTask[]): Listing {
  return listing(tasks, {
    started: ({ starttime }) => timeOf(starttime),
    lasted: ({ starttime, endtime }) => (endtime === undefined ? 'running' : (age(endtime - starttime) ?? '0s')),
    type: ({ type }) => type,
    of: ({ id }) => id,
    node: ({ node }) => node,
    by: ({ user, tokenid }) => (tokenid === undefined ? user : `${user}!${tokenid}`),
    status: ({ status }) => status,
    upid: ({ upid }) => upid,
  });
}

/** The newest tasks of a node, or of the cluster, of which Proxmox keeps only the last few. */
export async function taskReading(
  client: ProxmoxClient,
  { node, vmid, type, errors, since }: WantedTasks,
  { limit, cursor }: Page,
  options: CallOptions,
): Promise<Reading> {
  const start = offsetIn(cursor);
  if (node === undefined) {
    const all = await client.read(tasksSchema, '/cluster/tasks', [], undefined, options);
    const kept = all.filter(
      (task) =>
        (vmid === undefined || task.id === String(vmid)) &&
        (type === undefined || task.type === type) &&
        (since === undefined || task.starttime >= since) &&
        (!errors || (task.endtime !== undefined && task.status !== 'OK')),
    );
    const shown = kept.toSorted((a, b) => b.starttime - a.starttime).slice(start, start + limit);
    return {
      ...shownTasks(shown),
      notes: ['Proxmox keeps only the newest few of each node in this list; tasks asks one node for all of its own.'],
      ...(start + shown.length < kept.length && { cursor: String(start + shown.length) }),
    };
  }
  const filter: TaskFilter = {
    // One more tells whether there are more.
    limit: limit + 1,
    start,
    source: 'all',
    ...(vmid !== undefined && { vmid }),
    ...(type !== undefined && { typefilter: type }),
    ...(errors !== undefined && { errors }),
    ...(since !== undefined && { since }),
  };
  const seen = await client.tasks(node, filter, options);
  return {
    ...shownTasks(seen.slice(0, limit)),
    ...(seen.length > limit && { cursor: String(start + limit) }),
  };
}

/** One task: how it stands, and the end of its log, or the page that a cursor names. */
export async function taskLogReading(
  client: ProxmoxClient,
  upid: string,
  { limit, cursor }: Page,
  options: CallOptions,
): Promise<Reading> {
  const task = parseUpid(upid);
  if (task === undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `of: ${JSON.stringify(cleanLine(upid, 120))} is not the id of a task`,
      remedy: 'Give the whole UPID as tasks lists it: UPID:node:…:user@realm:',
      details: { field: 'of' },
    });
  }
  const status = await client.taskStatus(upid, options);
  const first = await client.taskLog(upid, { start: 0, limit: 1 }, options);
  const start = cursor === undefined ? Math.max(0, first.total - limit) : offsetIn(cursor);
  const { lines, total } = await client.taskLog(upid, { start, limit }, options);
  const notes =
    start > 0 && cursor === undefined ? [`${start} lines before are not shown; cursor "0" begins with the first.`] : [];
  return {
    facts: {
      task: cleanLine(upid, 200),
      type: cleanLine(task.type, 60),
      of: cleanLine(task.id, 60),
      node: cleanLine(task.node, 60),
      by: cleanLine(task.user, 100),
      started: timeOf(task.startedAt),
      status: status.status,
      ...(status.exitstatus !== undefined && { exit: cleanLine(status.exitstatus, 300) }),
      lines: total,
    },
    lines: lines.map((line) => cleanLine(line, longestLine)),
    ...(notes.length > 0 && { notes }),
    ...(start + lines.length < total && { cursor: String(start + lines.length) }),
  };
}
