import { TypedSearchAttributes } from '@temporalio/common';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { traceRuns, untraced } from '../../src/activities/traced.ts';
import { ownTrace, spanOfRun } from '../../src/run-trace.ts';
import { type SpanStart, setTracer, type Tracer } from '../../src/trace.ts';
import type { TraceContext } from '../../src/trace-context.ts';

const started: TraceContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true };
const memo = { trace: `00-${started.traceId}-${started.spanId}-01` };

interface Described {
  readonly memo?: Record<string, unknown>;
  readonly rootExecution?: { readonly workflowId: string; readonly runId: string };
  readonly parentExecution?: { readonly workflowId: string; readonly runId: string };
}

/** A worker whose Temporal server knows this of its runs, and the spans that it makes. */
function work(described: () => Promise<Described>) {
  const spans: (Parameters<Tracer['open']>[0] & { ended?: string })[] = [];
  const tracer: Tracer = {
    open(start) {
      const span: (typeof spans)[number] = { ...start };
      spans.push(span);
      const { traceId, spanId } = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), ...start.ids };
      const above = start.parent === 'none' ? undefined : start.parent;
      return {
        context: { traceId: above?.traceId ?? traceId, spanId, sampled: above?.sampled ?? true },
        set() {},
        end(failure = 'ok') {
          span.ended = failure;
        },
      };
    },
  };
  setTracer(tracer);
  const describe = vi.fn(async () => ({ typedSearchAttributes: new TypedSearchAttributes(), ...(await described()) }));
  const client = {
    withDeadline: (_: number, call: () => unknown) => call(),
    workflow: { getHandle: () => ({ describe }) },
  };
  const traces = traceRuns(client as never);
  const step = async (workflowType: string, runId: string) => {
    const info = {
      workflowExecution: { workflowId: `${workflowType}/pve1`, runId },
      workflowType,
      activityType: 'lookAtHost',
      taskQueue: 'host-pve1',
      attempt: 2,
    };
    const execute = traces.activity[0]?.({ info } as never).inbound?.execute;
    return await execute?.({ args: [], headers: {} } as never, async () => 'answer');
  };
  return { spans, describe, traces, step };
}

/** What a span is below, and its name. */
const placed = ({ name, parent }: SpanStart) => [name, parent];

afterEach(() => setTracer(undefined));

describe('a step', () => {
  it('is below the begin of its run, in the trace that started it; Temporal is asked once', async () => {
    const { spans, describe, step } = work(async () => ({ memo }));
    await Promise.all([step('backUp', 'run-1'), step('backUp', 'run-1')]);
    expect(await step('backUp', 'run-1')).toBe('answer');
    expect(spans.map(placed)).toEqual(Array(3).fill(['lookAtHost', { ...started, spanId: spanOfRun('run-1') }]));
    expect(spans[0]?.attributes).toMatchObject({
      'proxmox_mcp.operation': 'back-up',
      'proxmox_mcp.host': 'pve1',
      'proxmox_mcp.attempt': 2,
      temporalWorkflowID: 'backUp/pve1',
    });
    expect(describe).toHaveBeenCalledTimes(1);
  });

  it('of a run that was started without a trace is in one that follows from the run at its root', async () => {
    const root = { workflowId: 'maintain/pve1', runId: 'root-run' };
    const { spans, step } = work(async () => ({ rootExecution: root, parentExecution: root }));
    await step('backUp', 'child-run');
    expect(spans[0]?.parent).toEqual({ traceId: ownTrace('root-run'), spanId: spanOfRun('child-run'), sampled: true });
  });

  it('of a part of a run that is no run itself is below that run', async () => {
    const { spans, step } = work(async () => ({ memo, parentExecution: { workflowId: 'x', runId: 'bulk-run' } }));
    await step('guestBatch', 'batch-run');
    expect(spans[0]?.parent).toEqual({ ...started, spanId: spanOfRun('bulk-run') });
  });

  it('of the service’s own workflows has no span', async () => {
    const { spans, step } = work(async () => ({}));
    expect(await step('watchRuns', 'watch-run')).toBe('answer');
    expect(spans).toEqual([]);
  });

  it('is done all the same when Temporal does not say what it belongs to, and it is asked again', async () => {
    let isAway = true;
    const { spans, step } = work(async () => {
      if (isAway) throw new Error('no answer in time');
      return { memo };
    });
    expect(await Promise.all([step('backUp', 'run-1'), step('backUp', 'run-1')])).toEqual(['answer', 'answer']);
    expect(spans).toEqual([]);
    isAway = false;
    await step('backUp', 'run-1');
    expect(spans).toHaveLength(1);
  });

  it('is nobody’s business where tracing is off', () => {
    expect(traceRuns({} as never)).toBe(untraced);
    expect(untraced.activity).toEqual([]);
  });
});

describe('a run', () => {
  const info = {
    workflowType: 'backUp',
    workflowId: 'back-up/pve1/x',
    runId: 'run-1',
    runStartTime: new Date(1_000),
  };
  const of = { target: 'pve1', risk: 'change', verdict: undefined };

  it('has a short span when it begins, which its steps know at once, and one over all when it ends', async () => {
    const { spans, traces, step, describe } = work(async () => ({}));
    await traces.sinks.run.began.fn({ ...info, memo } as never, of);
    await step('backUp', 'run-1');
    await traces.sinks.run.ended.fn({ ...info, memo } as never, of, 'undone');
    const begin = { ...started, spanId: spanOfRun('run-1') };
    expect(spans.map(placed)).toEqual([
      ['begin back-up', started],
      ['lookAtHost', begin],
      ['run back-up', begin],
    ]);
    expect(spans[0]).toMatchObject({ ids: { spanId: begin.spanId }, at: 1_000, ended: 'ok' });
    expect(spans[2]).toMatchObject({ at: 1_000, ended: 'undone', attributes: { 'proxmox_mcp.outcome': 'undone' } });
    expect(describe).not.toHaveBeenCalled();
  });

  it('that another one started begins below that', async () => {
    const { spans, traces } = work(async () => ({}));
    const parent = { workflowId: 'maintain/pve1', runId: 'parent-run' };
    await traces.sinks.run.began.fn({ ...info, parent, root: parent } as never, of);
    const traceId = ownTrace('parent-run');
    expect(spans[0]?.parent).toEqual({ traceId, spanId: spanOfRun('parent-run'), sampled: true });
  });

  it('that nobody traced begins a trace', async () => {
    const { spans, traces } = work(async () => ({}));
    await traces.sinks.run.began.fn(info as never, of);
    expect(spans[0]).toMatchObject({
      parent: 'none',
      ids: { traceId: ownTrace('run-1'), spanId: spanOfRun('run-1') },
    });
  });
});
