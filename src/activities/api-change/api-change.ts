import { Context } from '@temporalio/activity';
import { z } from 'zod';
import { isServiceError, ServiceError } from '../../errors.ts';
import {
  type ApiCall,
  type ApiEffect,
  type ApiOperation,
  type ApiRead,
  type ApiReads,
  type ApiStep,
  apiCallLine,
  type ChangeAt,
  type ChangePlan,
  isApiOperation,
  missedFact,
  type Seen,
  signed,
} from '../../operations/api-change.ts';
import { catalogue } from '../../operations/catalogue.generated.ts';
import type { Finding } from '../../operations/finding.ts';
import type { PlanDraft } from '../../operations/plan.ts';
import type { Place } from '../../operations/target.ts';
import type { ProxmoxClient } from '../../proxmox/client.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { upidSchema } from '../../proxmox/schemas.ts';
import { endTask, ownTasks, retryable, startTask, type TaskSearch, wasNotDelivered } from '../../proxmox/tasks.ts';
import type { CallOptions } from '../../proxmox/transport.ts';
import { followToSuccess, leftToNext } from '../guests/follow-task.ts';
import { apiOf, movedOr } from '../guests/guests.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';

export const queue = 'host';

/** One request of a declared operation. */
export interface ChangeInput {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** A configured host, by whose API it is done; see {@link apiOf} for guests. */
  readonly host: string;
  readonly place: Place;
  /** The run's id. */
  readonly run: string;
}

/** What was seen, and what would be done. The run's history keeps it, and everything that follows rests on it. */
export interface ChangeLook {
  readonly node: string;
  readonly seen: Seen;
  readonly plan: PlanDraft;
  readonly steps: readonly PlannedCall[];
  readonly output: Readonly<Record<string, unknown>>;
  readonly done: string;
  readonly findings: readonly Finding[];
  readonly table?: NonNullable<ChangePlan<unknown>['table']>;
}

export interface PlannedCall {
  readonly title: string;
  /** Empty: nothing is called. */
  readonly line: string;
  readonly hasUndo: boolean;
  /** What it starts goes on by itself until it is ended. */
  readonly hasTask: boolean;
  /** The tasks of its kind that there were: what isn't among them, this run has started. */
  readonly tasks: readonly string[];
}

/** What is known of a task that ended well. */
export interface TaskDone {
  readonly warnings: number;
  readonly log: readonly string[];
  /** What the log says, of a step that has it read. */
  readonly findings?: readonly Finding[];
}

/** One step of what was planned. */
export interface StepInput extends ChangeInput {
  readonly node: string;
  readonly seen: Seen;
  readonly step: Pick<PlannedCall, 'title' | 'line'>;
}

export type ApiChangeActivities = ReturnType<typeof createApiChangeActivities>;

const lookEveryMs = 300;
const usualWithinSeconds = 10;
const readsAtOnce = 8;
/** How long a task may take to be listed whose call was not answered. */
const settleSeconds = 10;

/**
 * Everything that declared operations do. Each activity is safe to do again: what has a task looks for the one that the
 * run has started already, and what answers at once looks whether it has been done. The API knows no fence; what keeps
 * two runs from changing the same thing is its lock.
 */
