import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { authenticate, nobody, permissionsOf } from './access.ts';
import { type Answer, ApiFailure, type Format, toWire } from './answer.ts';
import { apiViewerFile, apiViewerPath } from './api-viewer.ts';
import type { Faults } from './faults.ts';
import { checkParameters, type Parameters, schemaRules } from './parameters.ts';
import { requirePermission } from './permission-checks.ts';
import { fillPath, type Match, notImplemented, type Router } from './router.ts';
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
      if (outcome.status === 401) await sleep(parts.authenticationDelayMs);
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
  const match = parts.router(method, rest);
  const isOpen = match?.schema?.permissions?.user === 'world';
  const caller = authenticate(parts.state, { method, headers: request.headers }, isOpen);
  if (format !== 'json' && format !== 'extjs') {
    throw new ApiFailure(501, `no formatter for uri ${rest}, ${format}`, { body: 'text' });
  }
  const given =
    method === 'POST' || method === 'PUT' ? await bodyParameters(request) : fields(new URLSearchParams(query));
  if (!match) throw notImplemented(method, rest);
  return call(parts, match, caller, given);
}

async function call(
  parts: ServerParts,
  match: Match,
  caller: Caller,
  given: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { route, schema, pathParameters } = match;
  const { state, tasks } = parts;
  const all = { ...given, ...pathParameters };
  if (schema?.allowtoken === 0 && caller.token !== undefined) {
    throw forbiddenToTokens(route.path);
  }
  const permissions = permissionsOf(state, caller.id);
  if (route.permission) {
    permissions.require(fillPath(route.permission.path, pathParameters), ...route.permission.anyOf);
  } else if (schema && caller !== nobody) {
    requirePermission(schema, { state, caller, permissions, given: all });
  }
  if (route.onNode ?? schema?.proxyto === 'node') await reach(parts, pathParameters.node ?? '');
  // The proxy has to ask the daemon that is root, which isn't there.
  if (schema?.protected && state.daemon === 'down' && isLocal(state, pathParameters.node)) {
    throw new ApiFailure(595, 'Connection refused', { body: 'none' });
  }
  const parameters = parametersOf(match, all);
  const by = { method: route.method, template: route.path };
  // What starts no task is done when it is answered: a fault leaves it undone then.
  const isSilent = schema?.returns === 'null' && route.method !== 'GET';
  if (isSilent && parts.faults.isSilent({ ...by, vmid: Number(parameters.vmid) })) return { data: null };
  const startedBy = {
    ...tasks,
    start: ((request, work) => tasks.start({ ...request, by }, work)) as TaskEngine['start'],
  };
  return route.handle({ state, tasks: startedBy, caller, permissions, parameters });
}

/** As the route's own rules say, else as the schema's do. */
function parametersOf({ route, schema, pathParameters }: Match, all: Readonly<Record<string, string>>): Parameters {
  if (!route.parameters && schema) return checkParameters(all, schemaRules(schema), schema.additional === 1);
  const ofPath = Object.fromEntries(Object.keys(pathParameters).map((name) => [name, { type: 'string' }] as const));
  return checkParameters(all, { ...ofPath, ...route.parameters });
}

function forbiddenToTokens(path: string): ApiFailure {
  const text = `URI '${path}' not available with API token, need proper ticket.`;
  return new ApiFailure(403, `Permission check failed (${text}\n)`);
}

function isLocal(state: SimulatorState, node: string | undefined): boolean {
  return node === undefined || node === state.localNode || node === 'localhost';
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
  const asText = (value: unknown): string => {
    if (Array.isArray(value)) return value.map(asText).join('\0');
    return typeof value === 'boolean' ? (value ? '1' : '0') : String(value ?? '');
  };
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, asText(value)]));
}

/** Repeated keys become one list with NUL between its items, as in Proxmox. */
function fields(search: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...new Set(search.keys())].map((name) => [name, search.getAll(name).join('\0')]));
}

function send(response: ServerResponse, wire: ReturnType<typeof toWire>): void {
  if (response.destroyed) return;
  const now = new Date().toUTCString();
  const isOpen = wire.endsWithConnection === true;
  if (isOpen) response.useChunkedEncodingByDefault = false;
  response.writeHead(wire.status, wire.reason, {
    'cache-control': 'max-age=0',
    connection: isOpen ? 'close' : 'Keep-Alive',
    date: now,
    pragma: 'no-cache',
    server: 'pve-api-daemon/3.0',
    ...(isOpen ? {} : { 'content-length': Buffer.byteLength(wire.body) }),
    expires: now,
    ...wire.headers,
  });
  response.end(wire.body);
}
