import type { SpanProcessor } from '@opentelemetry/sdk-trace';
import type { Log } from '../log.ts';

type Span = Parameters<SpanProcessor['onEnd']>[0];

/** How the collector took some spans. */
export type Delivery =
  /** @param rejected so many of them it didn't want */
  | { readonly kind: 'taken'; readonly rejected?: number }
  /** It may take them later. */
  | { readonly kind: 'again'; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string };

export interface SpanQueueOptions {
  /** Never rejects, and ends when the signal says so. */
  readonly send: (spans: Span[], signal: AbortSignal) => Promise<Delivery>;
  readonly log: Pick<Log, 'warn'>;
  /** Default 2 s. */
  readonly everyMs?: number;
  /** Before what a collector couldn't take is sent again, doubled each time up to the second. Default 1 s and 30 s. */
  readonly againMs?: { readonly first: number; readonly most: number };
  /** How often it is said that spans were dropped. Default: once a minute. */
  readonly sayEveryMs?: number;
  /** So many wait at most; what comes then is dropped. Default 4,096. */
  readonly most?: number;
}

/** As many as are sent together. */
const batchSize = 256;
/** How long what is left is sent when the process ends. */
const lastMs = 2_000;

/**
 * Keeps ended spans until the collector has them, in a bounded queue beside the work: nothing ever waits for it. The SDK's
 * own drops a batch that could not be sent, and tells nobody how many it has dropped.
 */
export function createSpanQueue({
  send,
  log,
  everyMs = 2_000,
  againMs = { first: 1_000, most: 30_000 },
  sayEveryMs = 60_000,
  most = 4_096,
}: SpanQueueOptions): SpanProcessor {
  let waiting: Span[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let isStopped = false;
  let failures = 0;
  let dropped = 0;
  let why = 'the queue was full';
  let saidAt = Number.NEGATIVE_INFINITY;
  const cut = new AbortController();

  function drop(count: number, reason: string): void {
    dropped += count;
    why = reason;
    if (performance.now() - saidAt >= sayEveryMs) say();
  }

  function say(): void {
    if (dropped === 0) return;
    log.warn(
      { dropped, why },
      'spans were dropped, because the collector of OTEL_EXPORTER_OTLP_ENDPOINT took them not',
    );
    dropped = 0;
    saidAt = performance.now();
  }

  function wake(afterMs: number): void {
    if (timer !== undefined || isStopped) return;
    timer = setTimeout(() => {
      timer = undefined;
      void sendAll();
    }, afterMs);
    timer.unref();
  }

  function sendAll(): Promise<void> {
    sending ??= sendBatches().finally(() => {
      sending = undefined;
      if (waiting.length > 0) wake(failures === 0 ? everyMs : pauseMs());
    });
    return sending;
  }

  function pauseMs(): number {
    return Math.min(againMs.first * 2 ** (failures - 1), againMs.most);
  }

  /** Until there is none left, or the collector can take none. */
  async function sendBatches(): Promise<void> {
    while (waiting.length > 0 && !cut.signal.aborted) {
      const batch = waiting.slice(0, batchSize);
      const delivery = await send(batch, cut.signal);
      if (delivery.kind === 'again') {
        failures += 1;
        why = delivery.why;
        return;
      }
      failures = 0;
      waiting = waiting.slice(batch.length);
      if (delivery.kind === 'refused') drop(batch.length, delivery.why);
      else if (delivery.rejected) drop(delivery.rejected, 'the collector rejected them');
    }
  }

  return {
    onStart() {},
    onEnd(span) {
      if (isStopped || (span.spanContext().traceFlags & 1) === 0) return;
      if (waiting.length >= most) return drop(1, failures === 0 ? 'the queue was full' : why);
      waiting.push(span);
      if (failures > 0) return wake(pauseMs());
      if (waiting.length >= batchSize) void sendAll();
      else wake(everyMs);
    },
    forceFlush: () => sendAll(),
    async shutdown() {
      clearTimeout(timer);
      isStopped = true;
      const end = setTimeout(() => cut.abort(), lastMs);
      const isOver = new Promise<void>((resolve) => cut.signal.addEventListener('abort', () => resolve()));
      // What is being sent may end because the collector couldn't take it, while more came meanwhile.
      await Promise.race([isOver, (sending ?? Promise.resolve()).then(sendBatches)]);
      clearTimeout(end);
      if (waiting.length > 0) dropped += waiting.length;
      say();
    },
  };
}
