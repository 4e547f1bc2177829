import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificate } from '../proxmox/certificate.ts';

// The few paths of a Proxmox Backup Server that this service uses. NOT RECORDED from a running one: their shapes are those of its
// published sources (proxmox-backup, src/api2), so a test here proves what this service makes of them, and not that a server says so.

/** A snapshot as the server lists it. */
export interface StoredSnapshot {
  readonly type: 'vm' | 'ct' | 'host';
  readonly id: string;
  /** Unix seconds. */
  readonly time: number;
  readonly ns?: string;
  readonly size?: number;
  protected?: boolean;
  verification?: 'ok' | 'failed';
  readonly comment?: string;
  /** It is being written, or was cut off. */
  readonly isUnfinished?: true;
  /** Of the task that has verified it. */
  upid?: string;
}

export interface StoredJob {
  readonly kind: 'verify' | 'prune' | 'sync';
  readonly id: string;
  readonly store: string;
  readonly [option: string]: unknown;
}

interface StoredTask {
  readonly upid: string;
  readonly type: string;
  readonly id: string;
  readonly starttime: number;
  endtime?: number;
  status?: string;
  readonly log: string[];
}

export interface BackupServerState {
  /** Without it the token sees only its own tasks. */
  mayAudit: boolean;
  /** A server before 3.3 has no jobs that push, and refuses to be asked for them. */
  knowsPush: boolean;
  readonly stores: Map<string, { total: number; used: number; fullAt?: number; garbage: Record<string, unknown> }>;
  readonly snapshots: Map<string, StoredSnapshot[]>;
  readonly jobs: StoredJob[];
  readonly tasks: StoredTask[];
  /** How long a task takes. Default 20 ms. */
  taskMs: number;
  /** What a task of that type does beside, or instead: `silent` ends with OK and does nothing. */
  readonly faults: Map<string, { silent?: true; ends?: string; log?: readonly string[]; damages?: readonly string[] }>;
  /** Paths that are answered with nothing at all, so many times, after they were done. */
  readonly lostAnswers: Map<string, number>;
}

export interface BackupServerSimulator {
  readonly host: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly token: { readonly user: string; readonly name: string; readonly secret: string };
  readonly state: BackupServerState;
  /** `POST /admin/datastore/main/gc`, in order. */
  readonly writes: readonly string[];
  close(): Promise<void>;
}

const now = () => Math.floor(Date.now() / 1000);

