import { execFile } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useBuild } from '../../support/built.ts';
import { npmClients, pythonClient } from './lib/installed.ts';
import { type RunningServer, runServer } from './lib/service.ts';

const run = promisify(execFile);
const build = useBuild();

let server: RunningServer;

beforeAll(async () => {
  server = await runServer(build.path('src/cli.js'));
}, 120_000);

afterAll(() => server?.close());

describe("the MCP Inspector's command line", () => {
  let inspector: (...args: string[]) => Promise<unknown>;

  beforeAll(async () => {
    const { folder, node } = await npmClients();
    const bin = join(folder, 'node_modules/.bin');
    const env = { PATH: `${dirname(node)}${delimiter}${process.env.PATH}`, HOME: folder };
    inspector = async (...args) => {
      const { stdout } = await run(node, [join(bin, 'mcp-inspector'), '--cli', ...args], { env, timeout: 60_000 });
      return JSON.parse(stdout);
    };
  }, 600_000);

  it.each(['HTTP', 'stdio'])(
    'lists and calls the tools over %s',
    async (transport) => {
      const target =
        transport === 'HTTP'
          ? [server.url, '--transport', 'http', '--header', `Authorization: Bearer ${server.token}`]
          : [...server.stdio];
      // What follows a command's own arguments is the Inspector's after `--method`.
      const tools = await inspector(...target, '--method', 'tools/list');
      expect(JSON.stringify(tools)).toContain('"back_up"');
      const hosts = await inspector(...target, '--method', 'tools/call', '--tool-name', 'list_hosts');
      expect(hosts).toMatchObject({ structuredContent: { hosts: [{ name: 'here' }] } });
    },
    120_000,
  );
});

describe("Python's mcp", () => {
  let python: string;

  beforeAll(async () => {
    python = await pythonClient();
  }, 600_000);

  it.each(['HTTP', 'stdio'])(
    'lists and calls the tools over %s',
    async (transport) => {
      const target = transport === 'HTTP' ? [server.url, server.token] : ['--stdio', ...server.stdio];
      const script = join(import.meta.dirname, 'packages/client.py');
      const { stdout } = await run(python, [script, ...target], { timeout: 60_000 });
      const { tools, hosts, wrong } = JSON.parse(stdout);
      expect(tools).toContain('wait_for_run');
      expect(hosts).toMatchObject({ structuredContent: { hosts: [{ name: 'here' }] } });
      expect(wrong).toMatchObject({ isError: true });
      expect(wrong.content[0].text).toContain('host: ');
    },
    120_000,
  );
});

it('the current SDK over stdio, protocol 2026-07-28', async () => {
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  const [command = '', ...args] = server.stdio;
  await client.connect(new StdioClientTransport({ command, args }));
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain('change_schedule');
  const hosts = await client.callTool({ name: 'list_hosts', arguments: {} });
  expect(hosts.structuredContent).toMatchObject({ hosts: [{ name: 'here' }] });
  await client.close();
});
