import type { IncomingMessage, ServerResponse } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, type McpRequestContext, type Server } from '@modelcontextprotocol/server';
import type { Log } from '../../log.ts';
import type { Caller } from '../scopes.ts';
import { cleanErrors } from './errors.ts';
import { authInfoOf, callerIn } from './identity.ts';

/** Comments that keep proxies from closing a silent stream. Milliseconds. */
const keepAliveMs = 15_000;

/** Answers authenticated MCP requests whose body has been read. */
export interface McpHttp {
  /** `body` is the parsed body of a POST, undefined for other methods. */
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller, body: unknown): Promise<void>;
  close(): Promise<void>;
}

export interface McpHttpOptions {
  readonly log: Log;
  /** Makes a server for one request or connection of this caller. */
  readonly makeServer: (caller?: Caller) => Server;
  /** How often a silent stream gets a comment. Milliseconds; default 15 s. */
  readonly keepAliveMs?: number;
}

/** MCP's Streamable HTTP, both protocol generations, by the SDK's own handler, which makes a server for each request. */
export function createMcpHttp(options: McpHttpOptions): McpHttp {
  const { log, makeServer } = options;
  const handler = createMcpHandler((context: McpRequestContext) => makeServer(callerIn(context.authInfo)), {
    onerror: (error) => log.debug({ err: error }, 'an MCP request was refused or failed'),
    keepAliveMs: options.keepAliveMs ?? keepAliveMs,
  });
  const answer = toNodeHandler(
    { fetch: cleanErrors(handler.fetch) },
    { onerror: (error) => log.error({ err: error }, 'MCP over HTTP failed') },
  );
  return {
    async handle(request, response, caller, body) {
      const authenticated = Object.assign(request, { auth: authInfoOf(caller) });
      // The SDK describes Node's classes by their shape, less exactly than this project's compiler options ask for.
      await answer(authenticated as never, response as never, body);
    },
    close: () => handler.close(),
  };
}
