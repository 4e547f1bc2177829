import type { Server } from '@modelcontextprotocol/server';
import { type StdioServerHandle, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { Log } from '../../log.ts';

/** MCP on this process's standard input and output, both protocol generations. Nothing else may write to stdout. */
export function createMcpStdio(makeServer: () => Server, log: Log): StdioServerHandle {
  return serveStdio(() => makeServer(), {
    onerror: (error) => log.debug({ err: error }, 'an MCP message was refused or failed'),
  });
}
