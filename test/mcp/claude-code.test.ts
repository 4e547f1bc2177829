import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { memoryService } from './lib/memory-service.ts';

let serving: HttpServing;

beforeAll(async () => {
  serving = await serveHttp(memoryService({ stepMs: 20 }), { version: '1.0.0' });
});

afterAll(() => serving.close());

interface Recorded {
  readonly headers: Record<string, string>;
  readonly body: { readonly method: string; readonly params: Record<string, unknown> };
}

/** Sends again what the real Claude Code sent, with the ids of this server's runs in place of the recorded ones. */
async function replay(mode: string) {
  const text = readFileSync(join(import.meta.dirname, `../fixtures/claude-code/${mode}.json`), 'utf8');
  const answers: { request: Recorded; status: number; result: Record<string, unknown> & { isError?: boolean } }[] = [];
  let ids: Record<string, string> = {};
  for (const recorded of (JSON.parse(text) as { requests: Recorded[] }).requests) {
    let sent = JSON.stringify(recorded);
    for (const [old, id] of Object.entries(ids)) sent = sent.replaceAll(old, id);
    const request = JSON.parse(sent) as Recorded;
    const response = await fetch(`http://127.0.0.1:${serving.port}/api/mcp`, {
      method: 'POST',
      headers: { ...request.headers, authorization: 'Bearer admin-token' },
      body: JSON.stringify(request.body),
    });
    const { result } = (await response.json()) as { result: (typeof answers)[number]['result'] };
    if (typeof result.taskId === 'string') ids = { ...ids, [result.taskId.replace(/[^/]+$/, 'RUN')]: result.taskId };
    answers.push({ request, status: response.status, result });
  }
  return answers;
}

it('claude mcp list: finds the server and its tools', async () => {
  const answers = await replay('list');
  expect(answers.map(({ request, status }) => [request.body.method, status])).toEqual([
    ['server/discover', 200],
    ['tools/list', 200],
  ]);
});

it('claude -p: a run is answered at once, without an MCP task; a wrong call says what is wrong', async () => {
  const calls = (await replay('print')).filter(({ request }) => request.body.method === 'tools/call');
  expect(new Set(calls.map(({ result }) => result.resultType))).toEqual(new Set(['complete']));
  const [hosts, started, , wrong] = calls;
  expect(hosts?.result.structuredContent).toMatchObject({ hosts: [{ name: 'pve1' }, {}, {}] });
  expect(started?.result.structuredContent).toMatchObject({ note: expect.stringContaining('wait_for_run') });
  expect(wrong?.result.isError).toBe(true);
});

it('claude -p: an operation is searched, started with the tool for its risk, and with no other', async () => {
  const calls = (await replay('print')).filter(({ request }) => request.body.method === 'tools/call').slice(4);
  const [found, started, wrongTool, wrongInput] = calls.map(({ result }) => result);
  expect(found?.structuredContent).toMatchObject({ operations: [{ name: 'check-health' }] });
  expect(started?.structuredContent).toMatchObject({ run: { operation: 'check-health' } });
  expect(wrongTool?.isError).toBe(true);
  expect(JSON.stringify(wrongTool?.content)).toContain('Call run_read_operation');
  expect(wrongInput?.isError).toBe(true);
  expect(JSON.stringify(wrongInput?.content)).toContain('did you mean host?');
});

it('the interactive program: runs of operations that were found are MCP tasks too', async () => {
  const answers = await replay('found');
  const [found, ...started] = answers.filter(({ request }) => request.body.method === 'tools/call');
  expect(found?.result.resultType).toBe('complete');
  expect(started.map(({ request, result }) => [request.body.params.name, result.resultType])).toEqual([
    ['run_read_operation', 'task'],
    ['start_change', 'task'],
  ]);
  for (const { request, result } of answers.filter(({ request }) => request.body.method === 'tasks/get')) {
    expect(result.taskId).toBe(request.body.params.taskId);
    expect(['working', 'completed']).toContain(result.status);
  }
});

it('the interactive program: runs are MCP tasks, and asking for them ends with the report', async () => {
  const answers = await replay('screen');
  const started = answers.filter(({ request }) => request.body.method === 'tools/call');
  expect(started.map(({ result }) => result.resultType)).toEqual(['task', 'task']);
  const asked = answers.filter(({ request }) => request.body.method === 'tasks/get');
  expect(asked.length).toBeGreaterThan(0);
  for (const { result } of asked) expect(['working', 'completed']).toContain(result.status);
});
