import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  isCancellation,
  patched,
  setHandler,
  sleep,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { z } from 'zod';
import { type OperationDefinition, riskOf, type TypedOperation, worstRisk } from '../../operations/definition.ts';
import { digestOf } from '../../operations/digest.ts';
import type { Verdict } from '../../operations/finding.ts';
import type { Judgement } from '../../operations/judgement.ts';
import type { Plan, PlanDraft } from '../../operations/plan.ts';
import { makeReport, type Report } from '../../operations/report.ts';
import type {
  Approver,
  Ending,
  Outcome,
  Phase,
  Question,
  RunRequest,
  RunResult,
  RunStep,
} from '../../operations/run.ts';
import { type Lock, labelFor, locksOf, type Place, targetIn } from '../../operations/target.ts';
import { endingText } from '../../reports/ending.ts';
import { planSections } from '../../reports/plan.ts';
import { readableList } from '../../reports/units.ts';
import { approvalSection, askedAgain, askForApproval, useUp, whoApproved } from './approval.ts';
import { actFor } from './approved.ts';
import { type Ask, createQuestions } from './ask.ts';
import { keys } from './attributes.ts';
import { createChecklist } from './checklist.ts';
import { createChildren } from './children.ts';
import { conditionHost, conditionText, isNotMet, requireCondition } from './condition.ts';
import { dueOf } from './due.ts';
import { type Failure, failureOf } from './failure.ts';
import { createLocks } from './locks.ts';
import { rememberEnding, rememberQuestion, rememberReversal } from './memo.ts';
import { progressQuery } from './messages.ts';
import { parseInput } from './parse-input.ts';
import { createPatience } from './patience.ts';
import { judgedOf, locate } from './place.ts';
import { createRecords, keepsRecords, type Records } from './records.ts';
import { planOfUndo, undoSection, wayBack } from './reverse.ts';
import type { Change, Done, Look, Planned, Run } from './run.ts';
import { createTelling } from './tell.ts';
import { tellTrace } from './trace.ts';
import { createUndoStack, type UndoStep } from './undo.ts';

/** How long a run waits, again and again, until its undo is no longer kept out by a fence of a time that hasn't come. 6 min. */
const outwaitMs = [15_000, 45_000, 60_000, 60_000, 60_000, 60_000, 60_000];
/** How often a run takes its locks again by itself for an undo that a newer fence keeps out. */
const mostRetakes = 3;

/**
 * Makes the durable workflow of an operation: validates its input, finds its target, asks the policy and people where it
 * is to change something, takes the target's locks, keeps the checklist, the ledger and the search attributes, undoes on
 * failure and on cancellation, and returns the report.
 */
