import type { Client } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { workflowType } from '../operations/definition.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { findOperation, operations } from './find-operation.ts';
import { summaryOf } from './run-details.ts';
import type { RunSummary, Runs } from './runs.ts';

type Filter = Parameters<Runs['list']>[0];

const statusNames: Readonly<Record<RunSummary['status'], string>> = {
  running: 'Running',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Canceled',
  terminated: 'Terminated',
  'timed-out': 'TimedOut',
};

/** A page of runs, newest first. The cursor is the server's own page token. */
export async function listRuns(client: Client, config: Config, filter: Filter): ReturnType<Runs['list']> {
  const { namespace } = config.temporal;
  const page = await client.workflowService
    .listWorkflowExecutions({
      namespace,
      pageSize: filter.limit,
      query: queryOf(filter),
      ...(filter.cursor === undefined ? {} : { nextPageToken: Buffer.from(filter.cursor, 'base64url') }),
    })
    .catch((error: unknown) => {
      if (filter.cursor === undefined) throw error;
      throw new ServiceError({
        code: 'invalid-input',
        message: 'The cursor is not one that list_runs gave for this filter.',
        remedy: 'Leave the cursor out to start with the newest runs.',
        cause: error,
      });
    });
  const infos = await Promise.all(
    page.executions.map((raw) => executionInfoFromRaw(raw, client.options.loadedDataConverter, raw, namespace)),
  );
  return {
    runs: infos.map((info) => summaryOf(config, info)),
    ...(page.nextPageToken?.length ? { cursor: Buffer.from(page.nextPageToken).toString('base64url') } : {}),
  };
}

/** Values are names from closed lists or host names, checked by their callers' schemas; quoted all the same. */
function queryOf(filter: Filter): string {
  const types = filter.operation ? [findOperation(filter.operation)] : Object.values(operations);
  return [
    `WorkflowType IN (${types.map((operation) => quote(workflowType(operation.name))).join(', ')})`,
    // Of the host itself, and of its guests.
    ...(filter.host
      ? [
          `(${searchAttributes.target} = ${quote(filter.host)} OR ${searchAttributes.target} STARTS_WITH ${quote(`${filter.host}/`)})`,
        ]
      : []),
    ...(filter.status ? [`ExecutionStatus = ${quote(statusNames[filter.status])}`] : []),
  ].join(' AND ');
}

function quote(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
