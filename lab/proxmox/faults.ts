import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SimulatorState } from './state.ts';

/** What can be made to go wrong, for tests and demonstrations, by name. */
export type Fault = WireFault | TaskFault | StateFault;

/** Between a client and Proxmox. */
export type WireFault =
  /** Answers rightly, but only after this long. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Answers rightly, but only when this has come about. */
  | { readonly kind: 'held'; readonly until: Promise<unknown> }
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Closes the connection instead of answering, with nothing done. */
  | { readonly kind: 'disconnect' }
  /** Does what is asked, and then closes the connection instead of answering. */
  | { readonly kind: 'lose-answer' }
  /** Any answer: garbage with status 200, a bare 595 or 596, a 500 … `reason` is the phrase of the status line. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly reason?: string;
      readonly contentType?: string;
      readonly body?: string;
    }
  /** A node behind the one that is asked doesn't answer: a bare 595 (or 596) with that reason. */
  | { readonly kind: 'unavailable'; readonly status?: 595 | 596; readonly reason?: string };

/** In what Proxmox does, and says of it. */
export type TaskFault =
  /** Says that it is done (its task ends with OK), and nothing is. */
  | { readonly kind: 'silent' }
  /** Ends with OK and has left a part out: a snapshot its memory, a clone or a new guest its disks. */
  | { readonly kind: 'without'; readonly part: 'ram' | 'disk' }
  /** Its task takes so much longer. */
  | { readonly kind: 'task-slow'; readonly delayMs: number }
  /** Its task never ends by itself, and holds the guest's lock file; before its work (default) or after it. */
  | { readonly kind: 'task-hangs'; readonly after?: 'nothing' | 'work' }
  /** Its task ends with that error, before its work (default) or after it. */
  | { readonly kind: 'task-fails'; readonly exitstatus: string; readonly after?: 'nothing' | 'work' }
  /** Its worker is killed: `unexpected status`, and the guest stays locked. */
  | { readonly kind: 'task-killed' };

/** In the cluster's state, as long as the fault is there. */
export type StateFault =
  /** The cluster's file system takes no change. */
  | { readonly kind: 'no-quorum' }
  /** There is no byte free any more. */
  | { readonly kind: 'full-storage'; readonly storage: string; readonly node?: string }
  /** When the call comes, the guest that its path names has just moved there. */
  | { readonly kind: 'moved'; readonly to: string };

/** The call that has started a task. */
export interface StartedBy {
  readonly method: string;
  /** `/nodes/{node}/qemu/{vmid}/snapshot` */
  readonly template: string;
}

export interface FaultScope {
  /** Only requests whose path (as sent, with the query) matches. Default: all. */
  readonly path?: Pick<RegExp, 'test'>;
  /** Only this method. Default: all. */
  readonly method?: string;
  /** Only calls of that path template: `/nodes/{node}/qemu/{vmid}/snapshot`. Default: all. */
  readonly template?: string;
  /** Only tasks of that type: `qmsnapshot`. Default: all. */
  readonly task?: string;
  /** Only about that guest. Default: all. */
  readonly vmid?: number;
  /** Only so many requests, then the fault is over. Default: until it is lifted. */
  readonly times?: number;
}

export interface Faults {
  /** Puts a fault in place; the function given back lifts it. */
  inject(fault: Fault, scope?: FaultScope): () => void;
  /** What is left to do with the request: nothing when a fault has answered (or swallowed) it. */
  apply(request: { readonly method: string; readonly url: string }, response: ServerResponse): Promise<Rest>;
  /** The faults of a task that starts. */
  ofTask(task: { readonly type: string; readonly id: string; readonly by?: StartedBy | undefined }): TaskFault[];
  /** Whether a call that starts no task says it is done, and isn't. */
  isSilent(call: StartedBy & { readonly vmid?: number }): boolean;
}

export type Rest = 'answer' | 'lose-answer' | 'nothing';

interface Entry {
  readonly fault: Fault;
  readonly scope: FaultScope;
  left: number;
}

const taskKinds = new Set<Fault['kind']>(['silent', 'without', 'task-slow', 'task-hangs', 'task-fails', 'task-killed']);

