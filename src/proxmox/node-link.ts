import { type IncomingMessage, request as sendRequest } from 'node:http';
import type { Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { Agent, type Dispatcher, interceptors } from 'undici';
import { urlHost } from '../address.ts';
import type { ProxmoxApiConfig } from '../config.ts';
import { connectorFor } from './certificate.ts';

/** Where a node's API is, and how its certificate is trusted. */
export type NodeAddress = Pick<ProxmoxApiConfig, 'host' | 'port' | 'trust' | 'product'>;

/** What came back, whatever its status. */
export interface RawAnswer {
  readonly status: number;
  readonly reason: string;
  readonly contentType: string;
  readonly body: string;
}

export interface NodeRequest {
  readonly path: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
}

/** The connections to one node. */
export interface NodeLink {
  /**
   * Sends a request. A GET is tried again after an answer that says that something behind it was away, after a connection
   * that was lost, and, where nobody else can be asked (`alone`), after one that was refused. Throws what undici throws, and
   * {@link AnswerTooLong} while a body of more than `maxBytes` is read (default 64 MiB).
   */
  exchange(request: NodeRequest, alone: boolean, maxBytes?: number): Promise<RawAnswer>;
  /**
   * Sends a GET once, over a connection of its own that ends with it. The body of a 200 comes as it is read, however long it
   * is; nothing for five minutes ends it. Node's own client: undici's ends the process where a body without a length ends
   * while it waits for its reader.
   */
  open(request: NodeRequest): Promise<RawAnswer & { readonly bytes?: AsyncIterable<Uint8Array> }>;
  close(): Promise<void>;
}

const maxAnswerBytes = 64 * 2 ** 20;

/** How long connecting may take while other nodes of the cluster can be asked instead. */
const quickConnectMs = 3_000;

/** Makes a link; nothing is connected before the first request. `hasOthers` is asked at each new connection. */
export function createNodeLink(
  address: NodeAddress,
  {
    timeoutMs,
    retries,
    hasOthers,
  }: { readonly timeoutMs: number; readonly retries: number; readonly hasOthers: () => boolean },
): NodeLink {
  const connectMs = Math.min(timeoutMs, 10_000);
  const patient = connectorFor(address, connectMs);
  const quick = connectorFor(address, Math.min(connectMs, quickConnectMs));
  const origin = `https://${urlHost(address.host)}:${address.port}`;
  const agent = new Agent({
    connect: (options, callback) => (hasOthers() ? quick : patient)(options, callback),
    connections: 16,
    // Below the 5 s after which pveproxy closes idle connections, so that no change is sent into a closing one.
    keepAliveTimeout: 3_000,
    maxResponseSize: maxAnswerBytes,
    // The one deadline is the call's own.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const retrying = (errorCodes?: string[]) =>
    agent.compose(
      interceptors.retry({
        maxRetries: retries,
        minTimeout: 100,
        timeoutFactor: 3,
        maxTimeout: 2_000,
        methods: ['GET'],
        statusCodes: [502, 503, 504, 595, 596, 599],
        throwOnError: false,
        ...(errorCodes && { errorCodes }),
      }),
    );
  const afterAll = retrying();
  const whileOthersWait = retrying(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);
  return {
    async exchange(request, alone, maxBytes = maxAnswerBytes) {
      const dispatcher: Dispatcher = request.method !== 'GET' ? agent : alone ? afterAll : whileOthersWait;
      const { statusCode, statusText, headers, body } = await dispatcher.request({ origin, ...request });
      const bytes = await boundedBytes(body, maxBytes);
      // The journal comes compressed although nothing asked for it.
      const text = (headers['content-encoding'] === 'gzip' ? unpacked(bytes, maxBytes) : bytes).toString('utf8');
      const contentType = String(headers['content-type'] ?? '');
      return { status: statusCode, reason: statusText, contentType, body: text };
    },
    async open({ path, method, headers, signal }) {
      const socket = await connected(patient, address);
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        const host = `${urlHost(address.host)}:${address.port}`;
        const asked = sendRequest({
          createConnection: () => socket,
          path,
          method,
          headers: { ...headers, host },
          signal,
        });
        asked.once('response', resolve).on('error', reject);
        asked.setTimeout(openMs, () => asked.destroy(new DOMException('nothing came', 'TimeoutError')));
        asked.end();
      });
      const { statusCode: status = 0, statusMessage: reason = '' } = answer;
      const said = { status, reason, contentType: String(answer.headers['content-type'] ?? ''), body: '' };
      if (status === 200) return { ...said, bytes: answer };
      return { ...said, body: (await boundedBytes(answer, 2 ** 20)).toString('utf8') };
    },
    close: () => agent.close(),
  };
}

const openMs = 5 * 60_000;

function connected(connect: ReturnType<typeof connectorFor>, { host, port }: NodeAddress): Promise<Socket> {
  const to = { hostname: host, host: `${urlHost(host)}:${port}`, protocol: 'https:', port: String(port) };
  return new Promise((resolve, reject) => {
    connect(to, (error, socket) => (error === null ? resolve(socket) : reject(error)));
  });
}

/** It was read no further. */
export class AnswerTooLong extends Error {}

async function boundedBytes(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    // Leaving the loop ends the connection, so that no more of it comes.
    if (length > maxBytes) throw new AnswerTooLong(`more than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function unpacked(bytes: Buffer, maxBytes: number): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE')
      throw new AnswerTooLong(`more than ${maxBytes} bytes`);
    throw error;
  }
}
