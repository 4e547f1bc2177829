import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { operationTool } from '../../src/mcp/tools/operation-tools.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { ask } from './lib/clients.ts';
import { type MemoryService, memoryService } from './lib/memory-service.ts';

let serving: HttpServing;
let service: MemoryService;
let url: string;

beforeAll(async () => {
  service = memoryService({ operations: Object.values(catalogue), stepMs: 20 });
  serving = await serveHttp(service, { version: '1.0.0' });
  url = `http://127.0.0.1:${serving.port}/api/mcp`;
});
afterAll(() => serving.close());

describe('the tool of an operation that answers at once', () => {
  it('returns the report and the data in the same call', async () => {
    const { last } = await ask(url, 'reader-token', 'tools/call', {
      name: 'list_backups',
      arguments: { host: 'pve1' },
    });
    expect(last.result.isError).toBeUndefined();
    expect(last.result.structuredContent).toMatchObject({
      run: { operation: 'list-backups', state: 'done' },
      result: { outcome: 'done', report: { summary: 'Everything is as it should be.' } },
    });
    expect(last.result.content[0].text).toContain('Everything is as it should be.');
  });

  it('so does the tool for all that only reads', async () => {
    const { last } = await ask(url, 'reader-token', 'tools/call', {
      name: 'run_read_operation',
      arguments: { operation: 'list-backups', input: { host: 'pve1' } },
    });
    expect(last.result.structuredContent).toMatchObject({ run: { state: 'done' } });
  });

  it('returns the id of the run where that is not done in time, and fails as its run does', async () => {
    const call = {
      caller: { name: 'test', scope: 'read' },
      signal: new AbortController().signal,
      takesMcpTasks: false,
      answerWithinMs: 5,
    } as const;
    const tool = operationTool(catalogue['list-backups']);
    const slow = await tool.handler({ host: 'pve1', limit: 30 }, service, call);
    expect(slow.data).toMatchObject({ run: { state: 'running' }, note: expect.stringContaining('wait_for_run') });
    const failed = await tool.handler({ host: 'broken', limit: 30 }, service, { ...call, answerWithinMs: 5_000 });
    expect(failed).toMatchObject({ failed: true, text: expect.stringContaining('The disk is full') });
  });

  it('is told apart from what only starts a run, and is found by the words that people use', async () => {
    const { last } = await ask(url, 'reader-token', 'tools/list', {});
    const described = (name: string): string =>
      last.result.tools.find((tool: { readonly name: string }) => tool.name === name).description;
    expect(described('list_backups')).toMatch(/^When was the last backup\?/);
    for (const word of ['archives', 'vzdump', 'VMs', 'containers', 'age', 'verified'])
      expect(described('list_backups')).toContain(word);
    expect(described('list_backups')).toContain('Answers with the report itself');
    expect(described('check_health')).toContain('Returns a run id at once');
  });
});