export function createApiChangeActivities({
  proxmox,
  secondMs = 1000,
}: {
  readonly proxmox: ProxmoxApis;
  /** How long a second lasts in which an effect may show; for tests. */
  readonly secondMs?: number;
}) {
  return {
    /** Looks, and plans. Changes nothing. */
    async lookForChange(input: ChangeInput): Promise<ChangeLook> {
      const options = { signal: Context.current().cancellationSignal };
      const client = clientOf(proxmox, input);
      const at = atOf(input, await nodeOf(proxmox, input, options));
      const { change } = declared(input);
      const first = await readAll(client, change.reads(at), options);
      const named = change.more?.(at, first);
      const more = named === undefined ? undefined : await readAll(client, named, options);
      const deeper = more === undefined ? undefined : change.deeper?.(at, first, more);
      const seen =
        more === undefined
          ? first
          : {
              ...first,
              more: deeper === undefined ? more : { ...more, ...(await readAll(client, deeper, options)) },
            };
      const plan = planned(input, at.node, seen);
      const steps = await Promise.all(
        plan.steps.map(async (step) => ({
          title: step.title,
          line: step.call === undefined ? '' : apiCallLine(step.call),
          hasUndo: step.undo !== undefined,
          hasTask: step.task !== undefined,
          tasks:
            step.task === undefined
              ? []
              : (await ownTasks(client, searchOf(step.task), options)).map(({ upid }) => upid),
        })),
      );
      const { output, done, findings = [], table } = plan;
      return {
        ...{ node: at.node, seen, plan: draftOf(plan, input), steps, output, done, findings },
        ...(table !== undefined && { table }),
      };
    },

    /**
     * Makes the step's call, unless this run has made it already. Gives the UPID of what it started; nothing where the call
     * answers at once, or where all is so already.
     */
    async startChange(input: StepInput & { readonly known: readonly string[] }): Promise<{ readonly upid?: string }> {
      const client = clientOf(proxmox, input);
      const step = stepOf(input);
      const { call, task } = step;
      if (call === undefined) return {};
      try {
        const upid = await withHeartbeat(() =>
          task === undefined
            ? callAtOnce(client, step, input.run)
            : startTask(client, {
                search: searchOf(task),
                known: input.known,
                start: async () => startedBy(await client.write(startedSchema, signed(call, input.run)), task.node),
                settleMs: settleSeconds * secondMs,
              }),
        );
        return upid === undefined ? {} : { upid };
      } catch (error) {
        const { host, place } = input;
        if (place.kind !== 'guest') throw afterEarlierAttempts(error);
        // Where it can't be looked up just now, the refusal itself is what is known.
        const why = await movedOr(error, proxmox, { host, place }).catch((other: unknown) =>
          isServiceError(other, 'not-found') ? other : error,
        );
        throw afterEarlierAttempts(why);
      }
    },

    /** Follows the step's task to its end, and reads its log. A cancelled run's task is ended. */
    async followChange(input: StepInput & { readonly upid: string }): Promise<TaskDone> {
      const { log: judged } = stepOf(input);
      const { warnings, log } = await followToSuccess(clientOf(proxmox, input), input.upid, judged);
      return { warnings, log, ...(judged !== undefined && { findings: judged.findings(log, warnings) }) };
    },

    /**
     * Looks until the step has had its effect, and as long as it has to stay so: that its task ended well says neither.
     * Gives what the output learns from it; `findings` are for the report.
     *
     * @throws ServiceError `verification-failed`
     */
    verifyChange(input: StepInput): Promise<Readonly<Record<string, unknown>>> {
      return withHeartbeat(() => verify(clientOf(proxmox, input), stepOf(input), input.run, secondMs));
    },

    /** Ends the step's task, and takes back what is left of it that is this run's; nothing where nothing is. */
    undoChange(input: StepInput & { readonly known: readonly string[] }): Promise<void> {
      return withHeartbeat(() => takeBack(clientOf(proxmox, input), stepOf(input), { ...input, secondMs }));
    },

    /** What a step has left, as one comparable text. */
    async lookAtChange(input: StepInput): Promise<string> {
      const { undo, effect } = stepOf(input);
      const options = { signal: Context.current().cancellationSignal };
      return JSON.stringify(await readAll(clientOf(proxmox, input), (undo ?? effect).reads, options));
    },
  };
}

/** What a call answers that starts a task: `vzdump` of a guest that is elsewhere says OK, and has started nothing. */
const startedSchema = z.union([upidSchema, z.literal('OK')]);

function startedBy(answer: string, node: string): string {
  if (answer !== 'OK') return answer;
  throw new ServiceError({
    code: 'proxmox-not-found',
    message: `Proxmox said OK and has started nothing: there is no such guest on ${node}`,
    remedy: 'Start it again: it looks for the guest anew.',
    details: { node },
  });
}

function clientOf(proxmox: ProxmoxApis, input: ChangeInput): ProxmoxClient {
  const { host, place } = input;
  if (declared(input).needs === 'backup-server') return proxmox.backupServer(host);
  return place.kind === 'guest' ? apiOf(proxmox, { host, place }) : proxmox.get(host);
}

async function nodeOf(proxmox: ProxmoxApis, input: ChangeInput, options: CallOptions): Promise<string> {
  const { host, place } = input;
  // A backup server is the only node of itself.
  if (declared(input).needs === 'backup-server') return 'localhost';
  return place.kind === 'guest' ? place.node : await proxmox.node(host, options);
}

function declared({ operation }: ChangeInput): ApiOperation {
  const found = Object.values(catalogue).find(({ name }) => name === operation);
  if (found !== undefined && isApiOperation(found)) return found;
  throw new ServiceError({
    code: 'internal',
    message: `There is no declaration of the operation "${operation}" in this worker`,
    remedy: 'Start the worker of the same version as the one that started the run.',
  });
}

