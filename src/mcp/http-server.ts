import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { isJsonContentType } from '@modelcontextprotocol/server';
import type { Console } from '../console/console.ts';
import { cleanLine } from '../reports/clean.ts';
import type { McpDependencies } from './dependencies.ts';
import { createAccess } from './http/access.ts';
import { answer, answerJson, refuse } from './http/answer.ts';
import { authenticate, challenge, metadataPath, protectedResource, scopeChallenge } from './http/authentication.ts';
import { readBody } from './http/body.ts';
import { gatePath, serveConsole } from './http/console.ts';
import { createFindOrigin } from './http/forwarded.ts';
import type { Health } from './http/health.ts';
import type { createLimiter } from './http/limits.ts';
import { reachPath, serveReach } from './http/reach.ts';
import type { Caller } from './scopes.ts';
import type { McpHttp } from './sdk/http.ts';
import type { Toolbox } from './toolbox.ts';

/** The largest request body. Arguments are small; nothing is uploaded through MCP. Bytes. */
const bodyLimit = 1024 * 1024;

export interface HttpServerOptions {
  readonly dependencies: McpDependencies;
  readonly mcp: McpHttp;
  readonly tools: Toolbox;
  /** The administrators' page and the tools' documentation. */
  readonly console: Console;
  readonly health: () => Promise<Health>;
  readonly limiter: ReturnType<typeof createLimiter>;
  readonly version: string;
}

