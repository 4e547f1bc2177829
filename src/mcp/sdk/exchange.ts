import type { IncomingMessage, ServerResponse } from 'node:http';
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

/**
 * One HTTP exchange, written straight to Node's response: a JSON body, or an event stream from the first notification
 * on. It does what its base class does without making web `Request`s, `Response`s and streams, which cost more than
 * the rest of a small read. It is a subclass because the SDK binds a server to a protocol revision by that class.
 */
export class Exchange extends PerRequestHTTPServerTransport {
  readonly #response: ServerResponse;
  readonly #classified: MessageClassification;
  #id: RequestId | undefined;
  #delivering = false;
  #streaming = false;
  #ended = false;
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(response: ServerResponse, classification: MessageClassification) {
    super({ classification });
    this.#response = response;
    this.#classified = classification;
  }

  /** Hands the request to the connected server. The answer is written when there is one. */
  deliver(message: JSONRPCRequest, authInfo: AuthInfo): void {
    this.#id = message.id;
    this.#response.on('close', this.#gone);
    this.#delivering = true;
    this.onmessage?.(message, { classification: this.#classified, authInfo });
    this.#delivering = false;
  }

  override async start(): Promise<void> {}

  override async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (this.#ended) return;
    if ('method' in message) {
      if (options?.relatedRequestId === this.#id) this.#stream(message);
      return;
    }
    if (message.id !== this.#id) return;
    this.#ended = true;
    if (this.#streaming) {
      this.#write(message);
      this.#response.end();
    } else {
      const body = JSON.stringify(message);
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      this.#response.writeHead(this.#status(message), headers).end(body);
    }
    // After the SDK's own work on this answer, so that closing aborts nothing.
    process.nextTick(this.#finish);
  }

  override async close(): Promise<void> {
    this.#finish();
  }

  #finish = (): void => {
    this.#ended = true;
    this.#response.off('close', this.#gone);
    clearInterval(this.#keepAlive);
    this.onclose?.();
  };

  /** The client closed the connection: that is how it cancels. */
  #gone = (): void => {
    if (!this.#ended) this.#finish();
  };

  #status(message: JSONRPCMessage): number {
    if (!('error' in message)) return 200;
    const { code } = message.error;
    return (this.#delivering && this.#classified.era === 'modern') || code === -32_021
      ? (statusByCode[code] ?? 200)
      : 200;
  }

  #stream(message: JSONRPCMessage): void {
    if (!this.#streaming) {
      this.#streaming = true;
      this.#response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
      });
      this.#keepAlive = setInterval(() => this.#response.write(': keepalive\n\n'), keepAliveMs);
    }
    this.#write(message);
  }

  #write(message: JSONRPCMessage): void {
    this.#response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }
}

/** A header's one value. */
export function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
