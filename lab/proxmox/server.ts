import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { authenticate, permissionsOf } from './access.ts';
import { type Answer, ApiFailure, type Format, toWire } from './answer.ts';
import { apiViewerFile, apiViewerPath } from './api-viewer.ts';
import type { Faults } from './faults.ts';
import { checkParameters, type ParameterRules } from './parameters.ts';
import { fillPath, type Match, type Router } from './router.ts';
import type { Caller, SimulatorState } from './state.ts';
import type { TaskEngine } from './tasks.ts';

export interface ServerParts {
  readonly state: SimulatorState;
  readonly tasks: TaskEngine;
  readonly router: Router;
  readonly faults: Faults;
  /** Every 401 waits this long, as Proxmox's does. */
  readonly authenticationDelayMs: number;
  /** How long a request to a node without a route to it waits before its 595. */
  readonly unreachableDelayMs: number;
  readonly onRequest: (request: SeenRequest) => void;
}

/** What came in, for tests: never the API token itself. */
export interface SeenRequest {
  readonly method: string;
  /** As sent: path and query. */
  readonly url: string;
  readonly authorized: boolean;
}

const methods = ['GET', 'POST', 'PUT', 'DELETE'];

/** The way of one request: fault, method, token, format, route, permission, node, parameters, handler. */
export function createListener(parts: ServerParts): RequestListener {
  return async (request, response) => {
    const { method = 'GET', url = '/' } = request;
    parts.onRequest({ method, url, authorized: request.headers.authorization !== undefined });
    const rest = await parts.faults.apply({ method, url }, response);
    if (rest === 'nothing') return;
    const format: Format = url.startsWith('/api2/extjs') ? 'extjs' : 'json';
    let outcome: Answer | ApiFailure;
    try {
      outcome = await answer(parts, request, method, url);
    } catch (error) {
      outcome = error instanceof ApiFailure ? error : new ApiFailure(500, `simulator: ${String(error)}`);
    }
    if (rest === 'lose-answer') response.socket?.destroy();
    else send(response, toWire(outcome, format));
  };
}

async function answer(parts: ServerParts, request: IncomingMessage, method: string, url: string): Promise<Answer> {
  if (!methods.includes(method)) throw new ApiFailure(501, `method '${method}' not available`, { body: 'none' });
  const [rawPath = '/', query = ''] = url.split(/\?(.*)/s, 2);
  const path = decodeURIComponent(rawPath);
  // Before anybody has to say who they are.
  if (method === 'GET' && path === apiViewerPath) {
    const headers = { 'content-type': 'application/javascript', 'last-modified': new Date(0).toUTCString() };
    return { data: null, file: { headers, body: apiViewerFile(parts.state) } };
  }
  const [, format, rest = '/'] = /^\/api2\/([^/]*)(\/.*)?$/.exec(path) ?? [];
  if (format === undefined) throw new ApiFailure(500, `no such file '${path}'`, { body: 'text' });
  const caller = await identify(parts, request);
  if (format !== 'json' && format !== 'extjs') {
    throw new ApiFailure(501, `no formatter for uri ${rest}, ${format}`, { body: 'text' });
  }
  const given =
    method === 'POST' || method === 'PUT' ? await bodyParameters(request) : fields(new URLSearchParams(query));
  const match = parts.router(method, rest);
  if (!match) throw new ApiFailure(501, `Method '${method} ${rest.replace(/\/+/g, '/')}' not implemented`);
  return call(parts, match, caller, given);
}

async function identify(parts: ServerParts, request: IncomingMessage): Promise<Caller> {
  try {
    return authenticate(parts.state, request.headers);
  } catch (error) {
    await sleep(parts.authenticationDelayMs);
    throw error;
  }
}

async function call(
  parts: ServerParts,
  { route, pathParameters }: Match,
  caller: Caller,
  given: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { state, tasks } = parts;
  const permissions = permissionsOf(state, caller.id);
  if (route.permission) {
    permissions.require(fillPath(route.permission.path, pathParameters), ...route.permission.anyOf);
  }
  if (route.onNode) await reach(parts, pathParameters.node ?? '');
  const ofPath = Object.fromEntries(Object.keys(pathParameters).map((name) => [name, { type: 'string' }] as const));
  const rules: ParameterRules = { ...ofPath, ...route.parameters };
  const parameters = checkParameters({ ...given, ...pathParameters }, rules);
  return route.handle({ state, tasks, caller, permissions, parameters });
}

/** Another node is asked over the network: its name must resolve and its API must answer. */
async function reach({ state, unreachableDelayMs }: ServerParts, name: string): Promise<void> {
  if (name === state.localNode || name === 'localhost') return;
  const node = state.nodes.get(name);
  if (!node) {
    const cause = `failed to get address info for: ${name}: Temporary failure in name resolution`;
    throw new ApiFailure(500, `hostname lookup '${name}' failed - ${cause}`);
  }
  if (node.api === 'refused') throw new ApiFailure(595, 'Connection refused', { body: 'none' });
  if (node.api === 'up') return;
  await sleep(unreachableDelayMs);
  throw new ApiFailure(595, 'No route to host', { body: 'none' });
}

async function bodyParameters(request: IncomingMessage): Promise<Record<string, string>> {
  const type = request.headers['content-type'] ?? '';
  const body = await text(request);
  if (type.startsWith('application/json')) return jsonParameters(body);
  if (type === '' || type.startsWith('application/x-www-form-urlencoded')) return fields(new URLSearchParams(body));
  throw new ApiFailure(506, `upload 'Content-Type '${type}' not implemented`, { body: 'text' });
}

function jsonParameters(body: string): Record<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    const problem = 'malformed JSON string, neither tag, array, object, number, string or atom, at character offset 0';
    throw new ApiFailure(500, problem, { body: 'text' });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new ApiFailure(500, 'Not a HASH reference', { body: 'text' });
  }
  const asText = (value: unknown) => (typeof value === 'boolean' ? (value ? '1' : '0') : String(value ?? ''));
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, asText(value)]));
}

/** Repeated keys become one list with NUL between its items, as in Proxmox. */
function fields(search: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...new Set(search.keys())].map((name) => [name, search.getAll(name).join('\0')]));
}

function send(response: ServerResponse, wire: ReturnType<typeof toWire>): void {
  if (response.destroyed) return;
  const now = new Date().toUTCString();
  response.writeHead(wire.status, wire.reason, {
    'cache-control': 'max-age=0',
    connection: 'Keep-Alive',
    date: now,
    pragma: 'no-cache',
    server: 'pve-api-daemon/3.0',
    'content-length': Buffer.byteLength(wire.body),
    expires: now,
    ...wire.headers,
  });
  response.end(wire.body);
}
