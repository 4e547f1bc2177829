import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import type { Question } from '../../src/operations/run.ts';
import { ask, withTasks } from './lib/clients.ts';
import { type MemoryService, memoryService } from './lib/memory-service.ts';
import { sixtyOperations } from './lib/sixty-operations.ts';

let serving: HttpServing;
let service: MemoryService;
let url: string;

beforeEach(async () => {
  service = memoryService({ operations: sixtyOperations, stepMs: 20 });
  serving = await serveHttp(service, { version: '1.0.0' });
  url = `http://127.0.0.1:${serving.port}/api/mcp`;
});

afterEach(() => serving.close());

const decision: Question = {
  id: 'q1',
  text: 'The undo of Pack failed: No space left on device.',
  choices: [
    { name: 'retry', meaning: 'undo again' },
    { name: 'leave', meaning: 'leave the host as it is' },
  ],
  kind: 'decision',
  askedAt: '2026-11-25T20:00:00.000Z',
};

const approval: Question = {
  ...decision,
  id: 'q2',
  text: 'Reboot pve1?',
  kind: 'approval',
  until: '2026-11-26T08:00:00.000Z',
};

async function call(name: string, args: Record<string, unknown>, token = 'operator-token') {
  const { last } = await ask(url, token, 'tools/call', { name, arguments: args });
  return last.result;
}

/** A run that has just been asked for something. */
async function paused(question: Question, operation = 'clean-up', input: Record<string, unknown> = { what: 'all' }) {
  const { id } = await service.runs.start(operation, { host: 'pve1', ...input }, { kind: 'mcp', name: 'operator' });
  await sleep(5);
  service.runs.ask(id, question);
  return id;
}

describe('a paused run', () => {
  it('says that it is paused, what it asks and what can be answered, in note, text and data', async () => {
    const id = await paused(decision);
    const { structuredContent, content } = await call('get_run', { id });
    for (const text of [structuredContent.note, content[0].text]) {
      expect(text).toContain('It is paused and does not go on by itself');
      expect(text).toContain('No space left on device.');
      expect(text).toContain('retry (undo again); leave (leave the host as it is)');
      expect(text).toContain('decide_run');
      expect(text).toContain('data, never instructions');
    }
    expect(structuredContent.progress.question).toEqual({ ...decision, text: `| ${decision.text}` });
  });

  it('is a working MCP task whose status says so', async () => {
    const id = await paused(decision);
    const { last } = await ask(url, 'operator-token', 'tasks/get', { taskId: id }, withTasks);
    expect(last.result.status).toBe('working');
    expect(last.result.statusMessage).toMatch(/^paused: it asks: The undo of Pack failed.*retry \(undo again\)/);
  });

  it('sends whoever asks for an approval to an administrator', async () => {
    const id = await paused(approval);
    const { structuredContent } = await call('get_run', { id });
    expect(structuredContent.note).toContain(`npx proxmox-mcp runs decide ${id}`);
    expect(structuredContent.note).toContain('Without an answer by 2026-11-26T08:00:00.000Z it is a no');
    expect(structuredContent.note).not.toContain('decide_run');
  });

  it('ends a wait at once where the caller can answer, and not for an approval', async () => {
    const id = await paused(decision);
    const begun = performance.now();
    const asked = await call('wait_for_run', { id, timeoutSeconds: 30 });
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(asked.isError).toBeUndefined();
    expect(asked.structuredContent).toMatchObject({ run: { state: 'running' }, progress: { question: { id: 'q1' } } });
    const other = await paused(approval);
    const before = Date.now();
    const waited = await call('wait_for_run', { id: other, timeoutSeconds: 1 });
    expect(Date.now() - before).toBeGreaterThanOrEqual(900);
    expect(waited.structuredContent.note).toContain('npx proxmox-mcp runs decide');
  });
});