/** Of another node of the same cluster `first` is what the tasks of both look at. */
export function createFaults(state: SimulatorState, first?: Faults): Faults {
  const placed = new Set<Entry>();

  function ofUrl({ fault, scope, left }: Entry, method: string, url: string): boolean {
    if (left <= 0 || taskKinds.has(fault.kind) || (scope.method && scope.method !== method)) return false;
    const path = decodeURIComponent(url.split('?', 1)[0] ?? '').replace(/^\/api2\/[^/]*/, '');
    if (scope.template !== undefined && !fits(scope.template, path)) return false;
    if (scope.vmid !== undefined && !path.split('/').includes(String(scope.vmid))) return false;
    return !scope.path || scope.path.test(url);
  }

  function ofCall({ scope, left }: Entry, by: StartedBy | undefined, vmid: string): boolean {
    if (left <= 0 || (scope.vmid !== undefined && String(scope.vmid) !== vmid)) return false;
    if (scope.method !== undefined && scope.method !== by?.method) return false;
    return scope.template === undefined || scope.template === by?.template;
  }

  return {
    inject(fault, scope = {}) {
      if (first && taskKinds.has(fault.kind)) return first.inject(fault, scope);
      const entry = { fault, scope, left: scope.times ?? Number.POSITIVE_INFINITY };
      placed.add(entry);
      const mend = intoState(state, fault);
      return () => {
        placed.delete(entry);
        mend();
      };
    },
    async apply(request, response) {
      for (const entry of placed) {
        if (!ofUrl(entry, request.method, request.url)) continue;
        entry.left -= 1;
        const rest = await act(state, entry.fault, request.url, response);
        if (rest !== 'answer') return rest;
      }
      return 'answer';
    },
    ofTask({ type, id, by }) {
      const hit = [...placed].filter(
        (entry) => taskKinds.has(entry.fault.kind) && ofCall(entry, by, id) && (entry.scope.task ?? type) === type,
      );
      for (const entry of hit) entry.left -= 1;
      return hit.map(({ fault }) => fault as TaskFault);
    },
    isSilent({ method, template, vmid }) {
      if (first) return first.isSilent({ method, template, ...(vmid === undefined ? {} : { vmid }) });
      const hit = [...placed].find(
        (entry) =>
          entry.fault.kind === 'silent' &&
          entry.scope.task === undefined &&
          ofCall(entry, { method, template }, String(vmid ?? '')),
      );
      if (hit) hit.left -= 1;
      return hit !== undefined;
    },
  };
}

function fits(template: string, path: string): boolean {
  const pattern = template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+');
  return new RegExp(`^${pattern}/?$`).test(path);
}

/** Changes the cluster; the function given back puts it to what it was. */
function intoState(state: SimulatorState, fault: Fault): () => void {
  if (fault.kind === 'no-quorum') {
    const had = state.cluster.quorate;
    state.cluster.quorate = false;
    return () => {
      state.cluster.quorate = had;
    };
  }
  if (fault.kind !== 'full-storage') return () => undefined;
  const full = state.storages.filter(({ storage, node }) => storage === fault.storage && (fault.node ?? node) === node);
  const former = full.map(({ total }) => total);
  for (const storage of full) storage.total = storage.used;
  return () => {
    for (const [index, storage] of full.entries()) storage.total = former[index] ?? storage.total;
  };
}

async function act(state: SimulatorState, fault: Fault, url: string, response: ServerResponse): Promise<Rest> {
  switch (fault.kind) {
    case 'slow':
      await sleep(fault.delayMs);
      return 'answer';
    case 'held':
      await fault.until;
      return 'answer';
    case 'hang':
      return 'nothing';
    case 'disconnect':
      response.socket?.destroy();
      return 'nothing';
    case 'lose-answer':
      return 'lose-answer';
    case 'unavailable':
      response.writeHead(fault.status ?? 595, fault.reason ?? 'Connection refused');
      response.end();
      return 'nothing';
    case 'moved': {
      const vmid = Number(/\/(?:qemu|lxc)\/(\d+)/.exec(url)?.[1]);
      const guest = state.guests.get(vmid);
      if (guest) guest.node = fault.to;
      return 'answer';
    }
    case 'answer':
      response.writeHead(fault.status, fault.reason ?? '', {
        ...(fault.contentType === undefined ? {} : { 'content-type': fault.contentType }),
      });
      response.end(fault.body ?? '');
      return 'nothing';
    default:
      return 'answer';
  }
}
