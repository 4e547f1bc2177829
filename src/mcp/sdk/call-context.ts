import type { ServerContext } from '@modelcontextprotocol/server';
import { parseTraceContext } from '../../trace-context.ts';
import type { ToolCall } from '../define-tool.ts';

/** Claude Code's number of a tool call, the same for every retry of it. */
const toolUseKey = 'claudecode/toolUseId';

/** The least that a progress value grows by, so that it grows even while a step goes on. */
const leastGrowth = 0.001;

/** The key that makes a retried call find the run of its first try, where the client gives one. */
export function idempotencyKey(context: ServerContext): Pick<ToolCall, 'idempotencyKey'> {
  const key = context.mcpReq._meta?.[toolUseKey];
  return typeof key === 'string' && key !== '' && key.length <= 200 ? { idempotencyKey: key } : {};
}

/**
 * The trace that a request belongs to: MCP's `_meta.traceparent` and `tracestate`, of this very call, or where there is none
 * the HTTP request's. See https://modelcontextprotocol.io/seps/414-request-meta.
 */
export function traceOf(context: ServerContext): Pick<ToolCall, 'trace'> {
  const { traceparent, tracestate } = context.mcpReq._meta ?? {};
  const headers = context.http?.req?.headers;
  const trace =
    parseTraceContext(traceparent, tracestate) ??
    parseTraceContext(headers?.get('traceparent'), headers?.get('tracestate'));
  return trace === undefined ? {} : { trace };
}

/**
 * How long a call may take about which its client hears nothing. On standard output only progress can be said, and only
 * to a client that asked for it; clients give up after a minute. Over HTTP the answer is kept alive.
 */
export function silence(context: ServerContext, silentMs: number): Pick<ToolCall, 'answerWithinMs'> {
  const heard = context.http !== undefined || context.mcpReq._meta?.progressToken !== undefined;
  return heard ? {} : { answerWithinMs: silentMs };
}

/** How a tool tells its client how far it is, where the client asked to be told. */
export function progress(context: ServerContext): Pick<ToolCall, 'progress'> {
  const progressToken = context.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return {};
  let last = -leastGrowth;
  return {
    progress(done, total, message) {
      // The protocol wants it to grow with every notice; undoing a step would let it shrink.
      last = Math.max(done, last + leastGrowth);
      const params = { progressToken, progress: last, total: Math.max(total, last), message };
      // A client that has gone away is told nothing; its call is cancelled by other means.
      context.mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
    },
  };
}
