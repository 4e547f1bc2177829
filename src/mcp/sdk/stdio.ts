import type { Server, Transport } from '@modelcontextprotocol/server';
import { type StdioServerHandle, StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { Log } from '../../log.ts';
import { plainDeep } from '../host-text.ts';

/**
 * MCP on this process's standard input and output, both protocol generations. Nothing else may write to stdout.
 * `transport`: other streams than those.
 */
export function createMcpStdio(
  makeServer: () => Server,
  log: Log,
  transport: Transport = new StdioServerTransport(),
): StdioServerHandle {
  return serveStdio(() => makeServer(), {
    transport: cleaningErrors(transport),
    onerror: (error) => log.debug({ err: error }, 'an MCP message was refused or failed'),
  });
}

/** The SDK's own refusals repeat what a request held, in texts that no other place of ours sees. */
function cleaningErrors(transport: Transport): Transport {
  const send = transport.send.bind(transport);
  transport.send = (message, options) =>
    send('error' in message ? { ...message, error: plainDeep(message.error) } : message, options);
  return transport;
}
