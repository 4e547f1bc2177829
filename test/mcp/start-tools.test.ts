import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { ask, withTasks } from './lib/clients.ts';
import { type MemoryService, memoryService } from './lib/memory-service.ts';
import { sixtyOperations } from './lib/sixty-operations.ts';

let serving: HttpServing;
let service: MemoryService;
let url: string;

beforeAll(async () => {
  service = memoryService({ operations: sixtyOperations, stepMs: 300 });
  serving = await serveHttp(service, { version: '1.0.0' });
  url = `http://127.0.0.1:${serving.port}/api/mcp`;
});

afterAll(() => serving.close());

type Token = 'reader-token' | 'operator-token' | 'admin-token';

function call(token: Token, name: string, args: Record<string, unknown>, options: Parameters<typeof ask>[4] = {}) {
  return ask(url, token, 'tools/call', { name, arguments: args }, options);
}

async function start(tool: string, operation: string, input: unknown, token: Token = 'admin-token') {
  const before = service.runs.started.length;
  const { status, last } = await call(token, tool, { operation, input });
  const text: string = last.result?.content[0].text ?? last.error.message;
  return { status, text, result: last.result, started: service.runs.started.slice(before) };
}

const host = { host: 'pve1' };
const guest = { host: 'pve1', vmid: 100 };

