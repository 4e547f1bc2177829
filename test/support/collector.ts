import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as the collector got it. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  /** ms since the epoch. */
  readonly start: number;
  readonly end: number;
  /** `service.name` of the process. */
  readonly service: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Code of the error it ended with. */
  readonly failure?: string;
}

export interface Collector {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string;
  readonly spans: CollectedSpan[];
  /** Bodies of the requests, as they came. */
  readonly bodies: string[];
  readonly headers: IncomingHttpHeaders[];
  /** Answers from now on so instead of taking the spans; undefined: takes them again. */
  answer(by: RequestListener | undefined): void;
  close(): Promise<void>;
}

type Value = { readonly stringValue?: string; readonly intValue?: number | string; readonly boolValue?: boolean };
type KeyValues = readonly { readonly key: string; readonly value: Value }[];

/** A collector of OTLP/HTTP with JSON: what a request holds is read as the specification has it. */
export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const bodies: string[] = [];
  const headers: IncomingHttpHeaders[] = [];
  let instead: RequestListener | undefined;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      headers.push(request.headers);
      if (instead !== undefined) return void instead(request, response);
      if (request.method !== 'POST' || request.url !== '/v1/traces') return void response.writeHead(404).end();
      bodies.push(body);
      spans.push(...spansIn(body));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"partialSuccess":{}}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    bodies,
    headers,
    answer(by) {
      instead = by;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function spansIn(body: string): CollectedSpan[] {
  const { resourceSpans } = JSON.parse(body);
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what is looked at
  return resourceSpans.flatMap(({ resource, scopeSpans }: any) => {
    const service = String(plain(resource.attributes)['service.name']);
    // biome-ignore lint/suspicious/noExplicitAny: the shape is what is looked at
    return scopeSpans.flatMap((scope: any) => scope.spans.map((span: any) => spanOf(span, service)));
  });
}

// biome-ignore lint/suspicious/noExplicitAny: the shape is what is looked at
function spanOf(span: any, service: string): CollectedSpan {
  const { traceId, spanId, parentSpanId = '', name, kind, attributes, status } = span;
  return {
    traceId,
    spanId,
    parentSpanId,
    name,
    kind,
    start: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
    end: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
    service,
    attributes: plain(attributes),
    ...(status?.code === 2 && { failure: status.message }),
  };
}

function plain(attributes: KeyValues): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? (value.intValue === undefined ? undefined : Number(value.intValue)),
    ]),
  );
}
