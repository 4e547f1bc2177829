import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, ConnectionLike } from '@temporalio/client';
import { msNumberToTs } from '@temporalio/common/lib/time.js';
import { ServiceError } from '../errors.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { grpcFailure } from '../runs/grpc-failure.ts';
import { openConnection } from '../runs/temporal-client.ts';
import type { TemporalEndpoint } from '../runs/temporal-endpoint.ts';
import { explainTemporal } from '../runs/temporal-failure.ts';

const retentionDays = 30;
const retentionSeconds = retentionDays * 24 * 3600;
const retention = msNumberToTs(retentionSeconds * 1000);
const keyword = 2; // temporal.api.enums.v1.INDEXED_VALUE_TYPE_KEYWORD
/** gRPC's codes. */
const invalid = 3;
const notFound = 5;
/** No answer to the question: cancelled, deadline exceeded, unavailable. */
const passing: ReadonlySet<number> = new Set([1, 4, 14]);
/** It isn't for us, or for nobody there: permission denied, unimplemented, unauthenticated. */
const refusing: ReadonlySet<number> = new Set([7, 12, 16]);

type Namespace = Pick<TemporalEndpoint, 'namespace' | 'isCloud'>;

export interface Preparing {
  readonly signal?: AbortSignal;
  /** Is told what is worse than it could be, and keeps nothing from working. */
  readonly say?: (line: string) => void;
}

/**
 * Connects to a server, ours or another one, and makes its namespace fit. Throws `unavailable` (retryable) when it doesn't
 * answer, `configuration`, `unauthenticated` or `forbidden` when something has to be put right first.
 */
export async function checkTemporalServer(endpoint: TemporalEndpoint, { signal, say }: Preparing = {}): Promise<void> {
  let connection: Connection | undefined;
  try {
    connection = await openConnection(endpoint, 5_000);
    const prepare = () => prepareNamespace(connection as Connection, endpoint, say);
    await connection.withDeadline(Date.now() + 20_000, () =>
      signal ? (connection as Connection).withAbortSignal(signal, prepare) : prepare(),
    );
  } catch (error) {
    throw await explainTemporal(error, endpoint);
  } finally {
    await connection?.close();
  }
}

/**
 * Makes a namespace fit for the service: it exists, keeps closed runs for 30 days at least, and has our search
 * attributes. Changes only what is missing. Throws `configuration` when a server that isn't ours refuses that.
 */
async function prepareNamespace(connection: Connection, of: Namespace, say: Preparing['say']): Promise<void> {
  const { namespace } = of;
  const seconds = await currentRetention(connection, of);
  const short = shortRetention(of, seconds);
  if (short !== undefined) {
    try {
      await connection.workflowService.updateNamespace({
        namespace,
        config: { workflowExecutionRetentionTtl: retention },
      });
    } catch (error) {
      if (!refusing.has(grpcFailure(error)?.code ?? 0)) throw error;
      say?.(`${short.summary}, and its server lets nobody change that from here. ${short.remedy}`);
    }
  }
  const missing = await onceKnown(() => missingAttributes(connection, namespace));
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
      remedy: `Its administrator can add them: ${addAttributes(of, missing)}`,
      cause: error,
    });
  }
}
/** A namespace that was made a moment ago isn't known everywhere yet. */
async function onceKnown<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (grpcFailure(error)?.code !== notFound || tries === 15) throw error;
      await sleep(1_000);
    }
  }
}

/**
 * Our search attributes that a namespace doesn't have: a run that uses one can't go on. Throws `configuration` when it
 * has one of another type.
 */
