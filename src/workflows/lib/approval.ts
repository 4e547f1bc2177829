import { ApplicationFailure } from '@temporalio/workflow';
import type { SigningActivities } from '../../activities/signing/signing.ts';
import type { ApprovalTerms, Judgement } from '../../operations/judgement.ts';
import type { Plan } from '../../operations/plan.ts';
import type { FindingsSection } from '../../operations/report.ts';
import type { Answer, ApprovalState, Approver } from '../../operations/run.ts';
import { cleanLine } from '../../reports/clean.ts';
import { planDifferences } from '../../reports/plan.ts';
import { readableList } from '../../reports/units.ts';
import { onHost } from './activities.ts';
import type { ApprovalEnd, Questions } from './ask.ts';
import { failureOf } from './failure.ts';
import type { Records } from './records.ts';

/** A plan that enough people have said yes to. It counts for nothing before it is used up. */
export interface Approved {
  readonly plan: Plan;
  readonly terms: ApprovalTerms;
  /** Of the question that it answers. */
  readonly question: string;
  readonly answers: readonly Answer[];
  /** What each host has to be given before it does anything; none where nothing had to be signed. */
  readonly toSign: NonNullable<ApprovalState['toSign']>;
  /** When the last answer came; ms since the epoch. */
  readonly at: number;
}

/**
 * Publishes a plan and waits until it is approved. Throws `not-approved` for a no, and where no answer came in time.
 *
 * @param why why it is asked (again)
 * @param due when it is to be done, where that is later; ms since the epoch
 */
export async function askForApproval(
  { questions, records }: { readonly questions: Questions; readonly records: Records },
  {
    plan,
    terms,
    why,
    due,
  }: {
    readonly plan: Plan;
    readonly terms: ApprovalTerms;
    readonly why: string;
    readonly due?: number | undefined;
  },
): Promise<Approved> {
  const question = questions.nextId();
  await records.planned(plan, question);
  const { count, approvers, signed } = terms;
  const until = answerableUntil(terms, due);
  const toSign = signed ? await textsToSign(plan, until - Date.now() + terms.executeWithinMs) : [];
  const { choice, answers } = await questions.askApproval({
    question: questionOf(plan, terms, why),
    approval: { digest: plan.digest, count, approvers, signed, ...(signed && { toSign }) },
    until,
    remindEveryMs: terms.remindEveryMs,
    onAnswer: (answer) => records.decided(answer, question),
    redeem: (coded, asked) => records.redeem(coded, asked),
  });
  if (choice === 'approve') return { plan, terms, question, answers, toSign, at: Date.now() };
  throw notApproved(choice, answers, approvers);
}

/**
 * Uses an approval up, for the execution of the run that is answered; or says why it doesn't cover what would be done now.
 *
 * @param plan as it is now, under the locks; absent where nothing is to be done any more
 * @param now what the policy says now
 */
export async function useUp(
  approved: Approved,
  {
    plan,
    now,
    records,
    due = 0,
  }: {
    readonly plan: Plan | undefined;
    readonly now: Judgement;
    readonly records: Records;
    /** As {@link askForApproval}. */
    readonly due?: number | undefined;
  },
): Promise<{ readonly attempt: string } | { readonly isVoid: string }> {
  const { terms, at, answers, question } = approved;
  if (plan === undefined) return { isVoid: 'There is nothing to do any more.' };
  if (plan.digest !== approved.plan.digest || plan.fingerprint !== approved.plan.fingerprint) {
    const changed = planDifferences(approved.plan, plan).join('; ');
    return { isVoid: `It was approved, but what it rests on has changed since: ${cleanLine(changed, 600)}.` };
  }
  if (Date.now() > Math.max(at, due) + terms.executeWithinMs) {
    return { isVoid: 'It was approved, but the time for it was over before the lock was free.' };
  }
  if (now.verdict === 'ask') {
    const mayStill = ({ by }: Answer) => by !== undefined && now.terms.approvers.includes(by.name);
    if (answers.filter(mayStill).length < now.terms.count) {
      return { isVoid: 'It was approved by somebody who may not do that any more.' };
    }
    if (now.terms.signed && !terms.signed) return { isVoid: 'It was approved, and by now the policy wants it signed.' };
  }
  const refused = await admitSigned(approved);
  if (refused !== undefined) return { isVoid: refused };
  try {
    return await records.spend(question, plan);
  } catch (error) {
    const { code, message } = failureOf(error);
    if (code !== 'approval-spent') throw error;
    return { isVoid: message };
  }
}

