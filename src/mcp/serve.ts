import { once } from 'node:events';
import type { Server as HttpServer, RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createConsole } from '../console/console.ts';
import { createSessions, type Sessions } from '../console/sessions.ts';
import { ServiceError } from '../errors.ts';
import { createDecisions } from './decisions.ts';
import type { McpDependencies } from './dependencies.ts';
import { documentationOf } from './documentation.ts';
import { createHealth } from './http/health.ts';
import { createLimiter, defaultLimits, type RateLimits } from './http/limits.ts';
import { createHttpServer, createMcpRequestListener } from './http-server.ts';
import type { Caller } from './scopes.ts';
import { createMcpHttp } from './sdk/http.ts';
import { createSdkServer } from './sdk/server.ts';
import { createMcpStdio } from './sdk/stdio.ts';
import { createServiceSurface, sayingOfTemporal } from './service-surface.ts';

/** How long requests that are being answered may go on when the server stops. Milliseconds. */
const graceMs = 5_000;

export interface HttpServing {
  /** The port that it listens on; the configured one, or a free one where that is 0. */
  readonly port: number;
  /** Answers the next requests with these; sign-ins, limits and what is being answered stay. */
  reload(dependencies: McpDependencies): void;
  /** Stops taking requests, lets those that run end for five seconds, then closes what is left. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly version: string;
  readonly limits?: Partial<RateLimits>;
  /** How long an answer over HTTP is silent at most. Milliseconds; default 15 s. */
  readonly keepAliveMs?: number;
  /** How long a call over stdio may take whose client asked for no progress. Milliseconds; default 50 s. */
  readonly silentMs?: number;
}

/** Serves MCP over HTTP at `config.mcp.host` and `port`, with the console, health and metrics. */
export async function serveHttp(dependencies: McpDependencies, options: ServeOptions): Promise<HttpServing> {
  const { config, log, tokens, people } = dependencies;
  // What outlives a configuration: who has signed in, and who has sent too much.
  const kept = {
    limiter: createLimiter({ ...defaultLimits, ...options.limits }),
    sessions: createSessions(tokens, people),
  };
  let current = createGeneration(dependencies, options, kept);
  const older = new Set<Generation>();
  const server = createHttpServer((request, response) => current.answer(request, response));
  const port = await listen(server, config.mcp.host, config.mcp.port);
  log.info({ url: `${config.mcp.publicUrl}/api/mcp` }, 'serving MCP over HTTP');
  return {
    port,
    reload(next) {
      const before = current;
      current = createGeneration(next, options, kept);
      older.add(before);
      void before.retire().finally(() => older.delete(before));
    },
    async close() {
      await stop(server);
      await Promise.all([current, ...older].map((generation) => generation.retire()));
    },
  };
}

/** What answers with one configuration; a request is answered to its end by the one that has begun to. */
interface Generation {
  readonly answer: RequestListener;
  /** Resolves when its last request is over and what it holds is let go of. */
  retire(): Promise<void>;
}

function createGeneration(
  dependencies: McpDependencies,
  options: ServeOptions,
  { limiter, sessions }: { readonly limiter: ReturnType<typeof createLimiter>; readonly sessions: Sessions },
): Generation {
  const { log } = dependencies;
  const surface = createServiceSurface(dependencies, options.version);
  const mcp = createMcpHttp({
    log,
    makeServer: (caller) => createSdkServer({ surface, log }, caller),
    ...(options.keepAliveMs === undefined ? {} : { keepAliveMs: options.keepAliveMs }),
  });
  const health = createHealth(dependencies.findProblems);
  const answer = createMcpRequestListener({
    dependencies,
    mcp,
    tools: surface.tools,
    console: createConsole({
      ...sayingOfTemporal(dependencies),
      health,
      documentation: documentationOf(surface, dependencies),
      version: options.version,
      decisions: createDecisions(dependencies),
      sessions,
    }),
    health,
    limiter,
    version: options.version,
  });
  let going = 0;
  let whenIdle: (() => void) | undefined;
  let retired: Promise<void> | undefined;
  return {
    answer(request, response) {
      going += 1;
      response.once('close', () => {
        going -= 1;
        if (going === 0) whenIdle?.();
      });
      answer(request, response);
    },
    retire() {
      retired ??= (async () => {
        if (going > 0) await new Promise<void>((resolve) => (whenIdle = resolve));
        await mcp.close();
        await dependencies.close?.();
      })();
      return retired;
    },
  };
}

export interface StdioServing {
  /** Resolves when the client has closed its end. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves MCP on standard input and output. Whoever started the process is the caller: give the scope they are meant to
 * have. Nothing else may write to stdout; the logger must write to stderr or a file.
 */
export function serveStdio(
  dependencies: McpDependencies,
  options: ServeOptions & { readonly caller: Caller },
): StdioServing {
  const { log } = dependencies;
  const surface = createServiceSurface(dependencies, options.version);
  const { caller, silentMs } = options;
  const ofServer = { surface, log, localCaller: caller, ...(silentMs === undefined ? {} : { silentMs }) };
  const closed = once(process.stdin, 'close').then(() => undefined);
  const handle = createMcpStdio(() => createSdkServer(ofServer, caller), log);
  return { closed, close: () => handle.close() };
}

async function listen(server: HttpServer, host: string, port: number): Promise<number> {
  server.listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new ServiceError({
      code: reason === 'EADDRINUSE' ? 'conflict' : 'unavailable',
      message:
        reason === 'EADDRINUSE'
          ? `Another program listens on ${host}:${port}, where MCP is to be served`
          : `MCP can't be served on ${host}:${port} (${reason})`,
      remedy: 'Stop that program, or set another MCP_HOST or MCP_PORT.',
      details: { host, port },
      cause: error,
    });
  }
  return (server.address() as AddressInfo).port;
}

async function stop(server: HttpServer): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
