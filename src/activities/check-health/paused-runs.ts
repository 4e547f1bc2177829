import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import type { Finding } from '../../operations/finding.ts';
import { type Question, runMemo } from '../../operations/run.ts';
import { searchAttributes } from '../../operations/search-attributes.ts';
import { cleanLine } from '../../reports/clean.ts';
import { relativeTime } from '../../reports/units.ts';
import { finding } from './finding.ts';

/** How many are named; what is left waits as they do. */
const mostShown = 10;
const questionLimit = 300;
/** How long the Temporal server may take to list them, ms. */
const answersWithinMs = 5_000;

/**
 * Runs of a host and of its guests that are paused: each waits for a person, and nobody would hear of it again. Asks the
 * Temporal server alone, so it is known of a host that is away, too.
 */
export async function inspectPausedRuns(client: Client, host: string, now = Date.now()): Promise<Finding[]> {
  let paused: readonly WorkflowExecutionInfo[];
  try {
    paused = await client.withDeadline(Date.now() + answersWithinMs, () => listPaused(client, host));
  } catch (error) {
    const why = error instanceof Error ? cleanLine(error.message, questionLimit) : 'no reason given';
    return [
      finding('Paused runs', 'unknown', `It could not be determined: the Temporal server did not list them (${why})`, {
        remedy: 'Look at the Temporal server: npx proxmox-mcp doctor',
      }),
    ];
  }
  if (paused.length === 0) return [finding('Paused runs', 'ok', 'No run waits for a person.')];
  return [
    ...paused.slice(0, mostShown).map((run) => describe(run, now)),
    ...(paused.length > mostShown
      ? [
          finding('Paused runs', 'failed', `${paused.length - mostShown} more runs wait for a person.`, {
            remedy: 'See them with: npx proxmox-mcp runs list --state paused',
          }),
        ]
      : []),
  ];
}

/** Host names need no quoting: they are of a-z, 0-9 and - (`hostName`). */
async function listPaused(client: Client, host: string): Promise<readonly WorkflowExecutionInfo[]> {
  const { phase, target } = searchAttributes;
  const query = `${phase} = 'paused' AND ExecutionStatus = 'Running' AND (${target} = '${host}' OR ${target} STARTS_WITH '${host}/')`;
  const paused: WorkflowExecutionInfo[] = [];
  for await (const run of client.workflow.list({ query })) paused.push(run);
  return paused;
}

function describe({ workflowId, memo }: WorkflowExecutionInfo, now: number): Finding {
  const { question } = runMemo.safeParse(memo ?? {}).data ?? {};
  if (question === undefined) {
    return finding('Paused run', 'failed', `${workflowId} waits for a person.`, {
      remedy: `See what it asks with: npx proxmox-mcp runs get ${workflowId}`,
    });
  }
  const since = relativeTime(question.askedAt, now);
  const isApproval = question.kind === 'approval';
  const what = isApproval ? `the approval of ${question.approval?.approvers.join(', ') ?? 'somebody'}` : 'a decision';
  return finding(
    'Paused run',
    // What asks before it begins is stuck in nothing.
    isApproval ? 'warning' : 'failed',
    `${workflowId} waits for ${what}, asked ${since}: ${cleanLine(question.text, questionLimit)}`,
    { remedy: `Decide with: ${answers(workflowId, question)}` },
  );
}

function answers(run: string, { choices }: Question): string {
  return choices
    .map(({ name, meaning }) => `npx proxmox-mcp runs decide ${run} ${name} (${cleanLine(meaning, 100)})`)
    .join('; or: ');
}
