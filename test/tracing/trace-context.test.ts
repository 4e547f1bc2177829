import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTraceContext, traceparentOf } from '../../src/trace-context.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';

describe('a traceparent', () => {
  it('names trace and span, and whether they are recorded', () => {
    expect(parseTraceContext(`00-${traceId}-${spanId}-01`)).toEqual({ traceId, spanId, sampled: true });
    expect(parseTraceContext(`00-${traceId}-${spanId}-00`)).toEqual({ traceId, spanId, sampled: false });
    expect(parseTraceContext(` 00-${traceId}-${spanId}-03 `)?.sampled).toBe(true);
  });

  it('of a later version is read as far as it is known', () => {
    expect(parseTraceContext(`cc-${traceId}-${spanId}-01-what-comes-then`)).toEqual({ traceId, spanId, sampled: true });
  });

  it.each([
    ['no text', 17],
    ['nothing', undefined],
    ['an empty one', ''],
    ['a version that is forbidden', `ff-${traceId}-${spanId}-01`],
    ['more than its version has', `00-${traceId}-${spanId}-01-more`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${spanId}-01`],
    ['a span of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['upper case', `00-${traceId.toUpperCase()}-${spanId}-01`],
    ['a short trace', `00-${traceId.slice(1)}-${spanId}-01`],
    ['no flags', `00-${traceId}-${spanId}`],
    ['two of them', `00-${traceId}-${spanId}-01,00-${traceId}-${spanId}-01`],
    ['a line break', `00-${traceId}-${spanId}-01\nx: y`],
    ['no end', `cc-${traceId}-${spanId}-01-${'x'.repeat(10_000)}`],
  ])('with %s is none', (_, parent) => {
    expect(parseTraceContext(parent)).toBeUndefined();
  });

  it('is written as it was read, and nothing else is read', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f]{32}$/), fc.stringMatching(/^[0-9a-f]{16}$/), fc.boolean(), (...of) => {
        const [trace, span, sampled] = of;
        const parent = traceparentOf({ traceId: trace, spanId: span, sampled });
        const read = parseTraceContext(parent);
        if (/^0+$/.test(trace) || /^0+$/.test(span)) expect(read).toBeUndefined();
        else expect(read).toEqual({ traceId: trace, spanId: span, sampled });
      }),
    );
    fc.assert(fc.property(fc.anything(), fc.anything(), (parent, state) => void parseTraceContext(parent, state)));
  });
});

describe('a tracestate', () => {
  const stateOf = (state: unknown) => parseTraceContext(`00-${traceId}-${spanId}-01`, state)?.state;

  it('is passed on', () => {
    expect(stateOf('rojo=00f067aa0ba902b7, congo=t61rcWkgMzE,')).toBe('rojo=00f067aa0ba902b7,congo=t61rcWkgMzE');
    expect(stateOf('fw529a3039@dt=FfAAAA==')).toBeUndefined();
  });

  it.each([
    ['no text', 5],
    ['a member without a value', 'rojo'],
    ['an upper case name', 'Rojo=1'],
    ['a line break', 'rojo=1\r\nx: y'],
    ['more than 512 characters', `a=${'1'.repeat(511)}`],
    ['more than 32 members', Array.from({ length: 33 }, (_, index) => `a${index}=1`).join()],
  ])('with %s is dropped, and the traceparent stays', (_, state) => {
    expect(parseTraceContext(`00-${traceId}-${spanId}-01`, state)).toEqual({ traceId, spanId, sampled: true });
  });
});
