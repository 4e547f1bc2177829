import type { IncomingMessage, ServerResponse } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, type McpRequestContext, type Server } from '@modelcontextprotocol/server';
import type { Log } from '../../log.ts';
import type { Caller } from '../scopes.ts';
import { authInfoOf, callerIn } from './identity.ts';
import { Lane } from './lane.ts';
import { type PlainRequest, plainRequest } from './plain-request.ts';

/** How many idle lanes are kept for the next requests, of each protocol generation. */
const idleLanes = 64;

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
  /** Makes a server for plain requests of any caller, one after the other. */
  readonly makePlainServer: () => Server;
}

/**
 * MCP's Streamable HTTP, both protocol generations. Plain requests go to a server that is kept for the next ones;
 * everything else (other methods, unusual headers, whatever must be refused) is left to the SDK's own handler, which
 * makes a server for each.
 */
export function createMcpHttp({ log, makeServer, makePlainServer }: McpHttpOptions): McpHttp {
  const handler = createMcpHandler((context: McpRequestContext) => makeServer(callerIn(context.authInfo)), {
    onerror: (error) => log.debug({ err: error }, 'an MCP request was refused or failed'),
  });
  const sdkHandler = toNodeHandler(handler, { onerror: (error) => log.error({ err: error }, 'MCP over HTTP failed') });
  const idle = { modern: [] as Lane[], legacy: [] as Lane[] };

  async function laneFor({ classification }: PlainRequest): Promise<Lane> {
    const free = idle[classification.era];
    const known = free.pop();
    if (known !== undefined) return known;
    const lane = new Lane(classification, (self) => {
      if (free.length < idleLanes) free.push(self);
    });
    await makePlainServer().connect(lane);
    return lane;
  }

  return {
    async handle(request, response, caller, body) {
      const plain = body === undefined ? undefined : plainRequest(request, body);
      if (plain === undefined) {
        const authenticated = Object.assign(request, { auth: authInfoOf(caller) });
        // The SDK describes Node's classes by their shape, less exactly than this project's compiler options ask for.
        return sdkHandler(authenticated as never, response as never, body);
      }
      const lane = await laneFor(plain);
      lane.serve(response, plain.message, authInfoOf(caller));
    },
    close: () => handler.close(),
  };
}