/**
 * Throws where the policy wants a signature and there is nothing that a host could verify.
 *
 * @param withinMs how long the signature has to count
 */
async function textsToSign(
  { hostCalls = [], digest }: Plan,
  withinMs: number,
): Promise<NonNullable<ApprovalState['toSign']>> {
  if (hostCalls.length === 0) {
    throw ApplicationFailure.create({
      message:
        'The policy wants this signed, and it executes nothing on a host that a signature could be verified for. Leave it out of what is signed in policy.yaml, then run: npx proxmox-mcp policy apply',
      type: 'configuration',
      nonRetryable: true,
    });
  }
  return Promise.all(
    hostCalls.map(async ({ host, calls }) => ({
      host,
      text: await onHost<SigningActivities>(host, 'look', 'Make the text to sign').prepareSigning({
        host,
        digest,
        calls,
        withinMs,
      }),
    })),
  );
}

/** Why a host takes a signature for none; undefined: all hosts have verified theirs, or none was wanted. */
async function admitSigned({ toSign, answers }: Approved): Promise<string | undefined> {
  for (const { host, text } of toSign) {
    const given = answers.flatMap(({ signatures = [] }) => signatures.filter((one) => one.host === host));
    let why = 'Nobody has signed it.';
    let isAdmitted = false;
    for (const { signature } of given) {
      try {
        await onHost<SigningActivities>(host, 'look', 'Give the host the signed plan').admitPlan({
          host,
          text,
          signature,
        });
        isAdmitted = true;
        break;
      } catch (error) {
        const { code, message } = failureOf(error);
        if (code !== 'not-signed' && code !== 'invalid-input') throw error;
        why = message;
      }
    }
    if (!isAdmitted) return `It was approved, but ${host} does not take its signature: ${why}`;
  }
  return undefined;
}

/** What is asked about a run that was made of an older execution, which had used its approval up. */
export const askedAgain =
  'This run was reset or restored after its approval had been used. What it did until then stays as it is; what follows would be done now.';

export function whoApproved(answers: readonly Answer[]): Approver[] {
  return answers.flatMap(({ choice, by, reason }) =>
    choice === 'approve' && by !== undefined
      ? [{ name: by.name, ...(reason && { reason: cleanLine(reason, 500) }) }]
      : [],
  );
}

/** Who has approved what was done, as its report says it. */
export function approvalSection(approvedBy: readonly Approver[]): FindingsSection {
  const findings = approvedBy.map(({ name, reason }) => ({
    check: 'Approval',
    verdict: 'ok' as const,
    summary: `Approved by ${name}${reason === undefined ? '' : `: ${reason}`}`,
  }));
  return { title: 'Approval', findings };
}

/** What is asked early can be answered until its time; after that as long as an answer could still be followed. */
function answerableUntil(terms: ApprovalTerms, due: number | undefined): number {
  const usual = Date.now() + terms.answerWithinMs;
  return due === undefined ? usual : Math.min(Math.max(usual, due), due + terms.executeWithinMs);
}

function questionOf({ summary, risks, affected }: Plan, { count }: ApprovalTerms, why: string): string {
  const parts = [
    `It is to ${summary}.`,
    ...affected.slice(0, 3),
    ...risks.slice(0, 3),
    ...(count > 1 ? [`${count} people have to say yes.`] : []),
    why,
  ];
  return parts.map((part) => (/[.!?]$/.test(part) ? part : `${part}.`)).join(' ');
}

function notApproved(choice: ApprovalEnd['choice'], answers: readonly Answer[], approvers: readonly string[]) {
  const no = answers.find((answer) => answer.choice === 'refuse');
  const reason = no?.reason ? `: ${cleanLine(no.reason, 500)}` : '';
  const what =
    choice === 'refuse'
      ? `${no?.by?.name ?? 'Somebody'} said no${reason}`
      : `Nobody of ${readableList(approvers)} has approved it in time, which is a no`;
  const remedy = 'Start it again where it is still wanted.';
  return ApplicationFailure.create({
    message: `${what}. Nothing was changed.`,
    type: 'not-approved',
    nonRetryable: true,
    details: [{ code: 'not-approved', remedy }],
  });
}