/** Answers HTTP: MCP at `/api/mcp`, the console, health and metrics beside it. */
export function createMcpRequestListener(options: HttpServerOptions): RequestListener {
  const { dependencies, mcp, tools, health, version } = options;
  const { config, tokens, log, metrics } = dependencies;
  const { publicUrl } = config.mcp;
  const originOf = createFindOrigin(config.mcp.trustedProxies);
  const access = createAccess(config.mcp.allowedHosts, publicUrl, originOf);
  const limiter = options.limiter(originOf);
  const answerConsole = serveConsole(options.console, { access, limiter, originOf, publicUrl, metrics });

  const answerReach = serveReach(originOf, log);

  const pages: Readonly<Record<string, (response: ServerResponse, request: IncomingMessage) => Promise<void> | void>> =
    {
      '/livez': (response) => answerJson(response, 200, { status: 'alive' }),
      '/readyz': async (response) => {
        const { status, findings } = await health();
        answerJson(response, status === 'healthy' ? 200 : 503, { ready: status === 'healthy', findings });
      },
      '/health': async (response) => {
        const found = await health();
        answerJson(response, found.status === 'healthy' ? 200 : 503, { ...found, version });
      },
      '/metrics': async (response) =>
        answer(response, 200, metrics.registry.contentType, await metrics.registry.metrics()),
      [reachPath]: (response, request) => answerReach(request, response),
      [metadataPath]: (response) => answerJson(response, 200, protectedResource(publicUrl)),
      [`${metadataPath}/api/mcp`]: (response) => answerJson(response, 200, protectedResource(publicUrl)),
    };

  metrics.expect({ routes: ['/api/mcp', gatePath, ...Object.keys(pages), ...options.console.routes, 'other'] });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request);
    if (!access.admitsHost(request)) {
      metrics.refused('host');
      return refuse(
        response,
        403,
        `Host ${JSON.stringify(request.headers.host ?? '')} is not served here; an administrator can add it to the allowed hosts.`,
      );
    }
    if (!access.admitsOrigin(request)) {
      metrics.refused('origin');
      return refuse(response, 403, 'This Origin is not served here.');
    }
    if (path === gatePath || options.console.routeOf(path) !== undefined) return answerConsole(request, response, path);
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    if (page === undefined && path !== '/api/mcp')
      return answerJson(response, 404, {
        error: `There is nothing at ${cleanLine(path, 200)}; the documentation is at /tools.`,
      });
    if (page === undefined) return serveMcp(request, response);
    const wait = await limiter.address(request);
    if (wait !== undefined) return tooMany(response, wait);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return answerJson(response, 405, { error: 'GET only' }, { allow: 'GET, HEAD' });
    await page(response, request);
  }

  async function serveMcp(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const caller = await identify(request, response);
    if (caller === undefined) return;
    if (request.method !== 'POST') return mcp.handle(request, response, caller, undefined);
    if (!isJsonContentType(request.headers['content-type'])) {
      return refuse(response, 415, 'Unsupported Media Type: Content-Type must be application/json');
    }
    const read = await readBody(request, bodyLimit);
    if (read.kind === 'too-large') {
      metrics.refused('too-large');
      return refuse(response, 413, `The request is larger than ${bodyLimit} bytes.`, {
        headers: { connection: 'close' },
      });
    }
    if (read.kind === 'broken') return void response.destroy();
    const body = parse(read.text);
    if (body === undefined) return refuse(response, 400, 'Parse error: the body is not JSON', { code: -32_700 });
    if (admitsCall(body, caller, response)) await mcp.handle(request, response, caller, body);
  }

  /** Who it is, or undefined after the request was refused. */
  async function identify(request: IncomingMessage, response: ServerResponse): Promise<Caller | undefined> {
    const caller = await authenticate(request, tokens);
    if (caller === undefined) {
      const locked = (await limiter.address(request)) ?? (await limiter.failed(request));
      if (locked !== undefined) return void tooMany(response, locked);
      metrics.refused('unauthenticated');
      const came = request.headers.authorization !== undefined;
      const message = came ? 'The token is unknown, revoked or expired.' : 'A bearer token is needed.';
      return void refuse(
        response,
        401,
        `${message} An administrator makes one with: npx proxmox-mcp token create NAME --scope read`,
        {
          headers: { 'www-authenticate': challenge(publicUrl, came) },
        },
      );
    }
    const wait = await limiter.token(caller.name);
    return wait === undefined ? caller : void tooMany(response, wait);
  }

  /** Whether the caller's scope covers the call that the body makes, with its arguments; refuses if not. */
  function admitsCall(body: unknown, caller: Caller, response: ServerResponse): boolean {
    const { method, params, id } = body as {
      method?: unknown;
      params?: { name?: unknown; arguments?: unknown };
      id?: unknown;
    };
    if (method !== 'tools/call' || typeof params?.name !== 'string') return true;
    const error = tools.forbidden(params.name, params.arguments, caller);
    if (error === undefined) return true;
    metrics.refused('forbidden');
    refuse(response, 403, `${error.message}. ${error.remedy}`, {
      id,
      headers: { 'www-authenticate': scopeChallenge(publicUrl, String(error.details.scope)) },
    });
    return false;
  }

  function tooMany(response: ServerResponse, seconds: number): void {
    metrics.refused('rate-limited');
    refuse(response, 429, `Too many requests; try again in ${seconds} s.`, {
      headers: { 'retry-after': String(seconds) },
    });
  }

  /** A route for metrics: one of ours, never what a request made up. */
  function routeOf(path: string): string {
    if (path === '/api/mcp' || path === gatePath || Object.hasOwn(pages, path)) return path;
    return options.console.routeOf(path) ?? 'other';
  }

  return (request, response) => {
    const began = performance.now();
    serve(request, response)
      .catch((error: unknown) => {
        log.error({ err: error }, 'an HTTP request failed');
        refuse(response, 500, 'The service failed unexpectedly; its log says why.', { code: -32_603 });
      })
      .finally(() =>
        metrics.httpRequest(routeOf(pathOf(request)), response.statusCode, (performance.now() - began) / 1_000),
      );
  };
}

/** An HTTP server with our limits of time and size, not yet listening. */
export function createHttpServer(answer: RequestListener): Server {
  const server = createServer({ maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 5_000 }, answer);
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  server.keepAliveTimeout = 65_000;
  return server;
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

function parse(text: string): unknown {
  try {
    const body: unknown = JSON.parse(text);
    return body === null ? undefined : body;
  } catch {
    return undefined;
  }
}
