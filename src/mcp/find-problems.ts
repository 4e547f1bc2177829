import type { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import type { Finding } from '../operations/finding.ts';
import { grpcFailure } from '../runs/grpc-failure.ts';
import { type Restored, restoredFinding } from '../runs/restored.ts';
import { readServing, type Serving } from '../runs/serving.ts';
import { temporalAddress } from '../runs/temporal-endpoint.ts';
import { type Stranded, strandedRuns, strandedText } from '../runs/worker-versions.ts';

/** How long the Temporal server may take to answer. Milliseconds. */
const deadlineMs = 2_500;
/** And to say who it is, which it knows by itself. */
const aliveMs = 1_500;
/** Who serves which host is asked so often: there may be many. */
const servingMs = 15_000;

/** gRPC's codes: permission denied, unauthenticated. */
const refusing: readonly number[] = [7, 16];

/** What keeps the service from working now: no Temporal, or nobody who takes its work. */
export function createFindProblems(
  client: Client,
  config: Config,
  restored: () => Promise<Restored | undefined> = async () => undefined,
): () => Promise<readonly Finding[]> {
  const hosts = config.hosts.map(({ name }) => name);
  let last: { readonly at: number; readonly serving: Served } | undefined;

  /** What is well is asked again seldom, so that many hosts cost little; what isn't, each time. */
  async function serving(): Promise<Served> {
    if (last === undefined || Date.now() - last.at > servingMs || workersOf(last.serving, hosts.length).length > 0) {
      const [found, stranded] = await Promise.all([readServing(client, hosts), strandedRuns(client).catch(() => [])]);
      last = { at: Date.now(), serving: { ...found, stranded } };
    }
    return last.serving;
  }

  async function lookAtTemporal(): Promise<readonly Finding[]> {
    try {
      return await client.withDeadline(Date.now() + deadlineMs, async () => {
        // What a queue is asked the server may know by heart: this it has to read from its database.
        await client.workflowService.describeNamespace({ namespace: config.temporal.namespace });
        return workersOf(await serving(), hosts.length);
      });
    } catch (error) {
      last = undefined;
      return [await whyNot(client, config, error)];
    }
  }

  return async () => {
    // At once: where Temporal is away each of them waits for it, and who asks waits for 5 s.
    const [found, problems] = await Promise.all([restored(), lookAtTemporal()]);
    return found === undefined ? problems : [restoredFinding(found)];
  };
}

/** With the runs whose worker is gone. */
type Served = Serving & { readonly stranded: readonly Stranded[] };

/** `/health` says it to everybody, so no host is named. */
function workersOf({ runs, ledger, unserved, stranded }: Served, hosts: number): Finding[] {
  if (!runs) {
    return [
      {
        check: 'Worker',
        verdict: 'failed',
        summary: 'No worker takes work: runs wait until one does.',
        remedy: 'See the log of the worker in the data folder, or start the service.',
      },
    ];
  }
  return [
    ...(ledger
      ? []
      : [
          {
            check: 'Ledger',
            verdict: 'warning' as const,
            summary: 'No worker has the ledger: nothing is changed, and nobody is asked, until one has.',
            remedy:
              "See the log of the worker that is to have it: one needs WORKER_LEDGER=auto or only, and the ledger's folder.",
          },
        ]),
    ...(unserved.length === 0
      ? []
      : [
          {
            check: 'Worker',
            verdict: 'warning' as const,
            summary: `Hosts that no worker serves: ${unserved.length} of ${hosts}. Their runs wait until one does.`,
            remedy:
              'npx proxmox-mcp doctor names them; start a worker whose WORKER_HOSTS does too, or that serves all.',
          },
        ]),
    ...stranded.map((one) => ({ check: 'Worker builds', verdict: 'warning' as const, ...strandedText(one) })),
  ];
}

async function whyNot(client: Client, config: Config, error: unknown): Promise<Finding> {
  const failed = (check: string, summary: string, remedy: string): Finding => ({
    check,
    verdict: 'failed',
    summary,
    remedy,
  });
  const where = temporalAddress(config);
  const answer = grpcFailure(error);
  if (answer !== undefined && refusing.includes(answer.code)) {
    return failed(
      'Temporal',
      `The Temporal server at ${where} doesn't let the service in: nothing can be started or looked up.`,
      "Run npx proxmox-mcp doctor on the service's machine: it says what was refused.",
    );
  }
  try {
    await client.withDeadline(Date.now() + aliveMs, () => client.workflowService.getSystemInfo({}));
  } catch {
    return failed(
      'Temporal',
      `The Temporal server at ${where} doesn't answer: nothing can be started or looked up.`,
      "Run npx proxmox-mcp doctor on the service's machine.",
    );
  }
  return failed(
    "Temporal's database",
    `The Temporal server at ${where} answers, but can't read its database: nothing can be started or looked up, and nothing is lost.`,
    "Look at the database (PostgreSQL) and at the Temporal server's log. Runs go on when it is back.",
  );
}
