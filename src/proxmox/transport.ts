import { gunzipSync } from 'node:zlib';
import type { ApiRequestable } from 'proxmox-api';
import { Agent, type Dispatcher, interceptors } from 'undici';
import { isHostAddress, urlHost } from '../address.ts';
import type { ProxmoxApiConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { connectorFor } from './certificate.ts';
import {
  cancelledFailure,
  type FailedCall,
  missingFile,
  networkFailure,
  refusalFailure,
  unexpectedAnswer,
} from './failures.ts';
import { encodeParameters } from './parameters.ts';
import { safePath } from './path.ts';

export interface CallOptions {
  /** Gives the call up; for a change the outcome is then unknown. */
  readonly signal?: AbortSignal;
  /** Deadline for the whole call with its retries. Default: the client's. */
  readonly timeoutMs?: number;
}

export interface TransportOptions {
  readonly log: Log;
  /** Default 30 000: a dead peer takes Proxmox up to 14 s to notice, and a lost quorum 10 s. */
  readonly timeoutMs?: number;
  /** How often a GET is tried again after a network error or a 502, 503, 504, 595, 596 or 599. Default 2. */
  readonly retries?: number;
}

/** A successful answer's body. */
export interface ApiAnswer {
  readonly data: unknown;
  /** Of a paged list. */
  readonly total?: number;
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
  /** What `proxmox-api` calls, with the options of one or more calls. */
  engine(options?: CallOptions): ApiRequestable;
  close(): Promise<void>;
}

const maxAnswerBytes = 64 * 2 ** 20;
const base = '/api2/json';

/** Makes the transport; nothing is connected before the first call. */
export function createTransport(config: ProxmoxApiConfig, options: TransportOptions): Transport {
  const { log, timeoutMs: defaultTimeoutMs = 30_000, retries = 2 } = options;
  const token = `${config.user}!${config.tokenName}`;
  const origin = `https://${urlHost(config.host)}:${config.port}`;
  checkSendable(config, origin);
  const agent = new Agent({
    connect: connectorFor(config, Math.min(defaultTimeoutMs, 10_000)),
    connections: 16,
    // Below the 5 s after which pveproxy closes idle connections, so that no change is sent into a closing one.
    keepAliveTimeout: 3_000,
    maxResponseSize: maxAnswerBytes,
    // The one deadline is the call's own.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const retrying = agent.compose(
    interceptors.retry({
      maxRetries: retries,
      minTimeout: 100,
      timeoutFactor: 3,
      maxTimeout: 2_000,
      methods: ['GET'],
      statusCodes: [502, 503, 504, 595, 596, 599],
      throwOnError: false,
    }),
  );

  async function send(
    rawMethod: string,
    rawPath: string,
    template: string,
    parameters?: Readonly<Record<string, unknown>>,
    { signal, timeoutMs = defaultTimeoutMs }: CallOptions = {},
  ): Promise<ApiAnswer> {
    const method = methodOf(rawMethod);
    const path = safePath(rawPath, template);
    const call: FailedCall = { host: config.host, port: config.port, token, method, path: path.slice(base.length) };
    const encoded = encodeParameters(parameters);
    const inBody = method === 'POST' || method === 'PUT';
    const deadline = AbortSignal.timeout(timeoutMs);
    const started = performance.now();
    let answer: RawAnswer;
    try {
      answer = await exchange(method === 'GET' ? retrying : agent, {
        origin,
        path: encoded === '' || inBody ? path : `${path}?${encoded}`,
        method,
        headers: {
          authorization: `PVEAPIToken=${token}=${config.tokenValue.reveal()}`,
          'user-agent': 'proxmox-mcp',
          ...(inBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        },
        body: inBody ? encoded : null,
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
    } catch (error) {
      const failure = signal?.aborted ? cancelledFailure(call) : networkFailure(error, call);
      log.debug({ host: config.host, method, path: template, code: failure.code }, 'proxmox call failed');
      throw failure;
    }
    const ms = Math.round(performance.now() - started);
    log.debug({ host: config.host, method, path: template, status: answer.status, ms }, 'proxmox call');
    return interpret(answer, call, config);
  }

  async function publicFile(
    path: string,
    maxBytes: number,
    { signal, timeoutMs = defaultTimeoutMs }: CallOptions = {},
  ): Promise<string> {
    const call: FailedCall = { host: config.host, port: config.port, token, method: 'GET', path };
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const { statusCode, statusText, headers, body } = await retrying.request({
        origin,
        path,
        method: 'GET',
        headers: { 'user-agent': 'proxmox-mcp' },
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
      const bytes = await boundedBytes(body, maxBytes, call);
      // pveproxy says it with status 500, and why in the reason phrase.
      if (statusCode === 404 || (statusCode === 500 && /no such file|unable to open file/i.test(statusText))) {
        throw missingFile(call);
      }
      if (statusCode !== 200) throw unexpectedAnswer(call, `status ${statusCode}`);
      return headers['content-encoding'] === 'gzip'
        ? unpacked(bytes, maxBytes, call).toString('utf8')
        : bytes.toString('utf8');
    } catch (error) {
      throw signal?.aborted ? cancelledFailure(call) : networkFailure(error, call);
    }
  }

  return {
    send,
    publicFile,
    engine: (callOptions) => ({
      doRequest: async (method, path, template, parameters) =>
        (await send(method, path, template, parameters, callOptions)).data,
    }),
    close: () => agent.close(),
  };
}

/** What would only fail at the first call, and there with an error that doesn't name the key. */
function checkSendable(config: ProxmoxApiConfig, origin: string): void {
  const { user, tokenName, tokenValue } = config;
  const fields = { user, 'token name': tokenName, 'token value': tokenValue.reveal() };
  const [wrong] = Object.entries(fields).find(([, value]) => !/^[\x21-\x7e]+$/.test(value)) ?? [];
  const problem = isHostAddress(config.host) && URL.canParse(origin) ? wrong : 'host or port';
  if (problem === undefined) return;
  throw new ServiceError({
    code: 'configuration',
    message: `The ${problem} of the Proxmox API is empty or has characters that can't be sent.`,
    remedy: 'Look for a missing value, a space, a line break or a quotation mark too many in the configuration.',
    details: { field: problem },
  });
}

interface RawAnswer {
  readonly status: number;
  readonly reason: string;
  readonly contentType: string;
  readonly body: string;
}

async function exchange(dispatcher: Dispatcher, request: Dispatcher.RequestOptions): Promise<RawAnswer> {
  const { statusCode, statusText, headers, body } = await dispatcher.request(request);
  // The journal comes compressed although nothing asked for it.
  const text =
    headers['content-encoding'] === 'gzip'
      ? gunzipSync(await body.bytes(), { maxOutputLength: maxAnswerBytes }).toString('utf8')
      : await body.text();
  return { status: statusCode, reason: statusText, contentType: String(headers['content-type'] ?? ''), body: text };
}

async function boundedBytes(body: AsyncIterable<Uint8Array>, maxBytes: number, call: FailedCall): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    // Leaving the loop ends the connection, so that no more of it comes.
    if (length > maxBytes) throw tooLong(call, maxBytes);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function unpacked(bytes: Buffer, maxBytes: number, call: FailedCall): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    const isLong = (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    throw isLong ? tooLong(call, maxBytes) : unexpectedAnswer(call, 'broken compression');
  }
}

function tooLong(call: FailedCall, maxBytes: number): ServiceError {
  return unexpectedAnswer(call, `it is longer than ${Math.round(maxBytes / 2 ** 20)} MiB`);
}

function interpret(answer: RawAnswer, call: FailedCall, config: ProxmoxApiConfig): ApiAnswer {
  const { status, contentType } = answer;
  const parsed = contentType.startsWith('application/json') ? parse(answer.body) : undefined;
  if (status !== 200) {
    if (status < 400) throw unexpectedAnswer(call, `status ${status}`);
    const text = typeof parsed?.message === 'string' && status !== 401 ? parsed.message : answer.reason;
    const errors = Object.entries(isRecord(parsed?.errors) ? parsed.errors : {});
    const clean = (value: unknown) => printable(String(value), config);
    throw refusalFailure(
      {
        status,
        text: clean(text),
        errors: Object.fromEntries(errors.map(([key, value]) => [clean(key), clean(value)])),
      },
      call,
    );
  }
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

/** What the other side says, fit for a message: bounded, without control characters, and never with our API token in it. */
function printable(text: string, config: ProxmoxApiConfig): string {
  return (
    text
      .replaceAll(config.tokenValue.reveal(), '[secret]')
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