export async function createBackupServerSimulator(): Promise<BackupServerSimulator> {
  const { key, certificate, fingerprint } = await makeCertificate('pbs', ['127.0.0.1']);
  const token = { user: 'mcp@pbs', name: 'service', secret: randomUUID() };
  const state: BackupServerState = {
    mayAudit: true,
    knowsPush: true,
    stores: new Map([['main', { total: 2 ** 40, used: 2 ** 39, garbage: { 'pending-bytes': 2 ** 30 } }]]),
    snapshots: new Map([['main', []]]),
    jobs: [],
    tasks: [],
    taskMs: 20,
    faults: new Map(),
    lostAnswers: new Map(),
  };
  const writes: string[] = [];
  const server = createServer({ key, cert: certificate }, async (request, response) => {
    const url = new URL(request.url ?? '/', 'https://pbs');
    const path = decodeURIComponent(url.pathname).replace(/^\/api2\/json/, '');
    const { method = 'GET' } = request;
    // A colon: with `=`, as Proxmox VE has it, it is no token at all.
    if (request.headers.authorization !== `PBSAPIToken=${token.user}!${token.name}:${token.secret}`) {
      return send(response, 401, undefined, 'permission check failed');
    }
    const given = Object.fromEntries(method === 'GET' ? url.searchParams : new URLSearchParams(await bodyOf(request)));
    const isOnlyAsking = given['dry-run'] === '1';
    if (method !== 'GET' && !isOnlyAsking) writes.push(`${method} ${path}`);
    const answer = answerTo(state, { method, path, given, user: `${token.user}!${token.name}` });
    const left = state.lostAnswers.get(path) ?? 0;
    if (left > 0) {
      state.lostAnswers.set(path, left - 1);
      request.socket.destroy();
      return;
    }
    if (answer === undefined) send(response, 404, undefined, `Path '${path}' not found.`);
    else if ('error' in answer) send(response, 400, undefined, answer.error);
    else send(response, 200, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    fingerprint,
    token,
    state,
    writes,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly given: Readonly<Record<string, string>>;
  readonly user: string;
}
type Answer = { readonly data: unknown; readonly total?: number } | { readonly error: string } | undefined;

function answerTo(state: BackupServerState, asked: Asked): Answer {
  const { method, path, given } = asked;
  if (method === 'GET' && path === '/version') return { data: { version: '4.0', release: '11', repoid: 'simulated' } };
  if (method === 'GET' && path === '/nodes/localhost/time') return { data: { time: now(), timezone: 'UTC' } };
  if (method === 'GET' && path === '/status/datastore-usage') {
    return {
      data: [...state.stores].map(([store, { total, used, fullAt, garbage }]) => ({
        store,
        total,
        used,
        avail: total - used,
        ...(fullAt !== undefined && { 'estimated-full-date': fullAt }),
        'gc-status': garbage,
      })),
    };
  }
  const [, kind] = /^\/admin\/(verify|prune|sync)$/.exec(path) ?? [];
  if (kind !== undefined) {
    const direction = given['sync-direction'];
    if (direction !== undefined && (kind !== 'sync' || !state.knowsPush))
      return { error: 'parameter verification failed: schema does not allow additional properties' };
    const isWanted = (job: StoredJob) =>
      kind !== 'sync' || direction === 'all' || (job['sync-direction'] ?? 'pull') === (direction ?? 'pull');
    return {
      data: state.jobs.filter((job) => job.kind === kind && isWanted(job)).map(({ kind: _, ...job }) => job),
    };
  }
  if (method === 'GET' && path === '/access/permissions')
    return {
      data: { '/datastore': { 'Datastore.Audit': true }, '/system/tasks': state.mayAudit ? { 'Sys.Audit': true } : {} },
    };
  const [, runKind, runId] = /^\/admin\/(verify|prune|sync)\/([^/]+)\/run$/.exec(path) ?? [];
  if (runKind !== undefined) {
    const job = state.jobs.find((one) => one.kind === runKind && one.id === runId);
    if (job === undefined) return { error: `no such ${runKind} job '${runId}'` };
    const type = { verify: 'verificationjob', prune: 'prunejob', sync: 'syncjob' }[runKind] ?? '';
    const options = Object.fromEntries(Object.entries(job).map(([name, value]) => [name, String(value)]));
    return { data: start(state, asked, { type, store: job.store, id: jobTaskId(job), options }) };
  }
  const [, store = '', what = ''] = /^\/admin\/datastore\/([^/]+)\/([a-z-]+)$/.exec(path) ?? [];
  if (store !== '') return ofStore(state, asked, store, what);
  const [, upid, part] = /^\/nodes\/[^/]+\/tasks\/(UPID:[^/]+?)(?:\/(status|log))?$/.exec(path) ?? [];
  if (upid !== undefined) return ofTask(state, upid, part, method, given);
  if (/^\/nodes\/[^/]+\/tasks$/.test(path)) {
    const known = ['limit', 'start', 'errors', 'running', 'since'];
    const unknown = Object.keys(given).find((name) => !known.includes(name));
    if (unknown !== undefined) return { error: `${unknown}: schema does not allow additional properties` };
    const listed = state.tasks
      // What runs is no success, so it is among the errors.
      .filter(({ status }) => given.errors !== '1' || status !== 'OK')
      .filter(({ starttime }) => starttime >= Number(given.since ?? 0))
      .filter(({ upid }) => state.mayAudit || upid.endsWith(`:${asked.user}:`))
      .toReversed()
      .slice(0, Number(given.limit ?? 50));
    return {
      data: listed.map(({ log: _, type, id, ...one }) => ({
        ...one,
        node: 'pbs',
        user: asked.user,
        worker_type: type,
        worker_id: id,
      })),
    };
  }
  return undefined;
}

function ofStore(state: BackupServerState, asked: Asked, store: string, what: string): Answer {
  const { method, given } = asked;
  const all = state.snapshots.get(store);
  const about = state.stores.get(store);
  if (all === undefined || about === undefined) return { error: `no such datastore '${store}'` };
  const ns = given.ns ?? '';
  const listed = all.filter((one) => (one.ns ?? '') === ns);
  if (method === 'GET' && what === 'namespace') {
    return { data: [...new Set(['', ...all.map((one) => one.ns ?? '')])].map((name) => ({ ns: name })) };
  }
  if (method === 'GET' && what === 'snapshots') return { data: listed.map(shown) };
  if (method === 'GET' && what === 'gc') return { data: { ...about.garbage } };
  if (method !== 'POST') return undefined;
  if (what === 'prune') {
    const group = listed.filter((one) => one.type === given['backup-type'] && one.id === given['backup-id']);
    return { data: marked(group, given).map(({ one, keep }) => ({ ...shown(one), keep })) };
  }
  const types: Readonly<Record<string, string>> = {
    gc: 'garbage_collection',
    verify: 'verify',
    'prune-datastore': 'prune',
  };
  const type = types[what];
  if (type === undefined) return undefined;
  const ids: Readonly<Record<string, string>> = {
    gc: store,
    verify: ns === '' ? store : `${store}:ns/${ns.replaceAll('/', '/ns/')}`,
    'prune-datastore': `${store}:${ns}`,
  };
  return { data: start(state, asked, { type, store, id: ids[what] ?? store, options: given }) };
}

function ofTask(
  state: BackupServerState,
  upid: string,
  part: string | undefined,
  method: string,
  given: Readonly<Record<string, string>>,
): Answer {
  const task = state.tasks.find((one) => one.upid === upid);
  if (task === undefined) return { error: 'no such task' };
  const { type, id, starttime, status, log } = task;
  if (method === 'DELETE') {
    task.endtime ??= now();
    task.status ??= 'abort requested - aborting task';
    return { data: null };
  }
  if (part === 'log') {
    const from = Number(given.start ?? 0);
    const lines = log.map((t, index) => ({ n: index + 1, t })).slice(from, from + Number(given.limit ?? 50));
    return { data: lines, total: log.length };
  }
  const ended = status === undefined ? { status: 'running' } : { status: 'stopped', exitstatus: status };
  return {
    data: { upid, node: 'pbs', pid: 1, pstart: 1, starttime, type, id, user: 'mcp@pbs', tokenid: 'service', ...ended },
  };
}

/** What the task of a job works on, in the words of each. */
function jobTaskId({ kind, id, store, ns = '', remote = '-', 'remote-store': from = '' }: StoredJob): string {
  if (kind === 'verify') return `${store}:${id}`;
  if (kind === 'prune') return ns === '' ? store : `${store}:${ns}`;
  return `${remote}:${from}:${store}:${ns}:${id}`;
}

/** An id within a UPID is escaped as the name of a unit of systemd is. */
export function escapeUnit(text: string): string {
  return [...new TextEncoder().encode(text)]
    .map((byte, at) => {
      const letter = String.fromCharCode(byte);
      if (letter === '/') return '-';
      if (/[A-Za-z0-9_]/.test(letter) || (letter === '.' && at > 0)) return letter;
      return `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

let count = 0;

function start(
  state: BackupServerState,
  { user }: Asked,
  { type, store, id, options }: { type: string; store: string; id: string; options: Readonly<Record<string, string>> },
): string {
  count += 1;
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  const starttime = now();
  const upid = `UPID:pbs:${hex(700)}:${hex(900)}:${hex(count)}:${hex(starttime)}:${type}:${escapeUnit(id)}:${user}:`;
  const task: StoredTask = { upid, type, id, starttime, log: [`starting ${type} on ${store}`] };
  state.tasks.push(task);
  const fault = state.faults.get(type) ?? {};
  void sleep(state.taskMs).then(() => {
    if (task.status !== undefined) return;
    task.log.push(...(fault.log ?? []));
    const ended =
      !fault.silent && (fault.ends === undefined || fault.ends.startsWith('WARNINGS'))
        ? work(state, store, task, options)
        : undefined;
    task.status = fault.ends ?? ended ?? 'OK';
    task.endtime = now();
    const job = fault.silent ? undefined : state.jobs.find((one) => one.id === options.id && one.kind === options.kind);
    if (job) Object.assign(job, { 'last-run-upid': upid, 'last-run-state': task.status, 'last-run-endtime': now() });
    task.log.push(`TASK ${task.status === 'OK' || task.status.startsWith('WARN') ? '' : 'ERROR: '}${task.status}`);
  });
  return upid;
}

function work(
  state: BackupServerState,
  store: string,
  task: StoredTask,
  options: Readonly<Record<string, string>>,
): string | undefined {
  const all = state.snapshots.get(store) ?? [];
  const about = state.stores.get(store);
  if (task.type === 'garbage_collection' && about) {
    const freed = Number(about.garbage['pending-bytes'] ?? 0);
    about.used -= freed;
    about.garbage = { upid: task.upid, 'removed-bytes': freed, 'pending-bytes': 0 };
  }
  if (task.type.startsWith('verif')) {
    const { damages = [] } = state.faults.get(task.type) ?? {};
    const ns = options.ns ?? '';
    const below = all.filter((one) => {
      const own = one.ns ?? '';
      if (own === ns) return true;
      return options['max-depth'] !== '0' && (ns === '' || own.startsWith(`${ns}/`));
    });
    const ignores = !['0', 'false'].includes(options['ignore-verified'] ?? '1');
    const age = Number(options['outdated-after'] ?? Number.POSITIVE_INFINITY);
    const isOld = ({ upid }: StoredSnapshot) => (now() - startOf(upid ?? longAgo)) / 86_400 > age;
    const due = below.filter((one) => !one.isUnfinished && !(ignores && one.verification && !isOld(one)));
    for (const one of due) {
      one.verification = damages.includes(one.id) ? 'failed' : 'ok';
      one.upid = task.upid;
    }
    const failed = due.filter(({ verification }) => verification === 'failed');
    if (failed.length > 0) {
      task.log.push('Failed to verify the following snapshots/groups:');
      for (const one of failed) task.log.push(`\t${one.type}/${one.id}`);
      return 'verification failed - please check the log for details';
    }
  }
  if (task.type.startsWith('prune')) {
    const groups = new Set(all.map(({ type, id, ns }) => `${type}/${id}/${ns ?? ''}`));
    for (const group of groups) {
      const own = all.filter(
        ({ type, id, ns }) => `${type}/${id}/${ns ?? ''}` === group && (ns ?? '') === (options.ns ?? ''),
      );
      for (const { one, keep } of marked(own, options)) if (!keep) all.splice(all.indexOf(one), 1);
    }
  }
  return undefined;
}

/** The task of the verification of which nobody said when it was. */
const longAgo = `UPID:pbs:000002BC:00000384:00000000:${Math.floor(Date.UTC(2026, 9, 1) / 1000)
  .toString(16)
  .toUpperCase()}:verify:main:root@pam:`;

const startOf = (upid: string) => Number.parseInt(upid.split(':')[5] ?? '', 16);

/** What pruning would keep: only the newest so many, which is all that tests need. */
function marked(group: readonly StoredSnapshot[], options: Readonly<Record<string, string>>) {
  const last = Number(options['keep-last'] ?? 0);
  let seen = 0;
  return group
    .toSorted((a, b) => b.time - a.time)
    .map((one) => {
      if (one.protected) return { one, keep: true };
      seen += 1;
      return { one, keep: last === 0 || seen <= last };
    });
}

function shown({
  type,
  id,
  time,
  size = 2 ** 30,
  protected: kept = false,
  verification,
  upid,
  comment,
  isUnfinished,
}: StoredSnapshot) {
  return {
    'backup-type': type,
    'backup-id': id,
    'backup-time': time,
    ...(isUnfinished ? {} : { size }),
    owner: 'mcp@pbs!service',
    protected: kept,
    ...(comment === undefined ? {} : { comment }),
    ...(verification === undefined ? {} : { verification: { state: verification, upid: upid ?? longAgo } }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  return await text(request);
}

function send(response: ServerResponse, status: number, answer: object | undefined, reason = 'OK'): void {
  response.writeHead(status, reason, {
    'content-type': answer === undefined ? 'text/plain' : 'application/json;charset=UTF-8',
  });
  response.end(answer === undefined ? reason : JSON.stringify(answer));
}
