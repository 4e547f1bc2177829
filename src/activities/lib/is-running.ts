import { type Client, WorkflowNotFoundError } from '@temporalio/client';

/** Whether a run is still open. A run that the server doesn't know (any more) isn't. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  try {
    const description = await client.workflow.getHandle(workflowId).describe();
    return description.status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
