import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { toolName } from '../../src/operations/definition.ts';
import { connectCurrent, connectOlder } from './lib/clients.ts';
import { memoryService } from './lib/memory-service.ts';

let serving: HttpServing;
let url: string;

beforeAll(async () => {
  serving = await serveHttp(memoryService(), { version: '1.2.3' });
  url = `http://127.0.0.1:${serving.port}/api/mcp`;
});

afterAll(() => serving.close());

/** What both clients of the two generations can do, in the shape that they share. */
const generations = [
  { protocol: '2026-07-28', connect: () => connectCurrent(url, 'operator-token') },
  { protocol: '2025-11-25', connect: () => connectOlder(url, 'operator-token') },
];

describe.each(generations)('over HTTP, protocol $protocol', ({ protocol, connect }) => {
  it('connects at that revision and reads the instructions', async () => {
    const client = await connect();
    expect('getNegotiatedProtocolVersion' in client ? client.getNegotiatedProtocolVersion() : '2025-11-25').toBe(
      protocol,
    );
    expect(client.getServerVersion()).toMatchObject({ name: 'proxmox-mcp', version: '1.2.3' });
    expect(client.getInstructions()).toContain('wait_for_run');
    await client.close();
  });

  it("lists the tools with all four annotations, and a run's shape once", async () => {
    const client = await connect();
    const { tools } = await client.listTools();
    const operations = Object.values(catalogue).filter(({ exposure }) => exposure === 'direct');
    const own = [
      'cancel_run',
      'decide_run',
      'get_guest',
      'get_host',
      'get_run',
      'get_run_log',
      'list_guests',
      'list_hosts',
      'list_runs',
      'list_schedules',
      'pause_schedule',
      'read_api',
      'remove_schedule',
      'resume_schedule',
      'run_read_operation',
      'schedule_operation',
      'search_api',
      'search_ledger',
      'search_operations',
      'start_change',
      'stop_changes',
      'trigger_schedule',
      'undo_run',
      'wait_for_run',
    ];
    expect(tools.map(({ name }) => name)).toEqual([...own, ...operations.map(({ name }) => toolName(name))].sort());
    for (const tool of tools) {
      expect(Object.values(tool.annotations ?? {}).filter((hint) => typeof hint === 'boolean')).toHaveLength(4);
      expect(tool.inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
      expect(tool.description?.length).toBeLessThanOrEqual(2_048);
    }
    const published = tools.filter(({ outputSchema }) => outputSchema !== undefined).map(({ name }) => name);
    expect(published).toEqual(['get_run']);
    await client.close();
  });

  it('starts a run, waits for it with progress and gets the report', async () => {
    const client = await connect();
    const started = await client.callTool({ name: 'back_up', arguments: { host: 'pve1' } });
    const { run } = started.structuredContent as { run: { id: string; url: string; status: string } };
    expect(run).toMatchObject({ state: 'running', target: 'pve1' });
    expect((started.content as { text: string }[])[0]?.text).toContain(run.url);

    const told: (string | undefined)[] = [];
    const progress = { onprogress: ({ message }: { message?: string | undefined }) => void told.push(message) };
    const wait = { name: 'wait_for_run', arguments: { id: run.id } };
    // The older client takes a result schema between the two.
    const waited = (await ('getDiscoverResult' in client
      ? client.callTool(wait, progress)
      : client.callTool(wait, undefined as never, progress as never))) as Awaited<ReturnType<typeof client.callTool>>;
    expect(waited.structuredContent).toMatchObject({ run: { state: 'done' }, result: { outcome: 'done' } });
    expect((waited.content as { text: string }[])[0]?.text).toContain('Everything is as it should be.');
    expect(told.filter((message) => message !== undefined && /^\d\/9 /.test(message)).length).toBeGreaterThanOrEqual(4);
    await client.close();
  });

  it('answers a wrong call with an error that names the field, and a wrong tool with a protocol error', async () => {
    const client = await connect();
    const wrong = await client.callTool({ name: 'back_up', arguments: { host: 'PVE 1', kind: 'hourly', hots: 1 } });
    expect(wrong.isError).toBe(true);
    const text = (wrong.content as { text: string }[])[0]?.text;
    expect(text).toContain('host: ');
    expect(text).toContain('kind: ');
    expect(text).toContain('did you mean host?');
    await expect(client.callTool({ name: 'backup', arguments: {} })).rejects.toThrow(/Unknown tool: backup.*back_up/);
    await client.close();
  });

  it('reads the report of a run, lists prompts and completes names', async () => {
    const client = await connect();
    const { resources } = await client.listResources();
    const { contents } = await client.readResource({ uri: resources[0]?.uri ?? '' });
    expect((contents[0] as { text: string }).text).toContain('back-up on pve1');
    await expect(client.readResource({ uri: 'proxmox-mcp://runs/none/report' })).rejects.toThrow(/not found/i);
    const { messages } = await client.getPrompt({ name: 'morning_check', arguments: { host: 'pve1' } });
    expect(JSON.stringify(messages)).toContain('check_health');
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'morning_check' },
      argument: { name: 'host', value: 'pve' },
    });
    expect(completion.values).toEqual(['pve1', 'pve2']);
    await client.close();
  });
});
