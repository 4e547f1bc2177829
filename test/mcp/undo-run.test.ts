import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { ask, withTasks } from './lib/clients.ts';
import { type MemoryService, memoryService } from './lib/memory-service.ts';
import { sixtyOperations } from './lib/sixty-operations.ts';

let serving: HttpServing;
let service: MemoryService;
let url: string;

beforeEach(async () => {
  service = memoryService({ operations: sixtyOperations, stepMs: 5 });
  serving = await serveHttp(service, { version: '1.0.0' });
  url = `http://127.0.0.1:${serving.port}/api/mcp`;
});

afterEach(() => serving.close());

async function call(name: string, args: Record<string, unknown>, token = 'operator-token', options = {}) {
  const { last } = await ask(url, token, 'tools/call', { name, arguments: args }, options);
  return last.result ?? last.error;
}

async function done(operation = 'clean-up', input: Record<string, unknown> = { what: 'all' }): Promise<string> {
  const { id } = await service.runs.start(operation, { host: 'pve1', ...input }, { kind: 'mcp', name: 'operator' });
  const { state } = await service.runs.wait(id, { timeoutMs: 10_000 });
  expect(state).toBe('done');
  return id;
}

describe('undo_run', () => {
  it('starts the reverse as a run, and finds it when it is asked for again', async () => {
    const id = await done();
    const first = await call('undo_run', { id });
    expect(first.structuredContent).toMatchObject({ existing: false, run: { operation: 'clean-up', dryRun: false } });
    expect(first.structuredContent.note).toContain('wait_for_run');
    const again = await call('undo_run', { id });
    expect(again.structuredContent).toMatchObject({ existing: true, run: { id: first.structuredContent.run.id } });
    expect(again.content[0].text).toMatch(/^This was asked for before/);
    const plan = await call('undo_run', { id, dryRun: true });
    expect(plan.structuredContent).toMatchObject({ existing: false, run: { dryRun: true } });
  });

  it('is answered with an MCP task where the client takes those', async () => {
    const answer = await call('undo_run', { id: await done() }, 'operator-token', withTasks);
    expect(answer).toMatchObject({ resultType: 'task', status: 'working' });
  });

  it('needs the scope that starting the reverse needs', async () => {
    const id = await done('reboot-host', { guests: 'migrate' });
    const before = service.runs.started.length;
    const refused = await call('undo_run', { id });
    expect(refused.isError).toBe(true);
    expect(refused.content[0].text).toMatch(/^forbidden: Undoing reboot-host.* needs the scope "admin"/);
    expect(JSON.stringify(await call('undo_run', { id: await done() }, 'reader-token'))).toContain(
      'needs the scope \\"operate\\"',
    );
    expect(service.runs.started).toHaveLength(before + 1);
    expect((await call('undo_run', { id }, 'admin-token')).isError).toBeUndefined();
  });

  it('says why a run can not be undone', async () => {
    const { id } = await service.runs.start('clean-up', { host: 'broken', what: 'all' }, { kind: 'mcp', name: 'x' });
    await service.runs.wait(id, { timeoutMs: 10_000 });
    const refused = await call('undo_run', { id });
    expect(refused.content[0].text).toContain('It is not done (undone)');
  });
});

describe('what can be undone', () => {
  const undo = { possible: true, until: '2026-12-26T13:10:00.000Z', text: 'Until then, as long as nobody did.' };

  it('is in the list, filtered by who asked, and in the note of the run', async () => {
    const id = await done();
    const other = await done();
    Object.assign(await service.runs.get(id), { undo, requestedBy: 'mcp:claude' });
    Object.assign(await service.runs.get(other), { undo, requestedBy: 'mcp:bert' });
    const { structuredContent } = await call('list_runs', { undoable: true, requestedBy: 'mcp:claude' });
    expect(structuredContent.runs).toMatchObject([{ id, undo }]);
    const { structuredContent: one } = await call('get_run', { id });
    expect(one.note).toContain('undo_run can take it back. Until then, as long as nobody did.');
  });
});

it('only tools for what is dangerous make Claude Code ask its user every time', async () => {
  const { last } = await ask(url, 'admin-token', 'tools/list');
  const tools: { name: string; annotations: { destructiveHint: boolean }; _meta?: object }[] = last.result.tools;
  const asks = 'anthropic/requiresUserInteraction';
  const asking = tools.filter(({ _meta = {} }) => asks in _meta);
  expect(asking.map(({ _meta }) => _meta)).toEqual(asking.map(() => ({ [asks]: true })));
  expect(asking.every(({ annotations }) => annotations.destructiveHint)).toBe(true);
  const names = asking.map(({ name }) => name);
  expect(names).toContain('start_dangerous_change');
  for (const name of ['start_change', 'cancel_run', 'undo_run', 'list_runs', 'back_up']) {
    expect(names).not.toContain(name);
  }
});
