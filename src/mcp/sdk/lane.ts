import type { ServerResponse } from 'node:http';
import {
  type AuthInfo,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type MessageClassification,
  PerRequestHTTPServerTransport,
  type RequestId,
  type TransportSendOptions,
} from '@modelcontextprotocol/server';

/** Comments that keep proxies from closing a silent stream. Milliseconds. */
const keepAliveMs = 15_000;

/** The HTTP status of an error that the SDK answers before a handler runs, or on purpose. */
const statusByCode: Readonly<Record<number, number>> = {
  [-32_601]: 404,
  [-32_602]: 400,
  [-32_021]: 400,
  [-32_022]: 400,
};

interface Exchange {
  /** Unique in this lane: whatever a handler sends after its answer belongs to nobody any more. */
  readonly id: number;
  readonly clientId: RequestId;
  readonly response: ServerResponse;
  /** The SDK is looking at the message; no handler has run. */
  delivering: boolean;
  streaming: boolean;
  keepAlive: NodeJS.Timeout | undefined;
}

/**
 * A connected server's transport that serves HTTP exchanges one after the other, each written straight to Node's
 * response: a JSON body, or an event stream from the first notification on. It makes no server, connection, web
 * `Request` or `Response` per request, which cost more than all the rest of a small read. It is a subclass because the
 * SDK binds a server to a protocol revision by that class.
 */
export class Lane extends PerRequestHTTPServerTransport {
  readonly #classified: MessageClassification;
  readonly #onFree: (lane: Lane) => void;
  #count = 0;
  #exchange: Exchange | undefined;

  /** `onFree` is called when the answer has been written and the next request may come. */
  constructor(classification: MessageClassification, onFree: (lane: Lane) => void) {
    super({ classification });
    this.#classified = classification;
    this.#onFree = onFree;
  }

  /** Hands a request to the connected server. The answer is written when there is one. */
  serve(response: ServerResponse, message: JSONRPCRequest, authInfo: AuthInfo): void {
    this.#count += 1;
    const id = this.#count;
    const exchange: Exchange = {
      id,
      clientId: message.id,
      response,
      delivering: true,
      streaming: false,
      keepAlive: undefined,
    };
    this.#exchange = exchange;
    response.on('close', () => this.#gone(exchange));
    this.onmessage?.({ ...message, id }, { classification: this.#classified, authInfo });
    exchange.delivering = false;
  }

  override async start(): Promise<void> {}

  override async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if ('method' in message) {
      if (options?.relatedRequestId === exchange.id) stream(exchange, message);
      return;
    }
    if (message.id !== exchange.id) return;
    this.#exchange = undefined;
    this.#answer(exchange, { ...message, id: exchange.clientId } as JSONRPCMessage);
    this.#onFree(this);
  }

  override async close(): Promise<void> {
    this.#exchange = undefined;
    this.onclose?.();
  }

  /** The client closed the connection: that is how it cancels. The lane ends with it, which aborts the handler. */
  #gone(exchange: Exchange): void {
    clearInterval(exchange.keepAlive);
    if (this.#exchange === exchange) void this.close();
  }

  #answer(exchange: Exchange, message: JSONRPCMessage): void {
    clearInterval(exchange.keepAlive);
    if (exchange.streaming) {
      write(exchange, message);
      exchange.response.end();
      return;
    }
    const body = JSON.stringify(message);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    exchange.response.writeHead(this.#status(exchange, message), headers).end(body);
  }

  #status(exchange: Exchange, message: JSONRPCMessage): number {
    if (!('error' in message)) return 200;
    const { code } = message.error;
    const early = exchange.delivering && this.#classified.era === 'modern';
    return early || code === -32_021 ? (statusByCode[code] ?? 200) : 200;
  }
}

function stream(exchange: Exchange, message: JSONRPCMessage): void {
  const { response } = exchange;
  if (!exchange.streaming) {
    exchange.streaming = true;
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    exchange.keepAlive = setInterval(() => response.write(': keepalive\n\n'), keepAliveMs);
  }
  write(exchange, message);
}

function write({ response }: Exchange, message: JSONRPCMessage): void {
  response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
}
