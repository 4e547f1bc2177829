/** A place in a trace, as W3C Trace Context passes it on. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: of the span that what follows belongs to. */
  readonly spanId: string;
  /** Where it isn't, whoever began the trace wants nothing of it recorded. */
  readonly sampled: boolean;
  /** `tracestate`: what others pass on about the trace. */
  readonly state?: string;
}

/** `00-<trace>-<span>-<flags>`; a later version may have more after that. */
const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** One member of a `tracestate`. Values are printable ASCII without comma and equals sign. */
const member = /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const mostState = { members: 32, characters: 512 } as const;

/**
 * What a caller says of the trace that its request belongs to. Undefined for whatever isn't of the form: it is then as if
 * nothing had been said. A `tracestate` that is wrong is dropped alone. See https://www.w3.org/TR/trace-context/.
 */
export function parseTraceContext(parent: unknown, state?: unknown): TraceContext | undefined {
  if (typeof parent !== 'string' || parent.length > 200) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] = traceparent.exec(parent.trim()) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  const known = stateOf(state);
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1, ...(known && { state: known }) };
}

/** The same as a `traceparent`. */
export function traceparentOf({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

function stateOf(state: unknown): string | undefined {
  if (typeof state !== 'string' || state.length > mostState.characters) return undefined;
  const members = state.split(',').map((one) => one.trim());
  const given = members.filter((one) => one !== '');
  if (given.length === 0 || given.length > mostState.members) return undefined;
  return given.every((one) => member.test(one)) ? given.join(',') : undefined;
}