export async function missingAttributes(connection: ConnectionLike, namespace: string): Promise<readonly string[]> {
  // A client's type doesn't say that its connection has the operator's calls, too.
  const { operatorService } = connection as Connection;
  const wanted = Object.values(searchAttributes);
  let there: Readonly<Record<string, number>>;
  try {
    there = (await operatorService.listSearchAttributes({ namespace })).customAttributes ?? {};
  } catch (error) {
    if (!refusing.has(grpcFailure(error)?.code ?? 0)) throw error;
    return unusableAttributes(connection, namespace, wanted);
  }
  const other = wanted.find((name) => (there[name] ?? keyword) !== keyword);
  if (other !== undefined) {
    throw new ServiceError({
      code: 'configuration',
      message: `The search attribute ${other} of namespace ${namespace} is not a Keyword`,
      remedy: 'Set TEMPORAL_NAMESPACE to a namespace of its own for this service',
    });
  }
  return wanted.filter((name) => there[name] === undefined);
}

/** Where nobody may list them, as in Temporal Cloud: those that can't be asked for. */
async function unusableAttributes(connection: ConnectionLike, namespace: string, names: readonly string[]) {
  const usable = await Promise.all(
    names.map(async (name) => {
      try {
        await connection.workflowService.countWorkflowExecutions({ namespace, query: `${name} = 'none'` });
        return true;
      } catch (error) {
        if (grpcFailure(error)?.code === invalid) return false;
        throw error;
      }
    }),
  );
  return names.filter((_, index) => !usable[index]);
}

/** The command that adds search attributes: of Temporal's own CLI, or of Temporal Cloud's. */
export function addAttributes({ namespace, isCloud }: Namespace, names: readonly string[]): string {
  if (isCloud) {
    return `tcld namespace search-attributes add --namespace ${namespace} ${names.map((name) => `--sa "${name}=Keyword"`).join(' ')}`;
  }
  const each = names.map((name) => `--name ${name} --type Keyword`);
  return `temporal operator search-attribute create --namespace ${namespace} ${each.join(' ')}`;
}

/** Undefined: closed runs are kept for as long as the service looks back. */
export function shortRetention(
  of: Namespace,
  seconds: number,
): { readonly summary: string; readonly remedy: string } | undefined {
  if (seconds >= retentionSeconds) return undefined;
  const hours = Math.floor(seconds / 3_600);
  const kept = hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`;
  return {
    summary: `The namespace ${of.namespace} keeps closed runs for ${kept} only, instead of ${retentionDays} days`,
    remedy: extendRetention(of),
  };
}

function extendRetention({ namespace, isCloud }: Namespace): string {
  return isCloud
    ? `Run: tcld namespace retention set --namespace ${namespace} --retention-days ${retentionDays}`
    : `Its administrator can: temporal operator namespace update --retention ${retentionDays * 24}h --namespace ${namespace}`;
}

/** The command that makes the namespace. */
export function makeNamespace({ namespace, isCloud }: Namespace): string {
  const [name] = namespace.split('.');
  return isCloud
    ? `tcld namespace create --namespace ${name} --region REGION --retention-days ${retentionDays} --auth-method api_key`
    : `temporal operator namespace create --retention ${retentionDays * 24}h --namespace ${namespace}`;
}

async function currentRetention(connection: Connection, of: Namespace): Promise<number> {
  const { namespace, isCloud } = of;
  const absent = (why: string, cause: unknown) =>
    new ServiceError({
      code: 'configuration',
      message: `There is no namespace ${namespace}${why}`,
      remedy: `Correct TEMPORAL_NAMESPACE, or make it: ${makeNamespace(of)}`,
      cause,
    });
  try {
    const described = await connection.workflowService.describeNamespace({ namespace });
    return Number(described.config?.workflowExecutionRetentionTtl?.seconds ?? 0);
  } catch (error) {
    if (grpcFailure(error)?.code !== notFound) throw error;
    if (isCloud) throw absent('', error);
  }
  try {
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention });
    return retentionSeconds;
  } catch (error) {
    const answer = grpcFailure(error);
    if (!refusing.has(answer?.code ?? 0)) throw error;
    throw absent(`, and its server lets nobody make one from here (${answer?.details})`, error);
  }
}
