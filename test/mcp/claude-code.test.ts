import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import { findGuest } from '../../src/proxmox/find-guests.ts';
import { createReads } from '../../src/proxmox/reads.ts';
import { nameGuest } from '../../src/runs/name-guest.ts';
import { parseInput } from '../../src/runs/parse-input.ts';
import { hostOf } from '../proxmox/support.ts';
import { memoryConfig, memoryService } from './lib/memory-service.ts';

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
async function replay(mode: string, port = serving.port) {
  const text = readFileSync(join(import.meta.dirname, `../fixtures/claude-code/${mode}.json`), 'utf8');
  const answers: { request: Recorded; status: number; result: Record<string, unknown> & { isError?: boolean } }[] = [];
  let ids: Record<string, string> = {};
  for (const recorded of (JSON.parse(text) as { requests: Recorded[] }).requests) {
    let sent = JSON.stringify(recorded);
    for (const [old, id] of Object.entries(ids)) sent = sent.replaceAll(old, id);
    const request = JSON.parse(sent) as Recorded;
    const response = await fetch(`http://127.0.0.1:${port}/api/mcp`, {
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
  expect(found?.structuredContent).toMatchObject({ operations: { 0: { name: 'check-health' } } });
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

describe('asked "what runs on pve1", "start the mail server", "snapshot all web guests before the upgrade"', () => {
  const started: { readonly operation: string; readonly input: Readonly<Record<string, unknown>> }[] = [];
  let simulator: ProxmoxSimulator;
  let reads: ReturnType<typeof createReads>;
  let other: HttpServing;

  beforeAll(async () => {
    simulator = await createProxmoxSimulator({ authenticationDelayMs: 0 });
    const { guests } = simulator.state;
    const [first] = guests.values();
    if (first === undefined) throw new Error('there are no guests');
    const { type, node, cpus, memory, disk, template } = first;
    const machine = { type, node, cpus, memory, disk, template };
    guests.set(103, { vmid: 103, name: 'mail', status: 'stopped', ...machine });
    for (const vmid of [110, 111, 112]) {
      guests.set(vmid, { vmid, name: `web-${vmid}`, status: 'running', tags: 'web', ...machine });
    }
    const config = { ...memoryConfig(), hosts: [hostOf('pve1', simulator)] };
    reads = createReads(config, pino({ level: 'silent' }));
    const service = memoryService({ config, reads, stepMs: 20 });
    const { start } = service.runs;
    Object.assign(service.runs, {
      async start(
        name: OperationName,
        raw: unknown,
        ...rest: [Parameters<typeof start>[2], Parameters<typeof start>[3]]
      ) {
        const operation = catalogue[name];
        const find = { config, findGuest: (wanted: { guest: string | number }) => findGuest(reads.inventory, wanted) };
        const input = parseInput(operation, await nameGuest(operation, raw, find), config);
        started.push({ operation: name, input });
        const target = operation.target === 'guest' ? input.vmid : operation.target;
        return start(name, { ...input, host: `${input.host}.${target}` }, ...rest);
      },
    });
    other = await serveHttp(service, { version: '1.0.0' });
  });

  afterAll(async () => {
    await other?.close();
    await reads?.close();
    await simulator?.close();
  });

  it('the interactive program answers each by one call or two, which name guests as people do', async () => {
    const answers = await replay('guests', other.port);
    const calls = answers.filter(({ request }) => request.body.method === 'tools/call');
    expect(calls.map(({ request, result }) => [request.body.params.name, result.resultType])).toEqual([
      ['list_guests', 'complete'],
      ['control_guest', 'task'],
      ['search_operations', 'complete'],
      ['start_change', 'task'],
    ]);
    const [guests, , found] = calls.map(({ result }) => result.structuredContent);
    expect(guests).toMatchObject({ note: expect.stringContaining('4 of 8 guests: 4 running.') });
    expect(found).toMatchObject({ operations: [{ name: 'change-guests' }, {}, {}] });
    expect(started).toMatchObject([
      { operation: 'control-guest', input: { host: 'pve1', vmid: 103, action: 'start' } },
      { operation: 'change-guests', input: { host: 'pve1', change: 'snapshot', tag: 'web' } },
    ]);
    const asked = answers.filter(({ request }) => request.body.method === 'tasks/get');
    expect(asked.at(-1)?.result.taskId).toMatch(/^change-guests\/pve1\.guests\//);
    for (const { result } of asked) expect(['working', 'completed']).toContain(result.status);
  });
});
