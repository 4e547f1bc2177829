import { AsyncLocalStorage } from 'node:async_hooks';
import { ServiceError } from './errors.ts';
import type { TraceContext } from './trace-context.ts';

// Where spans are made. It holds nothing of OpenTelemetry: `src/tracing` puts a tracer in where tracing is on, and without
// one each function here does nothing but call what it was given. A trace follows the asynchronous calls of the process,
// so the tracer is the process's and not handed from function to function.

/** Values come from the catalogue, from fixed lists and numbers; never an input, an argument, an output or a message. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanStart {
  /** From a fixed list: `command change-unit`. */
  readonly name: string;
  /** `server`: answers somebody else's request; `client`: asks somebody else. Default `internal`. */
  readonly kind?: 'internal' | 'server' | 'client';
  readonly attributes?: SpanAttributes;
  /** What it belongs to; `none`: it begins a trace. Default: the span around it, and no span where there is none. */
  readonly parent?: TraceContext | 'none';
}

/** A span that is being recorded. */
export interface OpenSpan {
  readonly context: TraceContext;
  set(attributes: SpanAttributes): void;
  /** @param failure code of the error that it ended with @param at milliseconds since the epoch; default: now */
  end(failure?: string, at?: number): void;
}

/** What makes spans; `src/tracing` has one. */
export interface Tracer {
  open(
    start: SpanStart & {
      readonly parent: TraceContext | 'none';
      /** Ids that others can know without having been told. Default: random ones; of a trace only where it begins one. */
      readonly ids?: { readonly traceId?: string; readonly spanId?: string };
      /** When it began. Milliseconds since the epoch; default: now. */
      readonly at?: number;
    },
  ): OpenSpan;
}

/** The span around some work, as the work sees it. */
export interface SpanAround {
  set(attributes: SpanAttributes): void;
  /** It has failed, though nothing is thrown. */
  fail(code: string): void;
}

const nobody: SpanAround = { set() {}, fail() {} };
const around = new AsyncLocalStorage<TraceContext>();
let tracer: Tracer | undefined;

/** Begins or ends the tracing of this process. */
export function setTracer(made: Tracer | undefined): void {
  tracer = made;
}

/** Undefined where tracing is off. */
export function currentTracer(): Tracer | undefined {
  return tracer;
}

/** Where this call is in a trace; undefined where it is in none. */
export function currentTrace(): TraceContext | undefined {
  return tracer === undefined ? undefined : around.getStore();
}

/** Does the work inside a span, which ends with it. What is thrown goes on; the span keeps its code, never its text. */
export async function inSpan<T>(start: SpanStart, work: (span: SpanAround) => Promise<T>): Promise<T> {
  const parent = start.parent ?? around.getStore();
  if (tracer === undefined || parent === undefined) return await work(nobody);
  const span = tracer.open({ ...start, parent });
  let failure: string | undefined;
  const seen: SpanAround = {
    set: (attributes) => span.set(attributes),
    fail(code) {
      failure = code;
    },
  };
  try {
    return await around.run(span.context, () => work(seen));
  } catch (error) {
    failure = failureCode(error);
    throw error;
  } finally {
    span.end(failure);
  }
}

/** The code of an error: ours, or that of the Temporal failure which was made of it. */
export function failureCode(error: unknown): string {
  if (error instanceof ServiceError) return error.code;
  if (!(error instanceof Error)) return 'internal';
  if (error.name === 'CancelledFailure' || error.name === 'AbortError') return 'cancelled';
  const type = 'type' in error ? error.type : undefined;
  return typeof type === 'string' && /^[a-z][a-z-]{1,39}$/.test(type) ? type : 'internal';
}
