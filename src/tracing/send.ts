import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { TracingConfig } from '../config.ts';
import type { Delivery, SpanQueueOptions } from './span-queue.ts';

/** How long a collector may take for one request. */
const timeoutMs = 5_000;
/** An answer that is longer isn't read. */
const mostAnswerBytes = 64 * 1024;
/** What OTLP says may be sent again. See https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes. */
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * Sends spans as OTLP/HTTP with JSON. Of what the collector answers only the status and the number of rejected spans are
 * looked at, and of a failed connection only its code: nothing of either can put words into the log.
 */
export function createSend({ endpoint, headers }: TracingConfig): SpanQueueOptions['send'] {
  const url = `${endpoint}/v1/traces`;
  const sent = Object.fromEntries(headers.map(({ name, value }) => [name, value.reveal()]));
  return async (spans, signal): Promise<Delivery> => {
    const body = JsonTraceSerializer.serializeRequest(spans);
    if (body === undefined) return { kind: 'refused', why: 'they could not be written as JSON' };
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...sent, 'content-type': 'application/json' },
        // A copy whose bytes are its own, as fetch wants them.
        body: new Uint8Array(body),
        // The headers may be secret, and are nobody else's.
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      if (response.ok) return { kind: 'taken', rejected: await rejectedIn(response) };
      await response.body?.cancel();
      const why = `status ${response.status}`;
      return { kind: retryable.has(response.status) ? 'again' : 'refused', why };
    } catch (error) {
      return { kind: 'again', why: codeOf(error) };
    }
  };
}

/** Collectors that took everything mostly say nothing. An answer that isn't understood says nothing either. */
async function rejectedIn(response: Response): Promise<number> {
  const length = Number(response.headers.get('content-length') ?? Number.NaN);
  if (!(length <= mostAnswerBytes)) {
    await response.body?.cancel();
    return 0;
  }
  const said = await response.text().catch(() => '');
  try {
    const rejected = Number(JSON.parse(said)?.partialSuccess?.rejectedSpans ?? 0);
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0;
  } catch {
    return 0;
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if (error.name === 'TimeoutError') return 'no answer in time';
  if (error.name === 'AbortError') return 'the process ended';
  const code = error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : '';
  return /^[A-Z0-9_]{1,60}$/.test(code) ? code : 'the connection failed';
}
