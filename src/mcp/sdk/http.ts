import type { IncomingMessage, ServerResponse } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  classifyInboundRequest,
  createMcpHandler,
  type InboundClassificationOutcome,
  type JSONRPCRequest,
  type McpRequestContext,
  type MessageClassification,
  type Server,
} from '@modelcontextprotocol/server';
import type { Log } from '../../log.ts';
import type { Caller } from '../scopes.ts';
import { Exchange, header } from './exchange.ts';
import { authInfoOf, callerIn } from './identity.ts';

/** How many idle servers are kept for the next requests. */
const poolSize = 64;

/** Methods that are asked so often, or waited for, that they take the short way. */
const shortWay: ReadonlySet<string> = new Set(['tools/call', 'tools/list', 'tasks/get']);

/** Answers authenticated MCP requests whose body has been read. */
export interface McpHttp {
  /** `body` is the parsed body of a POST, undefined for other methods. */
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller, body: unknown): Promise<void>;
  close(): Promise<void>;
}

/**
 * MCP's Streamable HTTP, both protocol generations. Requests in their plainest form go straight to a pooled server;
 * everything else (other methods, unusual headers, whatever must be refused) is left to the SDK's own handler.
 */
export function createMcpHttp(makeServer: (caller?: Caller) => Server, log: Log): McpHttp {
  const handler = createMcpHandler((context: McpRequestContext) => makeServer(callerIn(context.authInfo)), {
    onerror: (error) => log.debug({ err: error }, 'an MCP request was refused or failed'),
  });
  const sdkHandler = toNodeHandler(handler, { onerror: (error) => log.error({ err: error }, 'MCP over HTTP failed') });
  const idle: Server[] = [];

  async function takeShortWay(
    response: ServerResponse,
    caller: Caller,
    message: JSONRPCRequest,
    classification: MessageClassification,
  ): Promise<void> {
    const server = idle.pop() ?? makeServer();
    const exchange = new Exchange(response, classification);
    await server.connect(exchange);
    const closed = exchange.onclose;
    exchange.onclose = () => {
      closed?.();
      if (idle.length < poolSize) idle.push(server);
    };
    exchange.deliver(message, authInfoOf(caller));
  }

  return {
    async handle(request, response, caller, body) {
      const plainest = body === undefined ? undefined : plainestForm(request, body);
      if (plainest !== undefined) return takeShortWay(response, caller, plainest.message, plainest.classification);
      const authenticated = Object.assign(request, { auth: authInfoOf(caller) });
      // The SDK describes Node's classes by their shape, less exactly than this project's compiler options ask for.
      await sdkHandler(authenticated as never, response as never, body);
    },
    close: () => handler.close(),
  };
}

/** The request, if nothing about it needs the SDK's full treatment. */
function plainestForm(
  request: IncomingMessage,
  body: unknown,
): { message: JSONRPCRequest; classification: MessageClassification } | undefined {
  const method = header(request, 'mcp-method');
  const name = header(request, 'mcp-name');
  const version = header(request, 'mcp-protocol-version');
  const outcome: InboundClassificationOutcome = classifyInboundRequest({
    httpMethod: 'POST',
    ...(version === undefined ? {} : { protocolVersionHeader: version }),
    ...(method === undefined ? {} : { mcpMethodHeader: method }),
    ...(name === undefined ? {} : { mcpNameHeader: name }),
    body,
  });
  const message = body as JSONRPCRequest;
  if (outcome.kind === 'modern' && outcome.messageKind === 'request') {
    const named = message.method === 'tasks/get' ? message.params?.taskId : message.params?.name;
    const complete = version === '2026-07-28' && method === message.method && name === named;
    return complete && shortWay.has(message.method) && outcome.classification.revision === version
      ? { message, classification: outcome.classification }
      : undefined;
  }
  if (outcome.kind === 'legacy' && outcome.reason === 'no-claim' && message.method !== 'tasks/get') {
    const known = version === undefined || version === '2025-11-25' || version === '2025-06-18';
    return known && shortWay.has(message.method) && acceptsBoth(request)
      ? { message, classification: { era: 'legacy' } }
      : undefined;
  }
  return undefined;
}

/** What the 2025 generation must accept: either form of answer. */
function acceptsBoth(request: IncomingMessage): boolean {
  const accept = header(request, 'accept') ?? '';
  return accept.includes('application/json') && accept.includes('text/event-stream');
}