function atOf({ input, place }: ChangeInput, node: string): ChangeAt<Readonly<Record<string, unknown>>> {
  return { input, node, guest: place.kind === 'guest' ? place : undefined } as ChangeAt<
    Readonly<Record<string, unknown>>
  >;
}

/** The same from the same: also of a run that began to act long ago. */
function planned(input: ChangeInput, node: string, seen: Seen): ChangePlan<Readonly<Record<string, unknown>>> {
  const { more = {} } = seen as { readonly more?: Readonly<Record<string, unknown>> };
  const plan = declared(input).change.plan(atOf(input, node), seen, more);
  if (!('refused' in plan)) return plan;
  const { code, message, remedy, field } = plan.refused;
  throw new ServiceError({ code, message, remedy, ...(field === undefined ? {} : { details: { field } }) });
}

function draftOf(
  { steps, undo = [], summary, state, affected, risks }: ChangePlan<unknown>,
  input: ChangeInput,
): PlanDraft {
  const byTitle = new Map(steps.map((step) => [step.title, step]));
  return {
    summary,
    state,
    affected,
    risks,
    steps: declared(input).steps.map((title) => {
      const step = byTitle.get(title);
      return { title, does: step?.call === undefined ? [] : [apiCallLine(step.call)] };
    }),
    undo: [
      ...steps.flatMap((step) => (step.undo === undefined ? [] : [`If it fails or is cancelled: ${step.undo.says}`])),
      ...undo,
    ],
  };
}

/** What was planned, and nothing else: an update of this service in between may make another call of the same. */
function stepOf(input: StepInput): ApiStep {
  const { steps } = planned(input, input.node, input.seen);
  const step = steps.find(({ title }) => title === input.step.title);
  if (step !== undefined && (step.call === undefined ? '' : apiCallLine(step.call)) === input.step.line) return step;
  throw new ServiceError({
    code: 'conflict',
    message: `The step "${input.step.title}" would make another call than the one that was planned (${input.step.line}): this service was updated meanwhile`,
    remedy: 'Nothing more is done by this run; start it again.',
  });
}

function searchOf({ node, id, types, isId }: NonNullable<ApiStep['task']>): TaskSearch {
  if (id === undefined) return { node, types, ...(isId !== undefined && { isId }) };
  return { node, id, types, ...(/^\d+$/.test(id) ? { vmid: Number(id) } : {}) };
}

async function readAll<Reads extends ApiReads>(
  client: ProxmoxClient,
  reads: Reads,
  options: CallOptions,
): Promise<Seen<Reads>> {
  const one = async ({ template, values, parameters, schema, asksOnly, absent, absentOn }: ApiRead) => {
    try {
      if (asksOnly === true) {
        const call: ApiCall = { method: 'POST', template, values, ...(parameters !== undefined && { parameters }) };
        return await client.write(schema, call, options);
      }
      return await client.read(schema, template, values, parameters, options);
    } catch (error) {
      if (absent === undefined || !isAbsent(error, absentOn)) throw error;
      return absent;
    }
  };
  // A declaration may have any number of them. They stay in order: what was read is compared as text.
  const named = Object.entries(reads);
  const answers: unknown[] = [];
  const left = [...named.keys()];
  const next = async (): Promise<void> => {
    for (let at = left.shift(); at !== undefined; at = left.shift())
      answers[at] = await one((named[at] as (typeof named)[0])[1]);
  };
  await Promise.all(Array.from({ length: Math.min(readsAtOnce, named.length) }, next));
  return Object.fromEntries(named.map(([name], at) => [name, answers[at]])) as Seen<Reads>;
}

async function readEffect(
  client: ProxmoxClient,
  { reads, more }: ApiEffect,
  run: string,
  options: CallOptions,
): Promise<Seen> {
  const now = await readAll(client, reads, options);
  return more === undefined ? now : { ...now, ...(await readAll(client, more(now, run), options)) };
}

/** There is no such thing, or this version of Proxmox has no such call; or what else the read takes for that. */
function isAbsent(error: unknown, others: readonly string[] = []): boolean {
  if (!(error instanceof ServiceError)) return false;
  return error.code === 'proxmox-not-found' || error.details.status === 501 || others.includes(error.code);
}

