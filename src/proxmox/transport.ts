import type { ApiRequestable } from 'proxmox-api';
import { isHostAddress, urlHost } from '../address.ts';
import type { ProxmoxApiConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { inSpan, type SpanStart } from '../trace.ts';
import type { ClusterView } from './cluster-nodes.ts';
import { type Credentials, credentialsOfToken } from './credentials.ts';
import {
  alsoTried,
  cancelledFailure,
  type FailedCall,
  missingFile,
  networkFailure,
  refusalFailure,
  unexpectedAnswer,
} from './failures.ts';
import { AnswerTooLong, createNodeLink, type NodeAddress, type NodeLink, type RawAnswer } from './node-link.ts';
import { encodeParameters } from './parameters.ts';
import { safePath } from './path.ts';

export interface CallOptions {
  /** Gives the call up; for a change the outcome is then unknown. */
  readonly signal?: AbortSignal;
  /** Deadline for the whole call with its retries. Default: the client's. */
  readonly timeoutMs?: number;
  /** Only the host's own node is asked, as where the question is whether it answers. */
  readonly ownNodeOnly?: boolean;
}

export interface TransportOptions {
  readonly log: Log;
  /** Default 30 000: a dead peer takes Proxmox up to 14 s to notice, and a lost quorum 10 s. */
  readonly timeoutMs?: number;
  /** How often a GET is tried again after a network error or a 502, 503, 504, 595, 596 or 599. Default 2. */
  readonly retries?: number;
  /** The other nodes of the cluster. Default: none is known, and only the configured address is asked. */
  readonly cluster?: ClusterView;
}

/** A successful answer's body. */
export interface ApiAnswer {
  readonly data: unknown;
  /** Of a paged list. */
  readonly total?: number;
  /** Another node than the host's own has answered. */
  readonly elsewhere?: true;
}

/** Sends calls to one Proxmox API. */
export interface Transport {
  /**
   * @param method GET, POST, PUT or DELETE
   * @param path with its values in it, slashes in them as %2F (as `proxmox-api` makes it): `/api2/json/nodes/pve1`
   * @param template the same path with `*` for each value
   * @throws ServiceError see `src/proxmox/failures.ts`
   */
  send(
    method: string,
    path: string,
    template: string,
    parameters?: Readonly<Record<string, unknown>>,
    options?: CallOptions,
  ): Promise<ApiAnswer>;
  /**
   * One of the files that the API's server shows to everybody, as text. No API token is sent; the certificate is checked as
   * for every call.
   *
   * @param path from the server's root: `/pve-docs/api-viewer/apidoc.js`
   * @param maxBytes of the text; a longer one is refused while it is read
   * @throws ServiceError `proxmox-not-found`, `unexpected-answer`, and what every GET throws
   */
  publicFile(path: string, maxBytes: number, options?: CallOptions): Promise<string>;
  /**
   * A download of the host's own node: another one would have to hold all of it. Asked once.
   *
   * @param path as of {@link send}
   * @returns its bytes as they come. That they end says nothing of whether there should be more: such an answer has no length
   * @throws ServiceError what every GET throws, also while it is read
   */
  open(
    path: string,
    template: string,
    parameters: Readonly<Record<string, unknown>>,
    options?: Pick<CallOptions, 'signal'>,
  ): Promise<AsyncIterable<Uint8Array>>;
  /** What `proxmox-api` calls, with the options of one or more calls. */
  engine(options?: CallOptions): ApiRequestable;
  close(): Promise<void>;
}

const base = '/api2/json';

/** How long a node that couldn't be reached isn't asked again, at first and at most, while others can be. */
const downMs = { first: 10_000, most: 60_000 };
/** How many nodes one call tries. When so many are away it is rather this machine's network. */
const mostTried = 4;

/** Makes the transport; nothing is connected before the first call. */
export function createTransport(config: ProxmoxApiConfig, options: TransportOptions): Transport {
  checkSendable(config);
  return createTransportFor(config, credentialsOfToken(config), options);
}

/**
 * The same with any credentials. A call goes to the configured address. Where that can't be reached, or says that it can't
 * do what any node could, and a call certainly wasn't carried out, it goes to other nodes of the same cluster: to those whose
 * certificates are known, and to no other.
 */
export function createTransportFor(
  own: NodeAddress,
  credentials: Credentials,
  { log, timeoutMs: defaultTimeoutMs = 30_000, retries = 2, cluster }: TransportOptions,
): Transport {
  const links = new Map<string, NodeLink>();
  const down = new Map<string, { readonly until: number; readonly forMs: number }>();
  const others = () => cluster?.others() ?? [];

  function linkTo(node: NodeAddress): NodeLink {
    const key = keyOf(node);
    const made = links.get(key);
    if (made) return made;
    const link = createNodeLink(node, { timeoutMs: defaultTimeoutMs, retries, hasOthers: () => others().length > 0 });
    links.set(key, link);
    return link;
  }
  // A wrong pin or CA file is said at once.
  linkTo(own);

  function candidates(template: string, options: CallOptions): readonly NodeAddress[] {
    // `localhost` is whoever answers.
    if (options.ownNodeOnly || template.startsWith(`${base}/nodes/localhost`)) return [own];
    const isDown = (node: NodeAddress) => (down.get(keyOf(node))?.until ?? 0) > performance.now();
    const all = [own, ...others()];
    const up = all.filter((node) => !isDown(node));
    return [...up, ...all.filter(isDown)].slice(0, Math.max(mostTried, 1));
  }

  function setDown(node: NodeAddress): void {
    const before = down.get(keyOf(node))?.forMs;
    const forMs = before === undefined ? downMs.first : Math.min(before * 2, downMs.most);
    down.set(keyOf(node), { until: performance.now() + forMs, forMs });
  }

  async function send(
    rawMethod: string,
    rawPath: string,
    template: string,
    parameters?: Readonly<Record<string, unknown>>,
    callOptions: CallOptions = {},
  ): Promise<ApiAnswer> {
    const { signal, timeoutMs = defaultTimeoutMs } = callOptions;
    const method = methodOf(rawMethod);
    const path = safePath(rawPath, template);
    const encoded = encodeParameters(parameters);
    const inBody = method === 'POST' || method === 'PUT';
    const deadline = AbortSignal.timeout(timeoutMs);
    const request = {
      path: encoded === '' || inBody ? path : `${path}?${encoded}`,
      method,
      headers: {
        ...credentials.headers(method),
        'user-agent': 'proxmox-mcp',
        ...(inBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
      body: inBody ? encoded : null,
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    } as const;
    const tried: { readonly node: NodeAddress; readonly failure: ServiceError }[] = [];
    const nodes = candidates(template, callOptions);
    for (const [index, node] of nodes.entries()) {
      const isLast = index === nodes.length - 1;
      const call: FailedCall = {
        host: node.host,
        port: node.port,
        token: credentials.id,
        ...(node.product !== undefined && { product: node.product }),
        method,
        path: path.slice(base.length),
      };
      const started = performance.now();
      let answer: RawAnswer;
      try {
        answer = await inSpan(spanOf(node, method, template), async (span) => {
          const said = await linkTo(node).exchange(request, isLast);
          span.set({ 'http.response.status_code': said.status, 'proxmox_mcp.upid': upidIn(said) });
          if (said.status >= 400) span.fail(`status-${said.status}`);
          return said;
        });
      } catch (error) {
        const failure = signal?.aborted ? cancelledFailure(call) : networkFailure(error, call);
        log.debug({ host: node.host, method, path: template, code: failure.code }, 'proxmox call failed');
        const isOver = signal?.aborted || deadline.aborted;
        if (!isOver && isUnreached(failure, node === own)) {
          if (failure.code !== 'proxmox-certificate') setDown(node);
          tried.push({ node, failure });
          if (!isLast) continue;
        }
        if (tried[0] === undefined || failure.code === 'outcome-unknown') throw failure;
        throw alsoTried(tried.toSorted((a, b) => Number(b.node === own) - Number(a.node === own)));
      }
      const ms = Math.round(performance.now() - started);
      log.debug({ host: node.host, method, path: template, status: answer.status, ms }, 'proxmox call');
      if (isForAnyNode(answer.status, method, template)) {
        if (!isLast) {
          tried.push({ node, failure: failureOf(answer, call, credentials) });
          continue;
        }
      } else if (down.delete(keyOf(node))) log.info({ host: node.host }, 'this node answers again');
      return accepted(answer, call, { credentials, isOwn: node === own, tried });
    }
    throw new Error('no node to ask');
  }

  function accepted(
    answer: RawAnswer,
    call: FailedCall,
    at: { readonly credentials: Credentials; readonly isOwn: boolean; readonly tried: Parameters<typeof alsoTried>[0] },
  ): ApiAnswer {
    try {
      const said = interpret(answer, call, at.credentials);
      if (at.isOwn) cluster?.answered();
      return at.isOwn ? said : { ...said, elsewhere: true };
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const unknown = /hostname lookup '([^']*)' failed/.exec(error.message)?.[1];
      if (unknown !== undefined) cluster?.isUnknown(unknown);
      const [first] = at.tried;
      if (at.isOwn || first === undefined || error.code !== 'proxmox-unavailable') throw error;
      throw new ServiceError({
        code: error.code,
        message: `${error.message} (Asked there because ${first.failure.message.replace(/\.$/, '')}.)`,
        remedy: error.remedy,
        retryable: error.retryable,
        details: error.details,
        cause: error,
      });
    }
  }

  async function publicFile(path: string, maxBytes: number, callOptions: CallOptions = {}): Promise<string> {
    const { signal, timeoutMs = defaultTimeoutMs } = callOptions;
    const deadline = AbortSignal.timeout(timeoutMs);
    const request = {
      path,
      method: 'GET',
      headers: { 'user-agent': 'proxmox-mcp' },
      body: null,
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    } as const;
    const nodes = candidates(path, callOptions);
    let first: ServiceError | undefined;
    for (const [index, node] of nodes.entries()) {
      const isLast = index === nodes.length - 1;
      const call: FailedCall = { host: node.host, port: node.port, token: credentials.id, method: 'GET', path };
      try {
        return fileIn(await linkTo(node).exchange(request, isLast, maxBytes), call);
      } catch (error) {
        const failure = signal?.aborted ? cancelledFailure(call) : fileFailure(error, call, maxBytes);
        const isOver = signal?.aborted || deadline.aborted || isLast;
        if (isOver || !isUnreached(failure, node === own)) throw first ?? failure;
        first ??= failure;
      }
    }
    throw new Error('no node to ask');
  }

  async function open(
    rawPath: string,
    template: string,
    parameters: Readonly<Record<string, unknown>>,
    { signal }: Pick<CallOptions, 'signal'> = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const path = safePath(rawPath, template);
    const { host, port } = own;
    const call: FailedCall = { host, port, token: credentials.id, method: 'GET', path: path.slice(base.length) };
    const failure = (error: unknown) => (signal?.aborted ? cancelledFailure(call) : networkFailure(error, call));
    const request = {
      path: `${path}?${encodeParameters(parameters)}`,
      method: 'GET',
      headers: { ...credentials.headers('GET'), 'user-agent': 'proxmox-mcp' },
      body: null,
      signal: signal ?? new AbortController().signal,
    } as const;
    const answer = await linkTo(own)
      .open(request)
      .catch((error: unknown) => {
        throw failure(error);
      });
    log.debug({ host, method: 'GET', path: template, status: answer.status }, 'proxmox download');
    if (answer.bytes === undefined) throw failureOf(answer, call, credentials);
    return readThrough(answer.bytes, failure);
  }

  return {
    send,
    publicFile,
    open,
    engine: (callOptions) => ({
      doRequest: async (method, path, template, parameters) =>
        (await send(method, path, template, parameters, callOptions)).data,
    }),
    async close() {
      await Promise.all([...links.values()].map((link) => link.close()));
    },
  };
}

async function* readThrough(
  bytes: AsyncIterable<Uint8Array>,
  failure: (error: unknown) => ServiceError,
): AsyncGenerator<Uint8Array> {
  const parts = bytes[Symbol.asyncIterator]();
  try {
    for (;;) {
      const part = await parts.next().catch((error: unknown) => {
        throw failure(error);
      });
      if (part.done === true) return;
      yield part.value;
    }
  } finally {
    // Who reads no further ends the connection.
    await parts.return?.();
  }
}

/** A path with its values in it may name what somebody wrote, a secret perhaps; its template can't. */
function spanOf({ host, port }: NodeAddress, method: string, template: string): SpanStart {
  const path = template.slice(base.length);
  const attributes = {
    'http.request.method': method,
    'url.template': path,
    'server.address': host,
    'server.port': port,
  };
  return { name: `${method} ${path}`, kind: 'client', attributes };
}

/** A task that the call has started is all of its answer. */
function upidIn({ body }: RawAnswer): string | undefined {
  return body.length < 300 ? /^\{"data":"(UPID:[\w.:@!/-]+)"/.exec(body)?.[1] : undefined;
}

function keyOf({ host, port, trust }: NodeAddress): string {
  return `${host}:${port} ${trust.kind === 'fingerprint' ? trust.sha256 : trust.kind}`;
}

/** Whether nothing was done by a call that failed so, so that another node may be asked. */
function isUnreached({ code }: ServiceError, isOwn: boolean): boolean {
  if (code === 'proxmox-unavailable' || code === 'timeout') return true;
  // Another certificate than the pinned one is the administrator's to judge; of another node it is only no help.
  return code === 'proxmox-certificate' && !isOwn;
}

/**
 * Whether a refusal says that this node's own daemons or its proxy are away, of something that any node can answer. What is
 * about one node is passed on to that one by all the others: they would say the same.
 */
function isForAnyNode(status: number, method: string, template: string): boolean {
  if (/^\/api2\/json\/nodes\/./.test(template)) return false;
  // 595: nothing reached the daemon. After the others it may have been done.
  return status === 595 || (method === 'GET' && [502, 503, 504, 596, 599].includes(status));
}

/** What would only fail at the first call, and there with an error that doesn't name the key. */
function checkSendable(config: ProxmoxApiConfig): void {
  const { user, tokenName, tokenValue } = config;
  const fields = { user, 'token name': tokenName, 'token value': tokenValue.reveal() };
  const [wrong] = Object.entries(fields).find(([, value]) => !/^[\x21-\x7e]+$/.test(value)) ?? [];
  const origin = `https://${urlHost(config.host)}:${config.port}`;
  const problem = isHostAddress(config.host) && URL.canParse(origin) ? wrong : 'host or port';
  if (problem === undefined) return;
  throw new ServiceError({
    code: 'configuration',
    message: `The ${problem} of the Proxmox API is empty or has characters that can't be sent.`,
    remedy: 'Look for a missing value, a space, a line break or a quotation mark too many in the configuration.',
    details: { field: problem },
  });
}

function failureOf(answer: RawAnswer, call: FailedCall, credentials: Credentials): ServiceError {
  const { status, contentType } = answer;
  const parsed = contentType.startsWith('application/json') ? parse(answer.body) : undefined;
  const text = typeof parsed?.message === 'string' && status !== 401 ? parsed.message : answer.reason;
  const errors = Object.entries(isRecord(parsed?.errors) ? parsed.errors : {});
  const clean = (value: unknown) => printable(String(value), credentials);
  return refusalFailure(
    {
      status,
      text: clean(text),
      errors: Object.fromEntries(errors.map(([key, value]) => [clean(key), clean(value)])),
    },
    call,
  );
}

function fileIn({ status, reason, body }: RawAnswer, call: FailedCall): string {
  if (status === 200) return body;
  // pveproxy says it with status 500, and why in the reason phrase.
  const isMissing = status === 404 || (status === 500 && /no such file|unable to open file/i.test(reason));
  throw isMissing ? missingFile(call) : unexpectedAnswer(call, `status ${status}`);
}

function fileFailure(error: unknown, call: FailedCall, maxBytes: number): ServiceError {
  return error instanceof AnswerTooLong
    ? unexpectedAnswer(call, `it is longer than ${Math.round(maxBytes / 2 ** 20)} MiB`)
    : networkFailure(error, call);
}

function interpret(answer: RawAnswer, call: FailedCall, credentials: Credentials): ApiAnswer {
  const { status, contentType } = answer;
  if (status !== 200) {
    if (status < 400) throw unexpectedAnswer(call, `status ${status}`);
    throw failureOf(answer, call, credentials);
  }
  const parsed = contentType.startsWith('application/json') ? parse(answer.body) : undefined;
  if (!parsed) throw unexpectedAnswer(call, contentType.startsWith('application/json') ? 'broken JSON' : 'no JSON');
  if (!('data' in parsed)) throw unexpectedAnswer(call, 'JSON without "data"');
  return { data: parsed.data, ...(typeof parsed.total === 'number' ? { total: parsed.total } : {}) };
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return isRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What the other side says, fit for a message: bounded, without control characters, and never with a secret of ours in it. */
function printable(text: string, { secrets }: Credentials): string {
  return (
    secrets
      .reduce((cleaned, secret) => cleaned.replaceAll(secret.reveal(), '[secret]'), text)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out.
      .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
      .trim()
      .replace(/\.$/, '')
      .slice(0, 500)
  );
}

const methods = ['GET', 'POST', 'PUT', 'DELETE'] as const;

function methodOf(raw: string): (typeof methods)[number] {
  const upper = raw.toUpperCase();
  const known = methods.find((method) => method === upper);
  if (known) return known;
  throw new ServiceError({
    code: 'invalid-input',
    message: `Proxmox has no method ${JSON.stringify(raw.slice(0, 20))}.`,
    remedy: 'Use get, post, put or delete.',
  });
}
