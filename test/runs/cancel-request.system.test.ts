import { expect, it } from 'vitest';
import { readCancelRequest } from '../../src/runs/cancel-request.ts';
import { useTemporal } from '../support/temporal.ts';

const temporal = useTemporal();

it('who asked a run to stop, and why, is read from its history', async () => {
  const { client } = temporal;
  const { workflowId, firstExecutionRunId: runId } = await client.workflow.start('nobody', {
    workflowId: 'back-up/pve1/1',
    taskQueue: 'nobody',
  });
  expect(await readCancelRequest(client, { workflowId, runId })).toBeUndefined();
  await client.workflowService.requestCancelWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    identity: 'cli:ada',
    reason: 'the disk is needed',
  });
  // Behind more than a page of what came after it.
  for (let count = 0; count < 120; count += 1) await client.workflow.getHandle(workflowId).signal('more');
  const found = await readCancelRequest(client, { workflowId, runId });
  expect(found).toMatchObject({ by: 'cli:ada', reason: 'the disk is needed' });
  expect(Math.abs(Date.parse(found?.at ?? '') - Date.now())).toBeLessThan(60_000);
});
