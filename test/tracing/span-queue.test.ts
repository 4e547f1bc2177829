import { describe, expect, it, vi } from 'vitest';
import { createSpanQueue, type Delivery, type SpanQueueOptions } from '../../src/tracing/span-queue.ts';

type Span = Parameters<ReturnType<typeof createSpanQueue>['onEnd']>[0];

const span = (name: string, traceFlags = 1) => ({ name, spanContext: () => ({ traceFlags }) }) as unknown as Span;

function start(options: Partial<SpanQueueOptions> & { readonly deliver: () => Promise<Delivery> | Delivery }) {
  const got: string[] = [];
  const warn = vi.fn();
  const queue = createSpanQueue({
    everyMs: 5,
    againMs: { first: 5, most: 20 },
    sayEveryMs: 0,
    ...options,
    log: { warn },
    async send(spans) {
      const delivery = await options.deliver();
      if (delivery.kind === 'taken') got.push(...spans.map(({ name }) => name));
      return delivery;
    },
  });
  return { queue, got, warn, dropped: () => warn.mock.calls.reduce((sum, [{ dropped }]) => sum + dropped, 0) };
}

describe('the queue of spans', () => {
  it('gives the collector every span once, in order', async () => {
    const { queue, got, warn } = start({ deliver: () => ({ kind: 'taken' }) });
    const names = Array.from({ length: 1_000 }, (_, index) => `span ${index}`);
    for (const name of names) queue.onEnd(span(name));
    await vi.waitFor(() => expect(got).toEqual(names));
    queue.onEnd(span('late'));
    await queue.shutdown();
    expect(got).toEqual([...names, 'late']);
    expect(warn).not.toHaveBeenCalled();
  });

  it('leaves out what was not to be recorded', async () => {
    const { queue, got } = start({ deliver: () => ({ kind: 'taken' }) });
    queue.onEnd(span('not sampled', 0));
    queue.onEnd(span('sampled'));
    await queue.shutdown();
    expect(got).toEqual(['sampled']);
  });

  it('tries again what a collector could not take, and loses nothing of it', async () => {
    let tries = 0;
    const { queue, got, warn } = start({
      deliver: () => (++tries <= 3 ? { kind: 'again', why: 'ECONNREFUSED' } : { kind: 'taken' }),
    });
    queue.onEnd(span('a'));
    await vi.waitFor(() => expect(got).toEqual(['a']));
    expect(tries).toBe(4);
    expect(warn).not.toHaveBeenCalled();
    await queue.shutdown();
  });

  it('keeps no more than its bound while the collector is away, and counts the rest', async () => {
    const { queue, got, dropped, warn } = start({ most: 10, deliver: () => ({ kind: 'again', why: 'ECONNREFUSED' }) });
    for (let index = 0; index < 25; index += 1) queue.onEnd(span(`span ${index}`));
    expect(dropped()).toBe(15);
    await queue.shutdown();
    expect(dropped()).toBe(25);
    expect(warn.mock.calls.at(-1)?.[0].why).toBe('ECONNREFUSED');
    expect(got).toEqual([]);
  });

  it('counts what the collector refuses, and what it rejects of what it takes', async () => {
    const answers: Delivery[] = [
      { kind: 'refused', why: 'status 400' },
      { kind: 'taken', rejected: 1 },
    ];
    const { queue, dropped } = start({ deliver: () => answers.shift() ?? { kind: 'taken' } });
    queue.onEnd(span('refused'));
    await queue.forceFlush?.();
    queue.onEnd(span('taken'));
    queue.onEnd(span('rejected'));
    await queue.shutdown();
    expect(dropped()).toBe(2);
  });

  it('says it once in its time, with all that was dropped since', async () => {
    const { queue, warn, dropped } = start({
      most: 0,
      sayEveryMs: 60_000,
      deliver: () => ({ kind: 'taken' }),
    });
    for (let index = 0; index < 100; index += 1) queue.onEnd(span('no room'));
    expect(warn).toHaveBeenCalledTimes(1);
    await queue.shutdown();
    expect(warn).toHaveBeenCalledTimes(2);
    expect(dropped()).toBe(100);
  });

  it('ends within two seconds, however long the collector takes', async () => {
    const { queue, dropped } = start({
      deliver: () => new Promise<Delivery>((resolve) => setTimeout(resolve, 30_000, { kind: 'taken' }).unref()),
    });
    queue.onEnd(span('stuck'));
    const before = performance.now();
    await queue.shutdown();
    expect(performance.now() - before).toBeLessThan(2_500);
    expect(dropped()).toBe(1);
  });
});
