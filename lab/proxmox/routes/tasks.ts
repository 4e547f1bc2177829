import type { Permissions } from '../access.ts';
import { type Answer, forbidden, invalidParameters } from '../answer.ts';
import type { Parameters } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import type { Caller, SimulatedTask } from '../state.ts';
import { type ParsedUpid, parseUpid } from '../tasks.ts';

export const taskRoutes: readonly Route[] = [
  { method: 'GET', path: '/nodes/{node}/tasks', handle: listTasks },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks/{upid}',
    handle: () => ({ data: [{ name: 'log' }, { name: 'status' }] }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks/{upid}/status',
    handle: (call) => {
      const task = existing(call, 'Sys.Audit');
      const ended =
        task.exitstatus === undefined ? { status: 'running' } : { status: 'stopped', exitstatus: task.exitstatus };
      return { data: { ...publicTask(task), ...ended } };
    },
  },
  { method: 'GET', path: '/nodes/{node}/tasks/{upid}/log', handle: readLog },
  {
    method: 'DELETE',
    path: '/nodes/{node}/tasks/{upid}',
    handle: async (call) => {
      await call.tasks.abort(existing(call, 'Sys.Modify').upid);
      return { data: null };
    },
  },
];

/** The fields that every list of tasks shares. */
export function publicTask(task: SimulatedTask) {
  const { upid, node, pid, pstart, starttime, type, id, user, token } = task;
  return { upid, node, pid, pstart, starttime, type, id, user, ...(token === undefined ? {} : { tokenid: token }) };
}

/** A user's own tasks include those of their API tokens; an API token's are only its own. */
export function maySee(task: SimulatedTask, caller: Caller, permissions: Permissions): boolean {
  return owns(task, caller) || permissions.has(`/nodes/${task.node}`, 'Sys.Audit');
}

function owns(task: { readonly user: string; readonly token?: string }, caller: Caller): boolean {
  return task.user === caller.user && (caller.token === undefined || caller.token === task.token);
}

function listTasks({ state, caller, permissions, parameters }: Call): Answer {
  const source = parameters.source ?? 'archive';
  const entries = [...state.tasks.values()]
    .filter((task) => task.node === parameters.node && maySee(task, caller, permissions))
    .filter((task) => source === 'all' || (task.endtime === undefined) === (source === 'active'))
    .filter((task) => passes(task, parameters))
    .reverse();
  const start = Number(parameters.start ?? 0);
  const page = entries.slice(start, start + Number(parameters.limit ?? 50));
  return { total: entries.length, data: page.map(listEntry) };
}

function listEntry(task: SimulatedTask) {
  const shown = publicTask(task);
  if (task.endtime !== undefined) return { ...shown, endtime: task.endtime, status: task.exitstatus };
  // An active task isn't split into user and token here, unlike everywhere else.
  const { tokenid, ...rest } = shown;
  return {
    ...rest,
    user: tokenid === undefined ? rest.user : `${rest.user}!${tokenid}`,
    saved: '0',
    status: 'RUNNING',
  };
}

function passes(task: SimulatedTask, wanted: Parameters): boolean {
  if (wanted.errors && (task.exitstatus ?? 'OK') === 'OK') return false;
  if (wanted.typefilter !== undefined && task.type !== wanted.typefilter) return false;
  if (wanted.vmid !== undefined && task.id !== String(wanted.vmid)) return false;
  if (wanted.userfilter !== undefined && !task.user.includes(String(wanted.userfilter))) return false;
  if (wanted.since !== undefined && task.starttime < Number(wanted.since)) return false;
  if (wanted.until !== undefined && task.starttime > Number(wanted.until)) return false;
  if (wanted.statusfilter === undefined) return true;
  return String(wanted.statusfilter)
    .split(/[,;\s]+/)
    .includes(statusKind(task.exitstatus));
}

function statusKind(exitstatus: string | undefined): string {
  if (exitstatus === undefined || exitstatus === 'unexpected status') return 'unknown';
  if (exitstatus === 'OK') return 'ok';
  return exitstatus.startsWith('WARNINGS: ') ? 'warning' : 'error';
}

function readLog(call: Call): Answer {
  const upid = parsed(call);
  permit(call, upid, 'Sys.Audit');
  const task = call.state.tasks.get(String(call.parameters.upid));
  // A task that isn't there, or not on this node, is a line of the log and no error.
  const here =
    task !== undefined && task.node === call.parameters.node
      ? task.log
      : ['unable to open file - No such file or directory'];
  if (call.parameters.download) {
    const when = new Date(upid.starttime * 1000).toISOString().replace('.000', '');
    return {
      data: null,
      download: { filename: `task-${upid.node}-${upid.type}-${when}.log`, body: `${here.join('\n')}\n` },
    };
  }
  const start = Number(call.parameters.start ?? 0);
  const limit = Number(call.parameters.limit ?? 50);
  const lines = here.map((t, index) => ({ n: index + 1, t }));
  return { total: here.length, data: lines.slice(start, limit === 0 ? undefined : start + limit) };
}

function existing(call: Call, privilege: string): SimulatedTask {
  permit(call, parsed(call), privilege);
  const task = call.state.tasks.get(String(call.parameters.upid));
  if (task === undefined || task.node !== call.parameters.node) throw invalidParameters({ upid: 'no such task' });
  return task;
}

function parsed(call: Call): ParsedUpid {
  const upid = parseUpid(String(call.parameters.upid));
  if (!upid) throw invalidParameters({ upid: 'unable to parse worker upid' });
  return upid;
}

function permit(call: Call, task: ParsedUpid, privilege: string): void {
  const path = `/nodes/${call.parameters.node}`;
  if (!owns(task, call.caller) && !call.permissions.has(path, privilege)) throw forbidden(path, [privilege]);
}
