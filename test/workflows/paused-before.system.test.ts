import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, expect, it } from 'vitest';
import { bundle } from '../support/temporal.ts';

// Runs of the fixtures that were paused before a run told its memo what it asks, mailed beside its waiting, and took its
// locks again by itself; recorded with the workflows of then.
let code: string;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  ({ code } = await bundle(join(import.meta.dirname, 'fixtures/workflows.ts')));
}, 120_000);

interface History {
  readonly events: readonly Record<string, unknown>[];
}

function read(name: string): History {
  return JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/histories/${name}.json`), 'utf8'));
}

function replay({ events }: History, name: string): Promise<void> {
  return Worker.runReplayHistory({ workflowBundle: { code } }, historyFromJSON({ events }), name);
}

it.each(['paused-undo', 'paused-question'])('%s goes on with today’s workflows', (name) => replay(read(name), name));

it.each(['paused-undo', 'paused-question'])('%s: as well while it still waits', async (name) => {
  const { events } = read(name);
  const answered = events.findIndex((event) => 'workflowExecutionUpdateAcceptedEventAttributes' in event);
  expect(answered).toBeGreaterThan(10);
  // As it was when the mail had been sent and nobody had answered: up to the end of a workflow task.
  const before = events.slice(0, answered).findLastIndex((event) => 'workflowTaskCompletedEventAttributes' in event);
  await replay({ events: events.slice(0, before + 1) }, name);
});