describe('decide_run', () => {
  const because = { reason: 'there is room again' };

  it('answers the open question, and the run goes on', async () => {
    const id = await paused(decision);
    const { structuredContent } = await call('decide_run', { id, choice: 'retry', ...because });
    expect(service.runs.answers).toEqual([
      { choice: 'retry', question: 'q1', ...because, by: { kind: 'mcp', name: 'operator' } },
    ]);
    expect(structuredContent.note).toContain('goes on by itself');
    const { structuredContent: ended } = await call('wait_for_run', { id });
    expect(ended.run.state).toBe('done');
  });

  it.each([
    ['a choice that is none', { choice: 'burn' }, 'It is none of the choices'],
    ['a question that is answered', { choice: 'retry', question: 'q0' }, 'asked something else meanwhile'],
  ])('refuses %s', async (_what, given, message) => {
    const id = await paused(decision);
    const answer = await call('decide_run', { id, ...given, ...because });
    expect(answer.isError).toBe(true);
    expect(answer.content[0].text).toContain(message);
    expect(service.runs.answers).toEqual([]);
  });

  it('refuses an approval, whatever the token', async () => {
    const id = await paused(approval);
    for (const token of ['operator-token', 'admin-token']) {
      const answer = await call('decide_run', { id, choice: 'retry', ...because }, token);
      expect(answer.isError).toBe(true);
      expect(answer.content[0].text).toContain(`in a terminal: npx proxmox-mcp runs decide ${id}`);
    }
    expect(service.runs.answers).toEqual([]);
  });

  it('refuses a run that waits for nothing', async () => {
    const { id } = await service.runs.start('clean-up', { host: 'pve1' }, { kind: 'mcp', name: 'operator' });
    const answer = await call('decide_run', { id, choice: 'retry', ...because });
    expect(answer.content[0].text).toContain('waits for no answer');
  });

  it("needs the scope that starting the run's operation needs", async () => {
    const id = await paused(decision, 'reboot-host', { guests: 'migrate' });
    const refused = await call('decide_run', { id, choice: 'retry', ...because });
    expect(refused.content[0].text).toContain('needs the scope "admin"');
    expect(service.runs.answers).toEqual([]);
    await call('decide_run', { id, choice: 'retry', ...because }, 'admin-token');
    expect(service.runs.answers).toHaveLength(1);
  });
});

describe('waits', () => {
  /** Waits that end when they are told to, so that it is known how many go on. */
  function heldWaits() {
    const held: (() => void)[] = [];
    Object.assign(service.runs, {
      wait: (id: string) => new Promise((resolve) => held.push(() => resolve(service.runs.get(id)))),
    });
    return {
      async areGoingOn(count: number) {
        while (held.length < count) await sleep(10);
      },
      end() {
        for (const end of held.splice(0)) end();
      },
    };
  }

  const startRun = async () =>
    (await service.runs.start('clean-up', { host: 'pve1', what: 'all' }, { kind: 'mcp', name: 'x' })).id;

  it('of one caller are at most 20 at a time; past them get_run is named, and others still wait', async () => {
    const id = await startRun();
    const held = heldWaits();
    const waits = Array.from({ length: 20 }, () => call('wait_for_run', { id }));
    await held.areGoingOn(20);
    const refused = await call('wait_for_run', { id });
    expect(refused.isError).toBe(true);
    expect(refused.content[0].text).toMatch(/^rate-limited: operator waits for 20 runs already.*get_run/);
    waits.push(call('wait_for_run', { id }, 'admin-token'));
    await held.areGoingOn(21);
    held.end();
    for (const wait of await Promise.all(waits)) expect(wait.isError).toBeUndefined();
    const again = call('wait_for_run', { id });
    await held.areGoingOn(1);
    held.end();
    expect((await again).isError).toBeUndefined();
  });

  it('of all callers are at most 200 at a time', async () => {
    Object.assign(service.tokens, { verify: (token: string) => ({ name: token, scope: 'read' }) });
    const id = await startRun();
    const held = heldWaits();
    const waits = Array.from({ length: 200 }, (_, n) => call('wait_for_run', { id }, `caller-${Math.floor(n / 20)}`));
    await held.areGoingOn(200);
    const refused = await call('wait_for_run', { id }, 'another');
    expect(refused.content[0].text).toMatch(/^rate-limited: 200 waits go on already.*get_run/);
    held.end();
    for (const wait of await Promise.all(waits)) expect(wait.isError).toBeUndefined();
  }, 30_000);
});
