import type { Connection, ConnectionLike } from '@temporalio/client';
import { msNumberToTs } from '@temporalio/common/lib/time.js';
import { ServiceError } from '../errors.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { grpcFailure } from '../runs/grpc-failure.ts';
import { openConnection } from '../runs/temporal-client.ts';

const retentionSeconds = 30 * 24 * 3600;
const retention = msNumberToTs(retentionSeconds * 1000);
const keyword = 2; // temporal.api.enums.v1.INDEXED_VALUE_TYPE_KEYWORD
const notFound = 5; // grpc.status.NOT_FOUND
/** No answer to the question: `CANCELLED`, `DEADLINE_EXCEEDED`, `UNAVAILABLE` of gRPC. */
const passing: ReadonlySet<number> = new Set([1, 4, 14]);

/** Connects to a server, ours or another one, and makes its namespace fit. Throws `unavailable` (retryable) when it doesn't answer. */
export async function checkTemporalServer(address: string, namespace: string, signal?: AbortSignal): Promise<void> {
  let connection: Connection | undefined;
  try {
    connection = await openConnection(address, 5_000);
    const prepare = () => prepareNamespace(connection as Connection, namespace);
    await (signal ? connection.withAbortSignal(signal, prepare) : prepare());
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError({
      code: 'unavailable',
      message: `The Temporal server at ${address} does not answer (${error instanceof Error ? error.message : 'unknown'})`,
      remedy:
        'Start it, or correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE; without them the service runs its own server',
      retryable: true,
      cause: error,
    });
  } finally {
    await connection?.close();
  }
}

/**
 * Makes a namespace fit for the service: it exists, keeps closed runs for 30 days at least, and has our search
 * attributes. Changes only what is missing. Throws `configuration` when a server that isn't ours refuses that.
 */
async function prepareNamespace(connection: Connection, namespace: string): Promise<void> {
  const seconds = await currentRetention(connection, namespace);
  if (seconds < retentionSeconds) {
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: retention },
    });
  }
  const missing = await missingAttributes(connection, namespace);
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
    });
  } catch (error) {
    const answer = grpcFailure(error);
    if (answer === undefined || passing.has(answer.code)) throw error;
    throw new ServiceError({
      code: 'configuration',
      message: `The namespace ${namespace} has no search attributes ${missing.join(', ')}, and its server refused to add them (${answer.details})`,
      remedy: `Its administrator can add them: ${addAttributes(namespace, missing)}`,
      cause: error,
    });
  }
}

/**
 * Our search attributes that a namespace doesn't have: a run that uses one can't go on. Throws `configuration` when it
 * has one of another type.
 */
export async function missingAttributes(connection: ConnectionLike, namespace: string): Promise<readonly string[]> {
  // A client's type doesn't say that its connection has the operator's calls, too.
  const { operatorService } = connection as Connection;
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const wanted = Object.values(searchAttributes);
  const other = wanted.find((name) => (customAttributes?.[name] ?? keyword) !== keyword);
  if (other !== undefined) {
    throw new ServiceError({
      code: 'configuration',
      message: `The search attribute ${other} of namespace ${namespace} is not a Keyword`,
      remedy: 'Set TEMPORAL_NAMESPACE to a namespace of its own for this service',
    });
  }
  return wanted.filter((name) => customAttributes?.[name] === undefined);
}

/** The command of Temporal's own CLI that adds search attributes. */
export function addAttributes(namespace: string, names: readonly string[]): string {
  const each = names.map((name) => `--name ${name} --type Keyword`);
  return `temporal operator search-attribute create --namespace ${namespace} ${each.join(' ')}`;
}

async function currentRetention(connection: Connection, namespace: string): Promise<number> {
  try {
    const described = await connection.workflowService.describeNamespace({ namespace });
    return Number(described.config?.workflowExecutionRetentionTtl?.seconds ?? 0);
  } catch (error) {
    if ((error as { code?: number }).code !== notFound) throw error;
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: retention,
    });
    return retentionSeconds;
  }
}
