import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** What can go wrong between a client and Proxmox, for tests and demonstrations. */
export type Fault =
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
    };

export interface FaultScope {
  /** Only requests whose path (as sent, with the query) matches. Default: all. */
  readonly path?: Pick<RegExp, 'test'>;
  /** Only this method. Default: all. */
  readonly method?: string;
  /** Only so many requests, then the fault is over. Default: until it is lifted. */
  readonly times?: number;
}

export interface Faults {
  /** Puts a fault in place; the function given back lifts it. */
  inject(fault: Fault, scope?: FaultScope): () => void;
  /** What is left to do with the request: nothing when a fault has answered (or swallowed) it. */
  apply(request: { readonly method: string; readonly url: string }, response: ServerResponse): Promise<Rest>;
}

export type Rest = 'answer' | 'lose-answer' | 'nothing';

export function createFaults(): Faults {
  const placed = new Set<{ readonly fault: Fault; readonly scope: FaultScope; left: number }>();
  return {
    inject(fault, scope = {}) {
      const entry = { fault, scope, left: scope.times ?? Number.POSITIVE_INFINITY };
      placed.add(entry);
      return () => placed.delete(entry);
    },
    async apply(request, response) {
      for (const entry of placed) {
        const { path, method } = entry.scope;
        if (entry.left <= 0 || (method && method !== request.method) || (path && !path.test(request.url))) continue;
        entry.left -= 1;
        const rest = await act(entry.fault, response);
        if (rest !== 'answer') return rest;
      }
      return 'answer';
    },
  };
}

async function act(fault: Fault, response: ServerResponse): Promise<Rest> {
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
    case 'answer':
      response.writeHead(fault.status, fault.reason ?? '', {
        ...(fault.contentType === undefined ? {} : { 'content-type': fault.contentType }),
      });
      response.end(fault.body ?? '');
      return 'nothing';
  }
}
