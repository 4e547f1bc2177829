import type { Client } from '@temporalio/client';
import { msOf } from './history.ts';

/** Who asked a run to stop, and why. */
export interface CancelRequest {
  /** `mcp:ada`, `cli:root`; of a request by the Temporal UI or CLI what that says of itself. */
  readonly by: string;
  /** As it was given, perhaps empty; what somebody wrote. */
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

const pageSize = 100;
/** What was undone after it is in the history, too; a run that undoes is never longer than this. */
const mostPages = 10;

/**
 * Who asked a run to stop: only its history has it, so read this for one run that was cancelled and not for a list. Read
 * from the end, because it is near there. Undefined: nobody did.
 */
export async function readCancelRequest(
  client: Client,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
): Promise<CancelRequest | undefined> {
  const { namespace } = client.options;
  let nextPageToken: Uint8Array | null | undefined;
  for (let page = 0; page < mostPages; page += 1) {
    const { history, nextPageToken: next } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace,
      execution: { workflowId, runId },
      maximumPageSize: pageSize,
      ...(nextPageToken ? { nextPageToken } : {}),
    });
    for (const { workflowExecutionCancelRequestedEventAttributes: asked, eventTime } of history?.events ?? []) {
      if (!asked) continue;
      const at = new Date(msOf(eventTime ?? {})).toISOString();
      return { by: asked.identity || 'somebody', reason: asked.cause ?? '', at };
    }
    if (!next?.length) return undefined;
    nextPageToken = next;
  }
  return undefined;
}
