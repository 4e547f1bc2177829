import { join } from 'node:path';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { Progress, RunResult } from '../../src/operations/run.ts';
import { decideSignal, decideUpdate, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { FixtureActivities } from './fixtures/workflows.ts';

const temporal = useTemporal();
let left = 'as it was';
let mails: { subject: string; remedy: string }[] = [];

beforeAll(async () => {
  const activities: FixtureActivities = { act: async () => {}, undo: async () => {}, look: async () => left };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, 'fixtures/workflows.ts')),
    activities: {
      ...activities,
      ...createLockActivities({ client: temporal.client }),
      async mailReport({
        subject,
        report,
      }: {
        subject: string;
        report: { sections: { findings: { remedy: string }[] }[] };
      }) {
        mails.push({ subject, remedy: report.sections[0]?.findings[0]?.remedy ?? '' });
        return { mailed: true };
      },
    },
  });
}, 600_000);

beforeEach(() => {
  left = 'as it was';
  mails = [];
});

let counter = 0;
async function startAsking(input: Record<string, unknown> = {}) {
  const handle = await temporal.client.workflow.start<
    (request: unknown) => Promise<RunResult<{ choice?: string; fences: number[] }>>
  >('askFixture', {
    workflowId: `ask-fixture/pve1/${counter++}`,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
  });
  await vi.waitFor(async () => expect((await handle.query<Progress>('progress')).question).toBeDefined(), 10_000);
  return handle;
}

it('shows what it asks, tells the administrators how to answer, and goes on with the answer', async () => {
  const handle = await startAsking();
  const { phase, question } = await handle.query<Progress>('progress');
  expect(phase).toBe('paused');
  expect(question).toMatchObject({
    id: 'q1',
    text: 'Which one?',
    kind: 'decision',
    choices: [
      { name: 'this', meaning: 'the first' },
      { name: 'that', meaning: 'the other' },
    ],
  });
  await vi.waitFor(() => expect(mails).toHaveLength(1), 5_000);
  expect(mails[0]?.subject).toBe('[pve1] Ask fixture pve1 is paused and needs you: Which one?');
  expect(mails[0]?.remedy).toContain(`npx proxmox-mcp runs decide ${handle.workflowId} that (the other)`);
  await handle.executeUpdate(decideUpdate, { args: [{ choice: 'that' }] });
  const { output } = await handle.result();
  expect(output.choice).toBe('that');
  expect(output.fences[1]).toBeGreaterThan(output.fences[0] ?? 0);
});

it("takes the Temporal UI's plain signal for an answer", async () => {
  const handle = await startAsking();
  await handle.signal(decideSignal, 'this');
  expect((await handle.result()).output.choice).toBe('this');
});

it('takes no answer until a time for a no', async () => {
  const handle = await startAsking({ untilMs: 1_500 });
  expect((await handle.query<Progress>('progress')).question?.until).toBeDefined();
  expect((await handle.result()).output.choice).toBeUndefined();
});

it('asks again, and says so, when what the answer rested on has changed', async () => {
  const handle = await startAsking();
  left = 'changed';
  await handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] });
  await vi.waitFor(async () => {
    const { question } = await handle.query<Progress>('progress');
    expect(question?.id).toBe('q2');
    expect(question?.text).toContain('the answer "this" was not followed');
  }, 10_000);
  await handle.executeUpdate(decideUpdate, { args: [{ choice: 'that' }] });
  expect((await handle.result()).output.choice).toBe('that');
});

it('refuses an answer that comes when nothing is asked', async () => {
  const handle = await startAsking();
  await handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] });
  await handle.result();
  await expect(handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] })).rejects.toThrow();
});
