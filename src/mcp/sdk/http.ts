import type { IncomingMessage, ServerResponse } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, type McpRequestContext, type Server } from '@modelcontextprotocol/server';
import type { Log } from '../../log.ts';
import type { Caller } from '../scopes.ts';
import { cleanErrors } from './errors.ts';
import { authInfoOf, callerIn } from './identity.ts';
import { keepAnswersAlive } from './keep-alive.ts';

/** How long an answer is silent at most; proxies end a connection on which nothing comes for a minute. Milliseconds. */
const silenceMs = 15_000;

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
  /** After how long an answer becomes a stream, and how often a silent one gets a comment. Milliseconds; default 15 s. */
  readonly keepAliveMs?: number;
}

/** MCP's Streamable HTTP, both protocol generations, by the SDK's own handler, which makes a server for each request. */
export function createMcpHttp(options: McpHttpOptions): McpHttp {
  const { log, makeServer, keepAliveMs = silenceMs } = options;
  const handler = createMcpHandler((context: McpRequestContext) => makeServer(callerIn(context.authInfo)), {
    onerror: (error) => log.debug({ err: error }, 'an MCP request was refused or failed'),
    keepAliveMs,
  });
  const fetch = keepAnswersAlive(cleanErrors(handler.fetch), keepAliveMs);
  const answer = toNodeHandler({ fetch }, { onerror: (error) => log.error({ err: error }, 'MCP over HTTP failed') });
  return {
    async handle(request, response, caller, body) {
      const authenticated = Object.assign(request, { auth: authInfoOf(caller) });
      // The SDK describes Node's classes by their shape, less exactly than this project's compiler options ask for.
      await answer(authenticated as never, response as never, body);
    },
    close: () => handler.close(),
  };
}