/** That this attempt was refused says nothing of those before it: there may be something to take back. */
function afterEarlierAttempts(error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.retryable || Context.current().info.attempt === 1) return error;
  const { message, remedy, details } = error;
  return new ServiceError({ code: 'command-failed', message, remedy, details, cause: error });
}

/** Without a task to look for, its effect says whether it has been made: by an attempt of which nobody heard, too. */
async function callAtOnce(client: ProxmoxClient, step: ApiStep, run: string): Promise<undefined> {
  const { call, effect } = step as ApiStep & { readonly call: ApiCall };
  const isSo = async () => effect.lacks(await readEffect(client, effect, run, {}), run) === undefined;
  if (Context.current().info.attempt > 1 && (await isSo())) return undefined;
  try {
    await client.write(z.unknown(), signed(call, run));
  } catch (error) {
    // The next attempt looks first whether it arrived; two of the same would do no more than one.
    if (isServiceError(error, 'outcome-unknown') || wasNotDelivered(error)) throw retryable(error);
    throw error;
  }
  return undefined;
}

async function verify(
  client: ProxmoxClient,
  { call, effect }: Pick<ApiStep, 'call' | 'effect'>,
  run: string,
  secondMs: number,
): Promise<Readonly<Record<string, unknown>>> {
  const context = Context.current();
  const options = { signal: context.cancellationSignal };
  const { withinSeconds = usualWithinSeconds, staysSeconds = 0, orElse } = effect;
  const deadline = performance.now() + withinSeconds * secondMs;
  let since: number | undefined;
  for (;;) {
    const now = await readEffect(client, effect, run, options).catch((error: unknown) => {
      if (context.cancellationSignal.aborted) throw interrupted(context);
      // A node that doesn't answer for a moment says nothing of the effect.
      const isInTime = performance.now() < deadline || orElse !== undefined;
      if (error instanceof ServiceError && error.retryable && isInTime) return undefined;
      throw error;
    });
    const lacks = now === undefined ? 'could not be looked at' : effect.lacks(now, run);
    if (now !== undefined && lacks === undefined) {
      since ??= performance.now();
      if (performance.now() - since >= staysSeconds * secondMs) {
        const findings = effect.findings?.(now, run) ?? [];
        return { ...effect.facts?.(now, run), ...(findings.length > 0 && { findings }) };
      }
    } else if (orElse !== undefined) {
      if (performance.now() >= deadline) return { [missedFact]: orElse };
    } else if (since !== undefined) throw unverified(call, `${lacks}, though it was so at first`);
    else if (performance.now() >= deadline) throw unverified(call, lacks ?? '');
    await context.sleep(lookEveryMs).catch(() => undefined);
    if (context.cancellationSignal.aborted) throw interrupted(context);
  }
}

function unverified(call: ApiCall | undefined, lacks: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `${call === undefined ? 'What was waited for did not come' : 'Proxmox said that it was done'}, but ${lacks}`,
    remedy:
      "Look at the guest, at the task's log and at the log of its node (journalctl) for the cause, then start it again.",
  });
}

function interrupted(context: Context): ServiceError {
  if (!context.cancellationDetails?.cancelRequested) return leftToNext('The effect is to be looked at');
  return new ServiceError({
    code: 'cancelled',
    message: 'The run was cancelled while it looked at the effect',
    remedy: 'Start it again when it is wanted.',
  });
}

async function takeBack(
  client: ProxmoxClient,
  { task, undo }: ApiStep,
  { run, known, secondMs }: { readonly run: string; readonly known: readonly string[]; readonly secondMs: number },
): Promise<void> {
  if (task !== undefined) {
    const mine = (await ownTasks(client, searchOf(task))).filter(({ upid }) => !known.includes(upid));
    for (const { upid, running } of mine) if (running) await endTask(client, upid);
  }
  if (undo === undefined) return;
  const back = undo.plan(await readAll(client, undo.reads, {}), run);
  if (back === undefined) return;
  const { call, task: own } = back;
  if (call !== undefined && own !== undefined) {
    // One that an earlier attempt of this has started is followed.
    const ended = (await ownTasks(client, searchOf(own))).filter(({ running }) => !running).map(({ upid }) => upid);
    const start = () => client.write(upidSchema, signed(call, run));
    const upid = await startTask(client, { search: searchOf(own), known: ended, start });
    if (upid !== undefined) await followToSuccess(client, upid);
  } else if (call !== undefined) await callAtOnce(client, { title: '', ...back }, run);
  await verify(client, back, run, secondMs);
}
