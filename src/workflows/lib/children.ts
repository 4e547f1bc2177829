import { executeChild, ParentClosePolicy, startChild, workflowInfo } from '@temporalio/workflow';
import type { z } from 'zod';
import { type OperationDefinition, type TypedOperation, workflowType } from '../../operations/definition.ts';
import type { Requester, RunRequest, RunResult } from '../../operations/run.ts';
import type { Lock } from '../../operations/target.ts';
import { runIdPrefix, startOptions } from './attributes.ts';
import type { Checklist } from './checklist.ts';
import type { RunLocks } from './locks.ts';
import { parseInput } from './parse-input.ts';
import { traceMemo } from './trace.ts';

/** The runs that a composite one starts. */
export interface Children {
  /** Runs another operation as a run of its own, with its own locks, and waits for it. A failure of it is thrown. */
  start<Input extends z.ZodObject, Output extends z.ZodObject>(
    operation: TypedOperation<string, OperationDefinition['target'], Input, Output>,
    input: z.input<Input>,
  ): Promise<RunResult<z.output<Output>>>;
  /**
   * Starts another operation as a run of its own that nobody here waits for: it gets its locks when this run has given its
   * own back. Returns its id.
   */
  afterwards<Input extends z.ZodObject, Output extends z.ZodObject>(
    operation: TypedOperation<string, OperationDefinition['target'], Input, Output>,
    input: z.input<Input>,
  ): Promise<string>;
  /** Holds these locks for a stretch, and those that are started in it share them. */
  uninterrupted<T>(locks: readonly Lock[], stretch: () => Promise<T>): Promise<T>;
}

export function createChildren({
  locks,
  checklist,
  onBehalfOf,
}: {
  readonly locks: RunLocks;
  readonly checklist: Checklist;
  /** Who asked for the run that starts them, or for the first of those that led to it. */
  readonly onBehalfOf: Requester;
}): Children {
  let count = 0;
  let sharesLocks = false;
  function prepare<Input extends z.ZodObject, Output extends z.ZodObject>(
    operation: TypedOperation<string, OperationDefinition['target'], Input, Output>,
    input: z.input<Input>,
  ) {
    const { workflowId } = workflowInfo();
    const parsed = parseInput(operation, input);
    const by = { kind: 'run', name: workflowId } as const;
    const request: RunRequest<z.input<Input>> = {
      input,
      requestedBy: by,
      onBehalfOf,
      ...(sharesLocks && { within: workflowId }),
    };
    count += 1;
    const unique = workflowId.split('/').slice(2).join('-');
    const options = {
      workflowId: `${runIdPrefix(operation, parsed)}/${unique}-${count}`,
      args: [request] as [RunRequest<z.input<Input>>],
      ...startOptions(operation, parsed, by),
      ...traceMemo(),
    };
    return { type: workflowType(operation.name), options };
  }
  return {
    start<Input extends z.ZodObject, Output extends z.ZodObject>(
      operation: TypedOperation<string, OperationDefinition['target'], Input, Output>,
      input: z.input<Input>,
    ) {
      const { type, options } = prepare(operation, input);
      // A child that goes on when its parent is gone undoes what it did, as when it is cancelled.
      const parentClosePolicy = ParentClosePolicy.REQUEST_CANCEL;
      return executeChild<(given: RunRequest<z.input<Input>>) => Promise<RunResult<z.output<Output>>>>(type, {
        ...options,
        parentClosePolicy,
      });
    },
    async afterwards(operation, input) {
      const { type, options } = prepare(operation, input);
      const { workflowId } = await startChild(type, { ...options, parentClosePolicy: ParentClosePolicy.ABANDON });
      return workflowId;
    },
    async uninterrupted(wanted, stretch) {
      const before = checklist.progress();
      await locks.take(wanted);
      checklist.enter(before.phase, before.message);
      sharesLocks = true;
      try {
        return await stretch();
      } finally {
        sharesLocks = false;
        await locks.release();
      }
    },
  };
}
