import {
  type Client,
  type WorkflowExecutionInfo,
  WorkflowFailedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { defaultPayloadConverter, TypedSearchAttributes } from '@temporalio/common';
import { z } from 'zod';
import type { OperationDefinition } from '../../operations/definition.ts';
import { finding } from '../../operations/finding.ts';
import type { Notice } from '../../operations/notice.ts';
import { actsAt, type Outcome } from '../../operations/run.ts';
import { searchAttributes } from '../../operations/search-attributes.ts';
import { keys } from '../../workflows/lib/attributes.ts';
import { failureOf } from '../../workflows/lib/failure.ts';
import { progressQuery } from '../../workflows/lib/messages.ts';
import { judgeEnd, type OverrunLimits, type ScheduledRun, usualMs } from './decide.ts';
import { ofEnd, ofOverrun, ofQuestion, ofReport, type RunWords } from './words.ts';

/** How many runs one look reads at most; more never ended while nobody looked. */
const most = 2_000;
/** How many earlier runs tell what is usual. */
const earlier = 10;
/** Only a worker can answer. */
const queryTimeoutMs = 3_000;

const bySchedule = `${searchAttributes.requestedBy} STARTS_WITH 'schedule:'`;

interface Looker {
  readonly client: Client;
  readonly titleOf: (operation: string) => Pick<OperationDefinition, 'title' | 'subject'>;
  readonly timeZoneOf: (target: string) => string;
  /** Where a run is to be seen, in words. */
  readonly placeOf: (id: string) => string;
}

/** The scheduled runs that have ended since a moment (ms). */
export function endedSince(client: Client, since: number): Promise<readonly ScheduledRun[]> {
  return list(client, `${bySchedule} AND CloseTime >= '${new Date(since).toISOString()}'`, most);
}

/** The scheduled runs that go on. */
export function goingOn(client: Client): Promise<readonly ScheduledRun[]> {
  return list(client, `${bySchedule} AND ExecutionStatus = 'Running'`, most);
}

async function list(client: Client, query: string, max: number): Promise<readonly ScheduledRun[]> {
  const runs: ScheduledRun[] = [];
  for await (const info of client.workflow.list({ query, pageSize: Math.min(max, 100) })) {
    runs.push(read(info));
    if (runs.length === max) break;
  }
  return runs;
}

function read(info: WorkflowExecutionInfo): ScheduledRun {
  const attributes = info.typedSearchAttributes ?? new TypedSearchAttributes();
  return {
    id: info.workflowId,
    runId: info.runId,
    operation: attributes.get(keys.operation) ?? info.type,
    target: attributes.get(keys.target) ?? '',
    schedule: (attributes.get(keys.requestedBy) ?? '').replace(/^schedule:/, ''),
    status: info.status.name,
    outcome: attributes.get(keys.outcome) as Outcome | undefined,
    phase: attributes.get(keys.phase),
    // One that was started ahead of its time takes as long as it takes from then on.
    startedAt: actsAt(info.memo, info.startTime.getTime()),
    closedAt: info.closeTime?.getTime(),
  };
}

function aboutRun({ titleOf, timeZoneOf, placeOf }: Looker, run: ScheduledRun): RunWords {
  const { title, subject } = titleOf(run.operation);
  return { run, title, subject, timeZone: timeZoneOf(run.target), look: placeOf(run.id) };
}

/** What a person must hear of a run that has ended; undefined where nothing. */
export async function noticeOfEnd(looker: Looker, run: ScheduledRun): Promise<Notice | undefined> {
  const about = aboutRun(looker, run);
  const kind = judgeEnd(run);
  const handle = looker.client.workflow.getHandle(run.id, run.runId, { followRuns: false });
  if (kind === undefined) {
    if (run.status !== 'COMPLETED') return undefined;
    const unsent = unsentReport.safeParse(await endOf(handle)).data;
    return unsent && ofReport(about, unsent);
  }
  try {
    await endOf(handle);
    return undefined;
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const why = failureOf(error.cause);
    // Temporal's own words where somebody ended it without a reason.
    const reason = why.message === 'Workflow execution terminated' ? 'no reason was given' : why.message;
    // Nothing of it failed.
    const what = why.code === 'condition-not-met' ? 'not-met' : kind;
    return ofEnd(about, what, { ...why, message: reason });
  }
}

/** What a run has returned; undefined where the server has forgotten it meanwhile. */
async function endOf(handle: { result(): Promise<unknown> }): Promise<unknown> {
  try {
    return await handle.result();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** A run's result whose report could not be mailed, read as far as that tells. */
const unsentReport = z
  .object({
    report: z.object({ summary: z.string(), sections: z.array(z.object({ findings: z.array(finding).optional() })) }),
    output: z.object({ mailed: z.literal(false) }),
  })
  .transform(({ report }, context) => {
    const mail = report.sections
      .flatMap(({ findings = [] }) => findings)
      .find(({ check, verdict }) => check === 'Mail' && verdict === 'failed');
    if (mail !== undefined) return { summary: report.summary, why: mail.summary };
    context.addIssue({ code: 'custom', message: 'It was not to be mailed.' });
    return z.NEVER;
  });

/** What a person must hear of a run that goes on: it is paused and could not tell so itself, or it takes too long. */
export async function noticeOfGoing(
  looker: Looker,
  run: ScheduledRun,
  limits: OverrunLimits,
  now: number,
): Promise<Notice | undefined> {
  const about = aboutRun(looker, run);
  if (run.phase === 'paused') {
    const question = await unsentQuestion(looker.client, run);
    return question && ofQuestion(about, question);
  }
  if (now - run.startedAt <= limits.leastMs) return undefined;
  const usual = usualMs(await goodDurations(looker.client, run.schedule), limits);
  if (now - run.startedAt <= usual) return undefined;
  return ofOverrun(about, { usual, message: await messageOf(looker.client, run), now });
}

async function goodDurations(client: Client, schedule: string): Promise<readonly number[]> {
  const by = `${searchAttributes.requestedBy} = 'schedule:${schedule.replaceAll("'", "''")}'`;
  const runs = await list(client, `${by} AND ExecutionStatus = 'Completed'`, earlier);
  return runs.map(({ startedAt, closedAt = startedAt }) => Math.max(0, closedAt - startedAt));
}

async function messageOf(client: Client, run: ScheduledRun): Promise<string | undefined> {
  try {
    const handle = client.workflow.getHandle(run.id, run.runId);
    return (await client.withDeadline(Date.now() + queryTimeoutMs, () => handle.query(progressQuery))).message;
  } catch {
    return undefined;
  }
}

/** What a paused run gives to be mailed (src/workflows/lib/tell.ts), read as far as it is told again. */
const question = z.object({
  report: z.object({
    summary: z.string(),
    sections: z.array(z.object({ findings: z.array(finding).default([]) })),
  }),
});
const mailResult = z.object({ mailed: z.boolean() });

/**
 * A paused run mails its question itself. This is the question whose mail has ended without being sent; undefined while
 * it is still being tried, and when it was sent.
 */
async function unsentQuestion(
  client: Client,
  run: ScheduledRun,
): Promise<Parameters<typeof ofQuestion>[1] | undefined> {
  const { events } = await client.workflow.getHandle(run.id, run.runId).fetchHistory();
  const asked = events?.findLast((event) => {
    return event.activityTaskScheduledEventAttributes?.activityType?.name === 'mailReport';
  });
  if (!events || !asked) return undefined;
  const isOfIt = (attributes: { scheduledEventId?: unknown } | null | undefined) =>
    attributes != null && String(attributes.scheduledEventId) === String(asked.eventId);
  const sent = events.find((event) => isOfIt(event.activityTaskCompletedEventAttributes));
  const ended = events.some(
    (event) => isOfIt(event.activityTaskFailedEventAttributes) || isOfIt(event.activityTaskTimedOutEventAttributes),
  );
  const [result] = sent?.activityTaskCompletedEventAttributes?.result?.payloads ?? [];
  if (result && mailResult.safeParse(defaultPayloadConverter.fromPayload(result)).data?.mailed !== false)
    return undefined;
  if (!result && !ended) return undefined;
  const [input] = asked.activityTaskScheduledEventAttributes?.input?.payloads ?? [];
  const mail = input && question.safeParse(defaultPayloadConverter.fromPayload(input)).data?.report;
  const [found] = mail?.sections.flatMap(({ findings }) => findings) ?? [];
  return {
    event: String(asked.eventId),
    askedAt: new Date(Number(asked.eventTime?.seconds ?? 0) * 1_000).toISOString(),
    question: mail?.summary ?? 'It waits for a decision.',
    remedy: found?.remedy ?? `See what it asks: npx proxmox-mcp runs get ${run.id}`,
  };
}
