import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  MissingRequiredClientCapabilityError,
  type Server,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Log } from '../../log.ts';
import type { Caller } from '../scopes.ts';
import type { TaskSource, TaskState } from '../task-source.ts';
import { guarded } from './errors.ts';

/** The extension's name, where servers and clients declare it. */
export const tasksExtension = 'io.modelcontextprotocol/tasks';

const taskId = z.object({ taskId: z.string().min(1).max(300) });

/** Whether this request's client declared the tasks extension. Declared per request: clients' modes differ in it. */
export function takesTasks(context: ServerContext): boolean {
  const envelope = context.mcpReq.envelope as Readonly<Record<string, unknown>> | undefined;
  const capabilities = envelope?.[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined;
  return capabilities?.extensions?.[tasksExtension] !== undefined;
}

/** `-32021`: the request can't be served to a client that doesn't declare the tasks extension. */
export function tasksRequired(): MissingRequiredClientCapabilityError {
  return new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [tasksExtension]: {} } } });
}

/** The answer of a `tools/call` that goes on as a task. */
export function taskCreated(task: TaskState) {
  const { result: _result, error: _error, inputRequests: _requests, ...state } = task;
  // `content` belongs to the older shape of the answer, and the SDK asks for it; clients of tasks look past it.
  return { ...state, resultType: 'task', content: [] as never[] };
}

/** Serves `tasks/get`, `tasks/update` and `tasks/cancel`. */
export function serveTasks(
  server: Server,
  tasks: TaskSource,
  whoCalls: (context: ServerContext) => Caller,
  log: Log,
): void {
  const requireExtension = (context: ServerContext) => {
    if (!takesTasks(context)) throw tasksRequired();
  };
  server.setRequestHandler('tasks/get', { params: taskId }, (params, context) =>
    guarded(log, async () => {
      requireExtension(context);
      return { ...(await tasks.get(params.taskId, whoCalls(context))) };
    }),
  );
  server.setRequestHandler('tasks/update', { params: taskId }, (params, context) =>
    guarded(log, async () => {
      requireExtension(context);
      // The SDK takes the answers out of the parameters: they are the retry material of any other request.
      await tasks.update(params.taskId, context.mcpReq.inputResponses ?? {}, whoCalls(context));
      return {};
    }),
  );
  server.setRequestHandler('tasks/cancel', { params: taskId }, (params, context) =>
    guarded(log, async () => {
      requireExtension(context);
      await tasks.cancel(params.taskId, whoCalls(context));
      return {};
    }),
  );
}
