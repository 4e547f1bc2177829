import { CancellationScope, patched, workflowInfo } from '@temporalio/workflow';
import type { Told } from '../../activities/contacts/contacts.ts';
import type { NotifyActivities } from '../../activities/notify/notify.ts';
import type { OperationDefinition } from '../../operations/definition.ts';
import type { Plan } from '../../operations/plan.ts';
import { makeReport } from '../../operations/report.ts';
import { principalText, type Question, type RunRequest } from '../../operations/run.ts';
import { cleanLine } from '../../reports/clean.ts';
import { planSections } from '../../reports/plan.ts';
import { readableList, readableTime } from '../../reports/units.ts';
import { onService } from './activities.ts';
import { deliver, levelText, type Message, whoIsTold } from './contacts.ts';

/** How people hear of a paused run. */
export interface Telling {
  /**
   * Tells what it asks, and how to answer, beside the waiting: an answer that comes before the mail is sent is followed at
   * once, and the mail, which would ask for what is decided, is given up. `undefined`: nothing is asked any more.
   *
   * @param plan what an approval is asked for
   */
  tell(question: Question | undefined, plan?: Plan): Promise<void>;
  /** Tells once more what is still open, whoever is to hear of it by now. */
  remind(question: Question): Promise<void>;
  /** When the next level of the contacts is to be told, or all of them again; ms since the epoch. Undefined: not known, or never. */
  nextAt(): number | undefined;
}

/** When who is to be told is asked again, where the policy didn't answer: what climbs must go on climbing. */
const askAgainMs = 60 * 60_000;

/** What asks. */
export interface Asking {
  /** Its operation and target. */
  readonly title: string;
  readonly target: string;
  readonly askedBy: Pick<RunRequest<unknown>, 'requestedBy' | 'onBehalfOf'>;
}

/** @param subject whose level hears of it first */
export function createTelling(
  about: Asking,
  subject: NonNullable<OperationDefinition['subject']> = 'operations',
): Telling {
  const { target } = about;
  let open: CancellationScope | undefined;
  let asked: Plan | undefined;
  let nextAt: number | undefined;

  async function alert(scope: CancellationScope, question: Question, isReminder: boolean): Promise<void> {
    const plan = asked;
    // Runs that were paused before there were contacts replay without them.
    if (!patched('contacts')) return await mail(messageOf({ about, question, plan, isReminder }));
    try {
      const since = Date.parse(question.askedAt);
      const sinceMs = Date.now() - since;
      const told = await whoIsTold({ subjects: [subject], target, sinceMs });
      if (scope !== open) return;
      if (told === undefined) nextAt = Date.now() + askAgainMs;
      else nextAt = told.nextInMs === undefined ? undefined : since + sinceMs + told.nextInMs;
      await mail(messageOf({ about, question, plan, isReminder, told }), told);
    } catch {
      // Cancelled: it is answered.
    }
  }

  return {
    nextAt: () => nextAt,
    async tell(question, plan) {
      open?.cancel();
      open = undefined;
      nextAt = undefined;
      asked = plan;
      if (question === undefined) return;
      // Runs that were paused before it was so replay with the mail first.
      if (!patched('mail-beside')) return await mail(messageOf({ about, question, plan, isReminder: false }));
      const scope = new CancellationScope();
      open = scope;
      void scope.run(() => alert(scope, question, false));
    },
    async remind(question) {
      const scope = open;
      nextAt = undefined;
      if (scope === undefined) return;
      const reminding = scope.run(() => alert(scope, question, true));
      // An answer that comes while a mail server doesn't work is followed all the same.
      if (!patched('contacts')) await reminding;
    },
  };
}

/** What can't be told doesn't stop the run: its state is in the Temporal UI, in lists and in the metrics, too. */
async function mail(message: Message, told?: Told): Promise<void> {
  try {
    await deliver(onService<NotifyActivities>('Tell the administrators'), message, told);
  } catch {
    // Cancelled: it is answered.
  }
}

function messageOf({
  about: { title, target, askedBy },
  question,
  plan,
  isReminder,
  told,
}: {
  readonly about: Asking;
  readonly question: Question;
  readonly plan: Plan | undefined;
  readonly isReminder: boolean;
  readonly told?: Told | undefined;
}): Message {
  const { workflowId } = workflowInfo();
  const isApproval = question.kind === 'approval';
  const answers = question.choices.map(
    ({ name, meaning }) => `npx proxmox-mcp runs decide ${workflowId} ${name} (${meaning})`,
  );
  const reminder = isReminder ? `Reminder${levelText(told)}: ` : '';
  const until =
    question.until === undefined
      ? ''
      : ` Without an answer by ${readableTime(question.until, told?.timeZone)} it is a no.`;
  const state = isApproval ? 'needs an approval' : 'is paused';
  const subject = `[${target}] ${reminder}${title} ${isApproval ? state : `${state} and needs you`}: ${question.text}`;
  return {
    page: `${cleanLine(subject, 900)}${until} Read it: npx proxmox-mcp runs get ${workflowId}`,
    mail: {
      subject,
      report: makeReport({
        title: `${title} ${state}`,
        target,
        summary: `${question.text}${until}`,
        startedAt: question.askedAt,
        finishedAt: question.askedAt,
        sections: [
          {
            title: 'What to do',
            findings: [
              {
                check: isApproval ? 'Approval' : 'Decision',
                // That somebody is asked is no failure; what is stuck is one.
                verdict: isApproval ? 'warning' : 'failed',
                summary: isApproval ? `Asked for by ${askerText(askedBy)}. ${whoMay(question)}` : question.text,
                remedy: `${isApproval ? 'Read the plan, then run one of' : 'Run one of'}: ${answers.join('; ')}.${until}`,
              },
            ],
          },
          ...(plan === undefined ? [] : planSections(plan)),
        ],
      }),
    },
  };
}

/** `mcp:claude, an agent of anna`; `schedule:…, made by person:anna` */
function askerText({ requestedBy, onBehalfOf }: Asking['askedBy']): string {
  const made = onBehalfOf === undefined ? '' : `, made by ${principalText(onBehalfOf)}`;
  const owner = (onBehalfOf ?? requestedBy).for;
  return `${principalText(requestedBy)}${made}${owner === undefined ? '' : `, an agent of ${owner}`}`;
}

/** Who may answer what is asked, and who has. */
function whoMay({ approval }: Question): string {
  if (approval === undefined) return '';
  const { count, approvers, given } = approval;
  const some = count === 1 && approvers.length === 1 ? '' : `${count} of: `;
  const may = `It needs the yes of ${some}${readableList(approvers)}`;
  return given.length === 0 ? `${may}.` : `${may}; ${readableList(given)} said yes.`;
}
