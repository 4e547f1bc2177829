import { hostname } from 'node:os';
import { createTraceState, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, ParentBasedSampler, RandomIdGenerator, TracerProvider } from '@opentelemetry/sdk-trace';
import type { TracingConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { packageVersion } from '../package.ts';
import type { SpanStart, Tracer } from '../trace.ts';
import type { TraceContext } from '../trace-context.ts';
import { createSend } from './send.ts';
import { createSpanQueue } from './span-queue.ts';

// The one module that knows OpenTelemetry's SDK; loaded where tracing is on.

const kinds = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;

/** A tracer whose spans go to the collector, and how to stop it. */
export function createTracer(
  config: TracingConfig,
  service: string,
  log: Log,
): { readonly tracer: Tracer; readonly stop: () => Promise<void> } {
  const random = new RandomIdGenerator();
  /** What the next span is to be called; spans are made one after the other. */
  let wanted: { readonly traceId?: string; readonly spanId?: string } = {};
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': `proxmox-mcp-${service}`,
      'service.namespace': 'proxmox-mcp',
      'service.version': packageVersion(),
      'service.instance.id': `${hostname()}:${process.pid}`,
    }),
    // Whoever began a trace may have said that it isn't recorded.
    sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
    idGenerator: {
      generateTraceId: () => wanted.traceId ?? random.generateTraceId(),
      generateSpanId: () => wanted.spanId ?? random.generateSpanId(),
    },
    spanLimits: { attributeValueLengthLimit: 512 },
    spanProcessors: [createSpanQueue({ send: createSend(config), log })],
  });
  const otel = provider.getTracer('proxmox-mcp');
  return {
    tracer: {
      open({ name, kind = 'internal', attributes, parent, ids = {}, at }) {
        wanted = ids;
        const span = otel.startSpan(
          name,
          { kind: kinds[kind], ...(attributes && { attributes: given(attributes) }), ...(at && { startTime: at }) },
          parent === 'none' ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote(parent)),
        );
        wanted = {};
        return {
          context: contextOf(span),
          set: (more) => void span.setAttributes(given(more)),
          end(failure, endedAt) {
            if (failure !== undefined) {
              span.setAttribute('error.type', failure);
              span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
            }
            span.end(endedAt);
          },
        };
      },
    },
    stop: () => provider.shutdown(),
  };
}

function given(attributes: NonNullable<SpanStart['attributes']>): Record<string, string | number | boolean> {
  const entries = Object.entries(attributes);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function remote({ traceId, spanId, sampled, state }: TraceContext) {
  return {
    traceId,
    spanId,
    traceFlags: sampled ? 1 : 0,
    isRemote: true,
    ...(state && { traceState: createTraceState(state) }),
  };
}

function contextOf(span: Span): TraceContext {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const state = traceState?.serialize();
  return { traceId, spanId, sampled: (traceFlags & 1) === 1, ...(state && { state }) };
}
