import { randomUUID } from 'node:crypto';
import { ServiceError } from '../../../../src/errors.ts';
import type { CallToolResultLike, McpTask, McpTaskSource } from '../../../../src/mcp/mcp-task.ts';

/** What the conformance suite's tasks do: an end after a while, or questions that must be answered first. */
export interface FixtureMcpTask {
  readonly afterMs: number;
  readonly questions?: Readonly<Record<string, unknown>>;
  readonly end: (
    answers: Readonly<Record<string, unknown>>,
  ) => Pick<McpTask, 'result' | 'error'> & { readonly status: 'completed' | 'failed' };
}

/** Tasks in memory, served by the same code as runs. */
export function fixtureMcpTasks(): McpTaskSource & { start(task: FixtureMcpTask): Promise<McpTask> } {
  const states = new Map<string, McpTask>();
  const pending = new Map<string, { task: FixtureMcpTask; answers: Record<string, unknown> }>();

  function change(id: string, next: Partial<McpTask>): void {
    const state = find(id);
    if (state.status === 'working' || state.status === 'input_required') {
      states.set(id, { ...state, ...next, lastUpdatedAt: new Date().toISOString() });
    }
  }

  function find(id: string): McpTask {
    const state = states.get(id);
    if (state !== undefined) return state;
    throw new ServiceError({ code: 'not-found', message: `There is no task ${id}`, remedy: 'Start one.' });
  }

  return {
    async start(task) {
      const taskId = randomUUID();
      const now = new Date().toISOString();
      const state: McpTask = {
        taskId,
        status: 'working',
        createdAt: now,
        lastUpdatedAt: now,
        ttlMs: 3_600_000,
        pollIntervalMs: 100,
      };
      states.set(taskId, state);
      if (task.questions === undefined) {
        setTimeout(() => change(taskId, task.end({})), task.afterMs).unref();
      } else {
        pending.set(taskId, { task, answers: {} });
        setTimeout(
          () => change(taskId, { status: 'input_required', inputRequests: task.questions ?? {} }),
          task.afterMs,
        ).unref();
      }
      return state;
    },
    get: async (id) => find(id),
    async cancel(id) {
      change(id, { status: 'cancelled' });
    },
    async update(id, responses) {
      const { inputRequests: asked = {} } = find(id);
      const entry = pending.get(id);
      if (entry === undefined) return;
      const left = { ...asked };
      for (const [key, response] of Object.entries(responses)) {
        if (!(key in left)) continue;
        entry.answers[key] = response;
        delete left[key];
      }
      if (Object.keys(left).length > 0) return change(id, { inputRequests: left });
      const { inputRequests: _answered, ...working } = find(id);
      states.set(id, { ...working, status: 'working' });
      setTimeout(() => change(id, entry.task.end(entry.answers)), 20).unref();
    },
  };
}

/** A text as a tool's result. */
export function text(value: string): CallToolResultLike {
  return { content: [{ type: 'text', text: value }] };
}
