import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { Secret } from '../../src/secret.ts';
import { currentTrace, currentTracer, inSpan, setTracer } from '../../src/trace.ts';
import { createTracer } from '../../src/tracing/otel.ts';
import { type Collector, startCollector } from '../support/collector.ts';

const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true } as const;

let collector: Collector;
const warn = vi.fn();
let stop: () => Promise<void>;

function start(endpoint = collector.url): void {
  const headers = [{ name: 'authorization', value: new Secret('Bearer of-the-collector') }];
  const made = createTracer({ endpoint, headers }, 'worker', { warn } as never);
  setTracer(made.tracer);
  stop = made.stop;
}

beforeEach(async () => {
  warn.mockClear();
  collector = await startCollector();
});

afterEach(async () => {
  setTracer(undefined);
  await collector.close();
});

describe('spans', () => {
  it('come to the collector as OTLP, nested as the calls were, with the headers', async () => {
    start();
    const answer = await inSpan({ name: 'outer', kind: 'server', parent }, async (span) => {
      span.set({ 'proxmox_mcp.host': 'pve1', 'proxmox_mcp.absent': undefined });
      expect(currentTrace()?.traceId).toBe(parent.traceId);
      return await inSpan({ name: 'inner', kind: 'client', attributes: { count: 3, found: true } }, async () => {
        await sleep(10);
        return 'answer';
      });
    });
    await stop();
    expect(answer).toBe('answer');
    const [inner, outer] = collector.spans;
    expect(outer).toMatchObject({
      name: 'outer',
      kind: 2,
      traceId: parent.traceId,
      parentSpanId: parent.spanId,
      service: 'proxmox-mcp-worker',
      attributes: { 'proxmox_mcp.host': 'pve1' },
    });
    expect(Object.keys(outer?.attributes ?? {})).toEqual(['proxmox_mcp.host']);
    expect(inner).toMatchObject({ kind: 3, parentSpanId: outer?.spanId, attributes: { count: 3, found: true } });
    expect((inner?.end ?? 0) - (inner?.start ?? 0)).toBeGreaterThanOrEqual(9);
    expect(outer).not.toHaveProperty('failure');
    expect(collector.headers[0]).toMatchObject({ authorization: 'Bearer of-the-collector' });
    expect(warn).not.toHaveBeenCalled();
  });

  it('keep the code of an error and not a word of it', async () => {
    start();
    const message = 'the host said: hunter2';
    const failing = inSpan({ name: 'failing', parent: 'none' }, async () => {
      throw new ServiceError({ code: 'disk-full', message, remedy: message });
    });
    await expect(failing).rejects.toThrow(message);
    await expect(
      inSpan({ name: 'defect', parent: 'none' }, async () => {
        throw new TypeError(message);
      }),
    ).rejects.toThrow(message);
    await stop();
    expect(collector.spans.map(({ name, failure }) => [name, failure])).toEqual([
      ['failing', 'disk-full'],
      ['defect', 'internal'],
    ]);
    expect(collector.bodies.join()).not.toContain('hunter2');
  });

  it('are not made where nothing is around them, nor where the caller wants none recorded', async () => {
    start();
    await inSpan({ name: 'alone' }, async () => expect(currentTrace()).toBeUndefined());
    await inSpan({ name: 'not sampled', parent: { ...parent, sampled: false, state: 'a=1' } }, async () => {
      // It is passed on all the same.
      expect(currentTrace()).toMatchObject({ traceId: parent.traceId, sampled: false, state: 'a=1' });
      await inSpan({ name: 'below it' }, async () => {});
    });
    await stop();
    expect(collector.bodies).toEqual([]);
  });

  it('can have ids and times that others know', async () => {
    start();
    const ids = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) };
    currentTracer()?.open({ name: 'begin', parent: 'none', ids, at: 1_000_000 }).end(undefined, 1_005_000);
    currentTracer()?.open({ name: 'another', parent: 'none' }).end();
    await stop();
    expect(collector.spans[0]).toMatchObject({ ...ids, parentSpanId: '', start: 1_000_000, end: 1_005_000 });
    expect(collector.spans[1]?.traceId).not.toBe(ids.traceId);
  });
});

describe('a collector that', () => {
  const one = () => inSpan({ name: 'one', parent: 'none' }, async () => {});

  it('is away costs the spans and nothing else, and it is said without its words', async () => {
    start('http://127.0.0.1:9');
    await one();
    await stop();
    expect(warn.mock.calls.map(([said]) => said)).toEqual([
      { dropped: 1, why: expect.stringMatching(/^[A-Z_]+$|failed/) },
    ]);
  });

  it('answers garbage has taken them, for all that is known', async () => {
    collector.answer((_, response) => response.writeHead(200).end('<html>\u0000 garbage'));
    start();
    await one();
    await stop();
    expect(warn).not.toHaveBeenCalled();
  });

  it('refuses them is not asked again', async () => {
    collector.answer((_, response) => response.writeHead(400).end('hunter2'));
    start();
    await one();
    await stop();
    expect(collector.headers).toHaveLength(1);
    expect(warn.mock.calls.map(([said]) => said)).toEqual([{ dropped: 1, why: 'status 400' }]);
  });

  it('sends them elsewhere gets neither them nor the headers there', async () => {
    const other = await startCollector();
    collector.answer((_, response) => response.writeHead(307, { location: `${other.url}/v1/traces` }).end());
    start();
    await one();
    await stop();
    expect(other.headers).toEqual([]);
    expect(warn.mock.calls[0]?.[0]).toEqual({ dropped: 1, why: 'status 307' });
    await other.close();
  });

  it('rejects some says how many', async () => {
    collector.answer((_, response) => {
      const said = JSON.stringify({ partialSuccess: { rejectedSpans: '1', errorMessage: 'hunter2' } });
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': said.length }).end(said);
    });
    start();
    await one();
    await stop();
    expect(warn.mock.calls[0]?.[0]).toMatchObject({ dropped: 1 });
    expect(JSON.stringify(warn.mock.calls)).not.toContain('hunter2');
  });

  it('never answers keeps nobody waiting, and an end of the process two seconds', async () => {
    collector.answer(() => {});
    start();
    const before = performance.now();
    for (let index = 0; index < 2_000; index += 1) await one();
    expect(performance.now() - before).toBeLessThan(1_000);
    const stopping = performance.now();
    await stop();
    expect(performance.now() - stopping).toBeLessThan(2_500);
    expect(warn.mock.calls[0]?.[0]).toMatchObject({ dropped: 2_000 });
  });
});
