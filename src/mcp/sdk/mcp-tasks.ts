import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  MissingRequiredClientCapabilityError,
  type Server,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Log } from '../../log.ts';
import type { McpTask, McpTaskSource } from '../mcp-task.ts';
import type { Caller } from '../scopes.ts';
import { guarded } from './errors.ts';

/** The extension of MCP tasks, by the name under which servers and clients declare it. */
export const mcpTasksExtension = 'io.modelcontextprotocol/tasks';

const taskId = z.object({ taskId: z.string().min(1).max(300) });

/** Whether this request's client declared the extension. Declared per request: clients' modes differ in it. */
export function takesMcpTasks(context: ServerContext): boolean {
  const envelope = context.mcpReq.envelope as Readonly<Record<string, unknown>> | undefined;
  const capabilities = envelope?.[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined;
  return capabilities?.extensions?.[mcpTasksExtension] !== undefined;
}

/** `-32021`: the request can't be served to a client that doesn't declare the extension. */
export function mcpTasksRequired(): MissingRequiredClientCapabilityError {
  return new MissingRequiredClientCapabilityError({
    requiredCapabilities: { extensions: { [mcpTasksExtension]: {} } },
  });
}

/** The answer of a `tools/call` that goes on as an MCP task. */
export function mcpTaskCreated(created: McpTask) {
  const { result: _result, error: _error, inputRequests: _requests, ...state } = created;
  // `content` belongs to the older shape of the answer, and the SDK asks for it; clients of MCP tasks look past it.
  return { ...state, resultType: 'task', content: [] as never[] };
}

/** Serves `tasks/get`, `tasks/update` and `tasks/cancel`. */
export function serveMcpTasks(
  server: Server,
  mcpTasks: McpTaskSource,
  whoCalls: (context: ServerContext) => Caller,
  log: Log,
): void {
  const requireExtension = (context: ServerContext) => {
    if (!takesMcpTasks(context)) throw mcpTasksRequired();
  };
  server.setRequestHandler('tasks/get', { params: taskId }, (params, context) =>
    guarded(log, async () => {
      requireExtension(context);
      return { ...(await mcpTasks.get(params.taskId, whoCalls(context))) };
    }),
  );
  server.setRequestHandler('tasks/update', { params: taskId }, (params, context) =>
    guarded(log, async () => {
      requireExtension(context);
      // The SDK takes the answers out of the parameters: they are the retry material of any other request.
      await mcpTasks.update(params.taskId, context.mcpReq.inputResponses ?? {}, whoCalls(context));
      return {};
    }),
  );
  server.setRequestHandler('tasks/cancel', { params: taskId }, (params, context) =>
    guarded(log, async () => {
      requireExtension(context);
      await mcpTasks.cancel(params.taskId, whoCalls(context));
      return {};
    }),
  );
}