describe('a start tool', () => {
  it.each([
    ['run_read_operation', 'check-certificates', host],
    ['run_read_operation', 'check-health', host],
    ['run_read_operation', 'check_health', host],
    ['run_read_operation', 'control-service', { ...host, action: 'status' }],
    ['start_change', 'clean-up', { ...host, what: 'logs' }],
    ['start_change', 'control-service', { ...host, action: 'restart' }],
    ['start_change', 'control-guest', { ...guest, action: 'shutdown' }],
    ['start_dangerous_change', 'control-guest', { ...guest, action: 'stop' }],
    ['start_dangerous_change', 'reboot-host', { ...host, guests: 'migrate' }],
  ])('%s starts %s with %j', async (tool, operation, input) => {
    const { result, started, text } = await start(tool, operation, input);
    expect(result.isError).toBeUndefined();
    expect(started).toHaveLength(1);
    expect(result.structuredContent).toMatchObject({
      note: expect.stringContaining('wait_for_run waits for its report'),
      run: { id: started[0], operation: operation.replaceAll('_', '-'), state: 'running' },
      existing: false,
    });
    expect(text).toContain(started[0]);
  });

  it.each([
    ['run_read_operation', 'clean-up', { ...host, what: 'logs' }, 'start_change'],
    ['run_read_operation', 'control-service', { ...host, action: 'stop' }, 'start_change'],
    ['run_read_operation', 'reboot-host', { ...host, guests: 'migrate' }, 'start_dangerous_change'],
    ['start_change', 'check-health', host, 'run_read_operation'],
    ['start_change', 'control-service', { ...host, action: 'status' }, 'run_read_operation'],
    ['start_change', 'control-guest', { ...guest, action: 'stop' }, 'start_dangerous_change'],
    ['start_dangerous_change', 'control-guest', { ...guest, action: 'shutdown' }, 'start_change'],
    ['start_dangerous_change', 'back-up', { ...host, kind: 'full' }, 'start_change'],
  ])('%s does not take %s with %j: that is for %s', async (tool, operation, input, right) => {
    const { result, started, text } = await start(tool, operation, input);
    expect(result.isError).toBe(true);
    expect(text).toContain(`Call ${right} with the operation ${operation} and the same input`);
    expect(started).toEqual([]);
  });

  it('says which scope the right tool needs, where the token lacks it', async () => {
    const { text, started } = await start(
      'start_change',
      'reboot-host',
      { ...host, guests: 'migrate' },
      'operator-token',
    );
    expect(text).toContain('start_dangerous_change');
    expect(text).toContain('needs a token of the scope "admin"');
    expect(started).toEqual([]);
  });

  it('answers a wrong input with every problem and with the schema', async () => {
    const { text, started } = await start('start_change', 'resize-disk', { host: 'PVE 1', vmid: 7, disc: 'scsi0' });
    for (const problem of ['input.host: ', 'input.vmid: ', '"disc": there is no such field; did you mean disk?'])
      expect(text).toContain(problem);
    const schema = JSON.parse(text.split('\n').find((line) => line.startsWith('{')) ?? '');
    expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
    expect(schema.properties.guest).toEqual({
      type: ['string', 'integer'],
      description: 'The guest: name, VMID, or a tag only it has',
    });
    expect(schema.properties.size.description).toBe('new size, e.g. +10G');
    expect(text).toContain('Nothing was changed.');
    expect(started).toEqual([]);
  });

  it('takes a request that leaves out the field that decides its risk for no request at all', async () => {
    const { text, started } = await start('start_change', 'control-guest', guest);
    expect(text).toContain('input.action: it is missing');
    expect(started).toEqual([]);
  });

  it('names the nearest operation where there is none of that name', async () => {
    const { text, started } = await start('start_change', 'migrate-gest', guest);
    expect(text).toContain('Did you mean migrate-guest?');
    expect(text).toContain('search_operations');
    expect(started).toEqual([]);
  });

  it('finds the run of the first try again, and says so where that waits for a person by then', async () => {
    const args = { operation: 'clean-up', input: { ...host, what: 'logs' } };
    const numbered = { meta: { 'claudecode/toolUseId': 'toolu_09' } };
    const first = (await call('operator-token', 'start_change', args, numbered)).last.result.structuredContent;
    const { id } = first.run;
    service.runs.ask(id, {
      id: 'q1',
      text: 'Undoing failed. What now?',
      choices: [{ name: 'retry', meaning: 'try again' }],
      kind: 'decision',
      askedAt: new Date().toISOString(),
    });
    const second = (await call('operator-token', 'start_change', args, numbered)).last.result;
    expect(second.structuredContent).toMatchObject({ existing: true, run: { id } });
    expect(second.structuredContent.note).toContain('It is paused and does not go on by itself');
    expect(second.content[0].text).toContain('Undoing failed. What now? Choices: retry (try again).');
    const other = { ...args, input: { ...host, what: 'docker' } };
    const third = (await call('operator-token', 'start_change', other, numbered)).last.result.structuredContent;
    expect(third).toMatchObject({ existing: false });
  });

  it('answers with the report where the run of the first try has ended', async () => {
    const args = { operation: 'clean-up', input: { ...host, what: 'logs' } };
    const numbered = { meta: { 'claudecode/toolUseId': 'toolu_10' } };
    const first = (await call('operator-token', 'start_change', args, numbered)).last.result.structuredContent;
    await service.runs.wait(first.run.id, { timeoutMs: 10_000 });
    const second = (await call('operator-token', 'start_change', args, numbered)).last.result;
    const { structuredContent: data } = second;
    expect(data).toMatchObject({ existing: true, run: { id: first.run.id }, result: { outcome: 'done' } });
    expect(data.note).toContain('Everything is as it should be.');
    expect(second.content[0].text).toContain('This request had already started a run, and nothing was started now.');
  });

  it('answers with an MCP task where the client takes one', async () => {
    const args = { operation: 'check-disks', input: host };
    const { last } = await call('reader-token', 'run_read_operation', args, withTasks);
    expect(last.result).toMatchObject({ resultType: 'task', status: 'working' });
    expect(last.result.taskId).toMatch(/^check-disks\/pve1\//);
  });
});

describe('the scope is checked by the risk of the request', () => {
  it.each([
    ['reader-token', 'control_service', { ...host, action: 'status' }, 200],
    ['reader-token', 'control_service', { ...host, action: 'restart' }, 403],
    ['operator-token', 'control_service', { ...host, action: 'restart' }, 200],
    ['operator-token', 'control_guest', { ...guest, action: 'shutdown' }, 200],
    ['operator-token', 'control_guest', { ...guest, action: 'stop' }, 403],
    ['admin-token', 'start_dangerous_change', { operation: 'control-guest', input: { ...guest, action: 'stop' } }, 200],
    ['reader-token', 'control_guest', { ...guest, action: 'shutdown' }, 403],
    ['reader-token', 'run_read_operation', { operation: 'check-disks', input: host }, 200],
    ['reader-token', 'start_change', { operation: 'clean-up', input: { ...host, what: 'all' } }, 403],
    ['operator-token', 'start_change', { operation: 'clean-up', input: { ...host, what: 'all' } }, 200],
    [
      'operator-token',
      'start_dangerous_change',
      { operation: 'reboot-host', input: { ...host, guests: 'migrate' } },
      403,
    ],
    ['admin-token', 'start_dangerous_change', { operation: 'reboot-host', input: { ...host, guests: 'migrate' } }, 200],
  ] as const)('%s calls %s with %j → %i', async (token, name, args, expected) => {
    const before = service.runs.started.length;
    const { status, headers, last } = await call(token, name, args);
    expect(status).toBe(expected);
    if (expected === 200) {
      expect(last.result.isError).toBeUndefined();
      expect(service.runs.started).toHaveLength(before + 1);
    } else {
      expect(headers.get('www-authenticate')).toMatch(/error="insufficient_scope", scope="(operate|admin)"/);
      expect(last.error.message).toContain('needs the scope');
      expect(service.runs.started).toHaveLength(before);
    }
  });

  it('a tool of its own leaves what is dangerous to the tool that takes nothing else', async () => {
    const before = service.runs.started.length;
    const { last } = await call('admin-token', 'control_guest', { ...guest, action: 'stop' });
    expect(last.result).toMatchObject({ isError: true });
    expect(last.result.content[0].text).toMatch(/Call start_dangerous_change with the operation control-guest/);
    expect(service.runs.started).toHaveLength(before);
  });

  it('also where a call hides in a batch of the older protocol', async () => {
    const before = service.runs.started.length;
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        authorization: 'Bearer reader-token',
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify(
        [1, 2].map((id) => ({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name: 'control_service', arguments: { ...host, action: 'restart', unit: `u${id}` } },
        })),
      ),
    });
    expect(await response.text()).toContain('control_service with action \\"restart\\" needs the scope');
    expect(service.runs.started).toHaveLength(before);
  });

  it('tells a caller that may use the tool what is wrong with its arguments', async () => {
    const { status, last } = await call('reader-token', 'control_service', { ...host, action: 'explode' });
    expect(status).toBe(200);
    expect(last.result.content[0].text).toContain('action: ');
  });

  it('lists a tool for whoever may use its least risk, and calls it what its worst is', async () => {
    const listed = async (token: Token) => {
      const { last } = await ask(url, token, 'tools/list');
      return last.result.tools as { name: string; annotations: Record<string, unknown> }[];
    };
    const forReader = await listed('reader-token');
    expect(forReader.map(({ name }) => name)).toContain('control_service');
    for (const hidden of ['control_guest', 'start_change', 'start_dangerous_change', 'decide_run'])
      expect(forReader.map(({ name }) => name)).not.toContain(hidden);
    const hints = (tools: typeof forReader, tool: string) => tools.find(({ name }) => name === tool)?.annotations;
    expect(hints(forReader, 'control_service')).toMatchObject({ readOnlyHint: false, destructiveHint: false });
    expect(hints(forReader, 'run_read_operation')).toMatchObject({ readOnlyHint: true, destructiveHint: false });
    const forOperator = await listed('operator-token');
    expect(hints(forOperator, 'control_guest')).toMatchObject({ readOnlyHint: false, destructiveHint: false });
    expect(hints(forOperator, 'start_change')).toMatchObject({ readOnlyHint: false, destructiveHint: false });
    expect(forOperator.map(({ name }) => name)).not.toContain('start_dangerous_change');
    const forAdmin = await listed('admin-token');
    expect(hints(forAdmin, 'start_dangerous_change')).toMatchObject({ readOnlyHint: false, destructiveHint: true });
  });
});