export function operationWorkflow<Input extends z.ZodObject, Output extends z.ZodObject, Known = undefined>(
  definition: TypedOperation<string, OperationDefinition['target'], Input, Output>,
  operation: Look<z.output<Input>, z.output<Output>> | Change<z.output<Input>, z.output<Output>, Known>,
): (request: RunRequest<z.input<Input>>) => Promise<RunResult<z.output<Output>>> {
  if (typeof operation === 'function' && worstRisk(definition) !== 'read') {
    throw new Error(`${definition.name} changes something, so it needs a plan`);
  }
  return async (request) => {
    tellTrace.began();
    const input = parseInput(definition, request.input);
    const target = targetIn(input);
    const label = labelFor(definition, input);
    const title = `${definition.title} ${label}`;
    const checklist = createChecklist(title, definition.steps);
    setHandler(progressQuery, checklist.progress, { description: 'What the run does now, and its steps' });
    const locks = createLocks({
      operation: definition.name,
      title,
      within: request.within,
      onWait: (message) => {
        hasWaited = true;
        checklist.enter('waiting-for-lock', message);
      },
    });
    const telling = createTelling({ title, target: label, askedBy: request }, definition.subject);
    const questions = createQuestions(
      async (question) => {
        checklist.ask(question);
        setPhase(question === undefined ? 'running' : 'paused');
        rememberQuestion(question);
        await telling.tell(question, question?.kind === 'approval' ? plan : undefined);
      },
      (question) => {
        checklist.ask(question);
        rememberQuestion(question);
      },
      telling,
    );
    const records = keepsRecords()
      ? createRecords(definition, {
          input,
          target: label,
          by: request.requestedBy,
          undoes: request.undoes?.run,
          onBehalfOf: request.onBehalfOf,
        })
      : undefined;
    const undo = createUndoStack({
      onStep: (step) => checklist.enter('undoing', `Undoing: ${step}`),
      onUndone: (step) => mark(step, 'undone'),
      onStuck: async (step, why) =>
        (await outwait(why)) || (await retake(step, why)) ? 'retry' : askAboutUndo(step, why.message),
    });
    const patience = createPatience(target.host ?? label);
    const children = createChildren({
      locks,
      checklist,
      onBehalfOf: request.onBehalfOf ?? request.requestedBy,
    });
    const due = dueOf(request.notBefore);
    const isDryRun = input.dryRun === true;
    const changes = riskOf(definition, input) !== 'read' && !isDryRun;
    let place: Place;
    /** Another run had its lock, so that it is later than when the policy was asked. */
    let hasWaited = false;
    let outwaited = 0;
    let retakes = 0;
    /** Nothing was changed yet. */
    let onlyLooks = true;
    /** It does what it has planned. */
    let isActing = false;
    /** It acts by an approval, so that every step of it is begun once. */
    let isApproved = false;
    let begunAt = 0;
    let plan: Plan | undefined;
    let approvedBy: Approver[] = [];
    let end: { readonly outcome: Outcome; readonly message: string } | undefined;
    /** Where it is, for its last word; a failed step's until the next one begins. */
    let at = 'before its first step';
    let failedAt: string | undefined;
    /** Why nothing is undone before a person has been asked. */
    let doubt: string | undefined;

    try {
      place = await patiently(() => locate(definition, input));
      const done = await (isDryRun ? onlyPlan() : changes ? change() : onlyLook());
      const sections = [
        ...done.sections,
        ...(request.undoes === undefined ? [] : [undoSection(request.undoes, isDryRun)]),
        ...(approvedBy.length === 0 ? [] : [approvalSection(approvedBy)]),
      ];
      const report = reportOf({ ...done, sections });
      const outcome = isDryRun ? 'planned' : 'done';
      finish(outcome, done.summary, { verdict: report.verdict });
      const way = changes ? wayBack(definition, input, done.output) : undefined;
      if (way !== undefined) rememberReversal(way);
      return {
        outcome,
        output: done.output,
        report,
        ...(plan === undefined ? {} : { plan }),
        ...(approvedBy.length === 0 ? {} : { approvedBy }),
      };
    } catch (error) {
      if (checklist.progress().phase !== 'finished') {
        const ending = { at, undone: [], left: [] };
        const cancelled = isCancellation(error);
        finish(
          cancelled || isNotMet(error) ? 'cancelled' : 'failed',
          cancelled ? `Cancelled. ${endingText(ending)}` : failureOf(error).message,
          { ending },
        );
      }
      throw error;
    } finally {
      await locks.release();
      if (end !== undefined)
        await records?.ended(end.outcome, end.message, begunAt === 0 ? 0 : (Date.now() - begunAt) / 1_000);
      tellTrace.ended(end?.outcome ?? 'failed');
    }

    async function onlyPlan(): Promise<Done<z.output<Output>>> {
      const { would } = await planNow({ isForPeople: true });
      if (would === undefined || plan === undefined) {
        throw ApplicationFailure.nonRetryable('This request changes nothing, so there is nothing to plan.', 'conflict');
      }
      return {
        output: would.output,
        summary: `Would ${plan.summary}; nothing was changed.`,
        sections: [...planSections(plan), ...(would.sections ?? [])],
      };
    }

    async function onlyLook(): Promise<Done<z.output<Output>>> {
      await untilDue();
      await meetCondition();
      return await act(await planNow());
    }

    /** What the policy allows is done; what it asks people about is done when they have approved it. */
    async function change(): Promise<Done<z.output<Output>>> {
      if (records !== undefined) {
        let judged = await judge(records);
        // What was allowed a day ahead may be something else at its time.
        if (judged.verdict === 'allowed' && (await untilDue())) judged = await judge(records);
        if (judged.verdict === 'allowed') {
          await takeLocks();
          // What was allowed hours ago may be something else now.
          if (hasWaited && patched('judge-after-wait')) judged = await judge(records);
        }
        if (judged.verdict === 'ask') {
          await locks.release();
          return await whenApproved(records, judged);
        }
      } else await takeLocks();
      await meetCondition();
      const planned = await planNow();
      if (plan !== undefined) await records?.planned(plan);
      return await act(planned);
    }

    async function wantsSnapshot(): Promise<string | undefined> {
      return await records?.snapshotFirst(judgedOf(definition, input, place));
    }

    async function judge(ledger: Records): Promise<Judgement> {
      const at = due !== undefined && due.at > Date.now() ? due.at : undefined;
      const judged = await ledger.judge(judgedOf(definition, input, place), at);
      if (judged.verdict !== 'refused') return judged;
      throw ApplicationFailure.create({
        message: `${judged.why} ${judged.remedy}`,
        type: 'forbidden',
        nonRetryable: true,
        details: [{ code: 'forbidden', remedy: judged.remedy }],
      });
    }

    /**
     * Asks without a lock, for days if need be; then looks under its locks whether all is as it was approved, and uses the
     * approval up. Whatever differs makes it void: it is planned anew, and asked anew.
     */
    async function whenApproved(
      ledger: Records,
      judged: Judgement & { verdict: 'ask' },
    ): Promise<Done<z.output<Output>>> {
      let { terms, why } = judged;
      for (;;) {
        due?.requireInTime(terms.executeWithinMs);
        await planNow({ isForPeople: true });
        at = 'while it waited for an approval';
        checklist.enter('paused', `Waiting for the approval of ${readableList(terms.approvers)}`);
        const approved = await askForApproval(
          { questions, records: ledger },
          { plan: requirePlan(), terms, why: `${whenItActs()}${why}`, due: due?.at },
        );
        await untilDue();
        await takeLocks();
        await meetCondition();
        const now = await judge(ledger);
        const planned = await planNow();
        const used = await useUp(approved, {
          plan: planned.would && requirePlan(),
          now,
          records: ledger,
          due: due?.at,
        });
        if ('attempt' in used) {
          approvedBy = whoApproved(approved.answers);
          try {
            return await act(planned, used.attempt);
          } catch (error) {
            if (!(error instanceof ApprovalSpent)) throw error;
          }
        }
        await locks.release();
        checklist.reset();
        why = 'isVoid' in used ? used.isVoid : askedAgain;
        if (now.verdict === 'ask') ({ terms } = now);
      }
    }

    /** What people are told who are asked ahead. */
    function whenItActs(): string {
      if (due === undefined) return '';
      const host = conditionHost(place, target);
      const only = request.condition && host ? `, only if ${conditionText(request.condition, host)} then` : '';
      return `It is done at ${due.text}${only}. `;
    }

    /** Waits for its time, without any lock. False: it has come already, or it has none. */
    async function untilDue(): Promise<boolean> {
      if (due === undefined || due.at <= Date.now()) return false;
      at = 'while it waited for its time';
      checklist.enter('running', `Waiting for its time: ${due.text}`);
      return await due.reached();
    }

    /** Under the locks of what is changed, so that what is found is still so when it acts. */
    async function meetCondition(): Promise<void> {
      if (request.condition === undefined) return;
      const host = conditionHost(place, target);
      at = 'while it looked at the health of its host';
      checklist.enter('running', `Looking whether ${conditionText(request.condition, host ?? label)}`);
      await requireCondition(request.condition, host, children);
    }

    /** Looks only. What it finds is the plan of the run from then on. */
    async function planNow({ isForPeople = false } = {}): Promise<Planned<Known, z.output<Output>>> {
      if (typeof operation === 'function') return { known: undefined as Known };
      at = 'before its first step';
      checklist.enter('running', isDryRun || isForPeople ? 'Planning' : 'Running');
      const planned = await planning(operation);
      if (planned.would === undefined) return planned;
      const usualSeconds = isForPeople ? await records?.usualSeconds() : plan?.usualSeconds;
      plan = finishPlan(planOfUndo(request.undoes, planned.would.plan, label));
      if (usualSeconds !== undefined) plan = { ...plan, usualSeconds };
      checklist.plan(plan);
      return planned;
    }

    async function planning({ plan: look }: Change<z.output<Input>, z.output<Output>, Known>) {
      try {
        return await look({
          input,
          get place() {
            return place;
          },
          step: runStep,
          snapshotFirst: wantsSnapshot,
        });
      } catch (error) {
        throw await takeBack(error);
      }
    }

    function finishPlan(draft: PlanDraft): Plan {
      const { dryRun: _, ...asked } = input;
      const { undoes: of } = request;
      const does = { operation: definition.name, input: asked, steps: draft.steps, ...(of && { undoes: of.run }) };
      return { ...draft, digest: digestOf(does), fingerprint: digestOf(draft.state) };
    }

    function requirePlan(): Plan {
      if (plan !== undefined) return plan;
      throw ApplicationFailure.nonRetryable('An approval was wanted without a plan.', 'internal');
    }

    /** @param attempt the execution of this run that an approval was used up for; it acts by none where there is none */
    async function act(planned: Planned<Known, z.output<Output>>, attempt?: string): Promise<Done<z.output<Output>>> {
      at = 'before its first step';
      checklist.enter('running', 'Running');
      begunAt = Date.now();
      isActing = changes;
      isApproved = attempt !== undefined;
      actFor(attempt);
      const run: Run<z.output<Input>> = {
        input,
        begunAt,
        get place() {
          return place;
        },
        get fences() {
          return locks.fences;
        },
        get fence() {
          return (place.kind === 'host' ? locks.fences[`host/${place.host}`] : undefined) ?? 0;
        },
        step: runStep,
        snapshotFirst: wantsSnapshot,
        note: (step, how) => checklist.mark(step, 'running', how),
        skip: (step, why) => checklist.mark(step, 'skipped', why),
        onUndo(step, take, look) {
          onlyLooks = false;
          undo.push({ title: step, undo: () => unlessInDoubt(take), look });
        },
        nothingDone: undo.drop,
        commit: undo.clear,
        ask: (ask, look) => askWithoutLocks(ask, 'ends', look),
        child: children.start,
        afterwards: children.afterwards,
        uninterrupted: children.uninterrupted,
        report: (sections, summary) => reportOf({ sections, summary }),
      };
      try {
        return await (typeof operation === 'function' ? operation(run) : operation.act(run, planned.known));
      } catch (error) {
        isActing = false;
        actFor(undefined);
        if (isApproved && failureOf(error).code === 'approval-spent') {
          // Another execution did what there would be to undo, and that is not this one's to take back.
          undo.clear();
          isApproved = false;
          throw new ApprovalSpent();
        }
        // Here, so that everything is taken back while the locks are still held.
        throw await takeBack(error);
      }
    }

    /** A guest can have moved while its lock was waited for; then its other host is the one to share. */
    async function takeLocks(): Promise<void> {
      for (;;) {
        const wanted = locksOf(place, definition);
        at = `while it waited for the lock of ${label}`;
        checklist.enter('waiting-for-lock', `Waiting for the lock of ${label}`);
        await locks.take(wanted);
        if (place.kind !== 'guest' && place.kind !== 'guests') return;
        place = await locate(definition, input);
        if (sameLocks(wanted, locksOf(place, definition))) return;
        await locks.release();
      }
    }

    async function runStep<T>(
      step: string,
      work: (summary: string) => Promise<T>,
      note?: (result: T) => string | undefined,
    ): Promise<T> {
      const here = `at step "${step}"`;
      at = here;
      failedAt = undefined;
      checklist.mark(step, 'running');
      try {
        if (isActing) await records?.goOn(step, isApproved);
        const result = await patiently(() => work(step), step);
        mark(step, 'done', note?.(result));
        if (at === here) at = `after step "${step}"`;
        return result;
      } catch (error) {
        failedAt ??= here;
        mark(step, 'failed', failureOf(error).message);
        throw error;
      }
    }

    /** Marks a step, and writes it down where it is one that changes something. */
    function mark(step: string, state: RunStep['state'], note?: string): void {
      checklist.mark(step, state, note);
      if (isActing || state === 'undone') records?.step(step, state, note);
    }

    /**
     * A scheduled run that is to change something outlasts a reboot of its host before its first change: nobody waits
     * for it, and the next one may be a day away.
     */
    async function patiently<T>(work: () => Promise<T>, step?: string): Promise<T> {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          const mayWait = changes && onlyLooks && request.requestedBy.kind === 'schedule' && !isCancellation(error);
          const pause = mayWait ? patience.next(failureOf(error).code, Date.now()) : undefined;
          if (pause === undefined || !patched('outlast-reboot')) throw error;
          if (step !== undefined) checklist.mark(step, 'running', pause.message);
          checklist.enter(checklist.progress().phase, pause.message);
          await sleep(pause.waitMs, { summary: pause.message });
        }
      }
    }

    /** Nobody holds a lock while waiting for a person; and what they were asked about must still be so afterwards. */
    async function askWithoutLocks<Choice extends string>(
      ask: Ask<Choice>,
      ifCancelled: NonNullable<Question['ifCancelled']>,
      look?: () => Promise<string>,
    ): Promise<Choice | undefined> {
      const before = { ...checklist.progress(), at };
      let { question } = ask;
      for (;;) {
        const seen = await lookOnce(look);
        await locks.release();
        checklist.enter('paused', question);
        let choice: Choice | undefined;
        let cancelled = false;
        try {
          choice = await questions.ask({ ...ask, question }, ifCancelled);
        } catch (error) {
          if (!isCancellation(error)) throw error;
          cancelled = true;
        }
        if (undo.isEmpty() && ifCancelled === 'ends') {
          // Nothing is to be undone, so nothing keeps it from ending at once.
          if (cancelled) throw stopped('while it waited for an answer');
          if (changes) await takeLocks();
        } else if (changes) await CancellationScope.nonCancellable(takeLocks);
        checklist.enter(before.phase, before.message);
        at = before.at;
        const same = await CancellationScope.nonCancellable(
          async () => seen === undefined || (await lookOnce(look)) === seen,
        );
        if (cancelled || CancellationScope.current().consideredCancelled) {
          if (!same) doubt = 'Somebody changed it while the run waited for an answer.';
          throw stopped(`while it waited for ${cancelled ? 'an answer' : `the lock of ${label}`}`);
        }
        if (same) return choice;
        question = `${ask.question} Somebody changed it since this was asked, so the answer "${choice ?? 'none'}" was not followed.`;
      }
    }

    function stopped(where: string): CancelledFailure {
      failedAt = where;
      return new CancelledFailure('It was cancelled.');
    }

    /** A person decides first whether to undo what somebody else has changed meanwhile. */
    async function unlessInDoubt(take: () => Promise<void>): Promise<void> {
      if (doubt === undefined) return await take();
      const message = doubt;
      doubt = undefined;
      throw ApplicationFailure.nonRetryable(message, 'conflict');
    }

    /**
     * Waits, still holding the locks, and gets newer fences: what a host was shown by a wrong clock, or by whoever has the
     * service's key, it takes for no longer than five minutes. False: that isn't why, it has not passed in time, or another
     * run has had a lock meanwhile.
     */
    async function outwait({ code }: Failure): Promise<boolean> {
      const waitMs = outwaitMs[outwaited];
      if (code !== 'clocks-differ' || waitMs === undefined) return false;
      outwaited += 1;
      await sleep(waitMs, { summary: 'Waiting until the host takes a newer fence' });
      return (await locks.renew()) === 'kept';
    }

    /**
     * Takes the locks anew for an undo that the host refused because it has seen a newer fence: another change was let in
     * there meanwhile, over another name of the machine, or because somebody ended the lock. False: that isn't
     * why, the locks could not be had, or what is to be undone was changed while they were waited for.
     */
    async function retake(step: UndoStep, { code }: Failure): Promise<boolean> {
      if (code !== 'fenced-out' || retakes >= mostRetakes || !patched('retake-locks')) return false;
      retakes += 1;
      checklist.enter('undoing', `Taking the lock of ${label} again to undo: ${step.title}`);
      const seen = await lookOnce(step.look);
      const got = await retakeLocks();
      if (got !== 'taken-again' || step.look === undefined) return got !== 'lost';
      return seen !== undefined && (await lookOnce(step.look)) === seen;
    }

    async function retakeLocks(): Promise<'kept' | 'taken-again' | 'lost'> {
      if (Object.keys(locks.fences).length > 0) return await locks.renew();
      try {
        await takeLocks();
        return 'taken-again';
      } catch {
        return 'lost';
      }
    }

    async function askAboutUndo(step: UndoStep, why: string): Promise<'retry' | 'leave'> {
      mark(step.title, 'failed', why);
      const question = `Could not undo "${step.title}". ${why}`;
      const choices = { retry: 'put right what it says, then try again', leave: 'end the run and leave it as it is' };
      for (let more = ''; ; ) {
        try {
          const choice = await askWithoutLocks({ question: `${question}${more}`, choices }, 'nothing', step.look);
          return choice ?? 'leave';
        } catch (error) {
          // The locks could not be had again: the person decides anew, knowing that.
          more = ` ${failureOf(error).message}`;
        }
      }
    }

    /** Undoes, and makes the run's last word of what happened and of what was left. */
    async function takeBack(error: unknown): Promise<unknown> {
      const failure = failureOf(error);
      const stoppedAt = failedAt ?? at;
      const hadUndo = !undo.isEmpty();
      // What failed is what came of it, and not one of its steps.
      const wentThrough =
        !hadUndo && checklist.progress().steps.every(({ state }) => state === 'done' || state === 'skipped');
      const { undone, left } = await undo.unwind();
      const ending = { at: stoppedAt, undone: [...undone], left: [...left] };
      const cancelled = isCancellation(error);
      const message =
        wentThrough && !cancelled
          ? failure.message
          : `${cancelled ? 'Cancelled.' : failure.message} ${endingText(ending)}`;
      finish(outcomeOf({ left: left.length > 0, cancelled, undone: hadUndo }), message, { ending });
      if (cancelled && left.length === 0) return error;
      return ApplicationFailure.create({
        message,
        type: failure.code,
        nonRetryable: true,
        details: [{ code: failure.code, remedy: failure.remedy }],
      });
    }

    function finish(
      outcome: Outcome,
      message: string,
      { verdict, ending }: { readonly verdict?: Verdict; readonly ending?: Ending },
    ): void {
      end = { outcome, message };
      checklist.enter('finished', message);
      setPhase('finished', { outcome, verdict });
      if (ending !== undefined) rememberEnding(ending);
    }

    function reportOf(done: Pick<Done<unknown>, 'sections' | 'summary'>): Report {
      return makeReport({
        title,
        target: label,
        summary: done.summary,
        startedAt: workflowInfo().startTime.toISOString(),
        finishedAt: new Date().toISOString(),
        sections: done.sections,
      });
    }
  };
}

/** This execution of the run has no approval of its own. */
class ApprovalSpent extends Error {}

function sameLocks(some: readonly Lock[], others: readonly Lock[]): boolean {
  return some.map(({ name }) => name).join() === others.map(({ name }) => name).join();
}

/** Undefined where there is nothing to look at, or it could not be looked at: then there is nothing to compare. */
async function lookOnce(look: (() => Promise<string>) | undefined): Promise<string | undefined> {
  try {
    return await look?.();
  } catch {
    return undefined;
  }
}

function outcomeOf(end: { readonly left: boolean; readonly cancelled: boolean; readonly undone: boolean }): Outcome {
  if (end.left) return 'failed';
  if (end.cancelled) return 'cancelled';
  return end.undone ? 'undone' : 'failed';
}

function setPhase(
  phase: Phase,
  { outcome, verdict }: { readonly outcome?: Outcome; readonly verdict?: Verdict | undefined } = {},
): void {
  upsertSearchAttributes([
    { key: keys.phase, value: phase },
    ...(outcome === undefined ? [] : [{ key: keys.outcome, value: outcome }]),
    ...(verdict === undefined ? [] : [{ key: keys.verdict, value: verdict }]),
  ]);
}