describe('search_operations', () => {
  async function search(args: Record<string, unknown>, token: Token = 'admin-token') {
    const { last } = await call(token, 'search_operations', args);
    expect(JSON.parse(last.result.content[0].text)).toEqual(last.result.structuredContent);
    return last.result.structuredContent;
  }

  it('describes the best in full, with the tool that starts each, and names some beside', async () => {
    const { operations, others } = await search({ query: 'TLS certificate expiry' });
    expect(operations.length).toBeLessThanOrEqual(3);
    expect(operations[0]).toEqual({
      name: 'check-certificates',
      title: 'Check certificates',
      summary: 'Look at TLS certificates of Proxmox and of the proxy, and when they expire.',
      description: expect.stringContaining('Warns before'),
      risk: 'read',
      startWith: 'run_read_operation',
      input: {
        type: 'object',
        properties: expect.objectContaining({ daysBefore: expect.anything() }),
        additionalProperties: false,
      },
    });
    expect(others.every((line: string) => /^[a-z-]+ \([a-z ]+\): /.test(line))).toBe(true);
    expect((await search({ query: 'guest', limit: 1 })).operations).toHaveLength(1);
  });

  it('says by which field the risk goes, and an own tool where there is one', async () => {
    const [containers] = (await search({ query: 'control-containers', limit: 1 })).operations;
    expect(containers.startWith).toMatchObject({
      'action: list': 'run_read_operation',
      'action: up': 'start_change',
      'action: exec': 'start_dangerous_change',
    });
    const [guests] = (await search({ query: 'control-guest', limit: 1 })).operations;
    expect(guests.startWith).toMatchObject({
      'action: start': 'control_guest',
      'action: shutdown': 'control_guest',
      'action: reboot': 'control_guest',
      'action: stop': 'start_dangerous_change',
    });
  });

  it('says which scope is missing', async () => {
    const [reboot] = (await search({ query: 'reboot-host', limit: 1 }, 'operator-token')).operations;
    expect(reboot.note).toContain('scope "admin"');
    const [same] = (await search({ query: 'reboot-host', limit: 1 })).operations;
    expect(same).not.toHaveProperty('note');
  });

  it('names all without a query, and where nothing is found', async () => {
    for (const [args, note] of [
      [{}, 'These are all operations'],
      [{ query: 'xylophone' }, 'No operation has these words'],
    ] as const) {
      const all = await search(args);
      expect(all.note).toContain(note);
      expect(all.operations).toEqual([]);
      expect(all.others).toHaveLength(60);
      expect(JSON.stringify(all).length / 3).toBeLessThan(5_000);
    }
  });
});

it('the documentation shows operations of several risks and those without a tool', async () => {
  const html = await (await fetch(`http://127.0.0.1:${serving.port}/tools`)).text();
  const card = (id: string) => html.split('<section class="card"').find((part) => part.includes(`id="${id}"`)) ?? '';
  expect(card('control-service')).toContain('<code>control_service</code>');
  expect(card('control-service')).toMatch(/tag read.*tag operate/s);
  expect(card('move-disk')).toContain('<code>start_change</code>');
  expect(card('move-disk')).toContain('the target storage');
  expect(card('search_operations')).toContain('tag read');
  expect(html).not.toContain('undefined');
});
