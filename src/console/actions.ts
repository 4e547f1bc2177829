import { randomBytes } from 'node:crypto';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { compareBackups } from '../operations/compare-backups.ts';
import type { NewRecord, OutsideKind } from '../operations/ledger.ts';
import { type Answer, principalText } from '../operations/run.ts';
import { includesRole, isAdministrator } from '../people/person.ts';
import type { People } from '../people/store.ts';
import { cleanLine } from '../reports/clean.ts';
import { runPagePath, schedulePagePath } from '../run-url.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import type { Runs } from '../runs/runs.ts';
import type { ScheduleSummary, Schedules } from '../runs/schedules.ts';
import type { ChangeSwitch } from '../runs/switch.ts';
import { signatureIn } from '../ssh-signature.ts';
import type { Action, Field } from './action.ts';
import { backupsPath } from './backups-page.ts';
import { answerAs, type Decisions } from './deciding.ts';
import { schedulingActions } from './scheduling.ts';
import { requesterOf, type Viewer } from './sessions.ts';

/** What the forms of the page do. */
export interface ActionDependencies {
  readonly runs: Runs;
  readonly schedules: Schedules;
  readonly ledger: LedgerClient;
  readonly changeSwitch: ChangeSwitch;
  readonly people: Pick<People, 'signIn'>;
  readonly decisions: Decisions;
  readonly log: Log;
}

/** Longest reason. */
const longestReason = 500;

export function createActions(dependencies: ActionDependencies): Readonly<Record<string, Action>> {
  const { runs, schedules, ledger, changeSwitch, people, decisions, log } = dependencies;

  return {
    '/decide': {
      page: (field) => runPagePath(field('run')),
      async act(field, viewer) {
        const [reason, digest, choice] = [reasonIn(field), field('digest'), field('choice')];
        await answerAs(
          viewer,
          { runs, decisions },
          {
            run: field('run'),
            question: field('question'),
            choice,
            ...(reason !== '' && { reason }),
            ...(digest !== '' && { digest }),
            ...(choice === 'approve' && signaturesIn(field)),
          },
        );
        return `Answered: ${choice}.`;
      },
    },
    ...schedulingActions(schedules),
    '/schedules/pause': onSchedule('pause', async (id, reason, viewer) => {
      if (reason === '') throw needsReason('A schedule is paused for a reason, which stands beside it');
      return { schedule: await schedules.pause(id, reason, by(viewer)), text: `Paused: ${reason}` };
    }),
    '/schedules/resume': onSchedule('resume', async (id, reason, viewer) => ({
      schedule: await schedules.resume(id, reason || 'it may run again', by(viewer)),
      text: `Resumed${reason === '' ? '' : `: ${reason}`}`,
    })),
    '/schedules/run': onSchedule('run', async (id, reason, viewer) => ({
      schedule: await schedules.trigger(id, by(viewer)),
      text: `Run now${reason === '' ? '' : `: ${reason}`}`,
    })),
    // It may take minutes: the page of its run shows what it found.
    '/backups/compare': {
      page: (field) => backupsPath({ host: field('host') }),
      async act(field, viewer) {
        const [host, from, to] = [field('host'), field('from'), field('to')];
        const { id } = await runs.start(
          compareBackups.name,
          { host, from, ...(to !== '' && { to }) },
          requesterOf(viewer),
        );
        return { text: 'It is compared; what differs is shown here.', page: runPagePath(id) };
      },
    },
    '/switch/stop': {
      page: () => '/switch',
      // Anybody may: whoever sees something wrong.
      async act(field, viewer) {
        const why = reasonIn(field);
        if (why === '') throw needsReason('Whoever wonders why nothing changes any more has to find out');
        const { isSeen } = await changeSwitch.stop({ by: requesterOf(viewer), why });
        const seen = isSeen
          ? ''
          : ' No worker has said so yet: it counts as soon as one runs, and until then nothing changes either.';
        return `All changes are stopped.${seen}${await writeDown(viewer, { kind: 'switch', text: `Stopped all changes: ${why}` })}`;
      },
    },
    '/switch/allow': {
      page: () => '/switch',
      async act(field, viewer) {
        if (viewer.kind !== 'person' || viewer.role !== 'administrator') throw notAdministrator(viewer);
        const why = reasonIn(field);
        if (why === '') throw needsReason('Changes are allowed again for a reason, which is written down');
        // Whoever sits before a browser that was left open is not the administrator.
        const person = await people.signIn({ name: viewer.name, password: field('password'), code: field('code') });
        if (!isAdministrator(person)) throw notAdministrator(viewer);
        const request = { number: Number(field('number')), by: requesterOf(viewer), role: person.role, why };
        await changeSwitch.allow(request);
        return `Changes are allowed again.${await writeDown(viewer, { kind: 'switch', text: `Allowed changes again: ${why}` })}`;
      },
    },
  };

  /** Under the same rules as by MCP: an operator, or a token that may change something. */
  function onSchedule(
    what: string,
    act: (
      id: string,
      reason: string,
      viewer: Viewer,
    ) => Promise<{ readonly schedule: ScheduleSummary; readonly text: string }>,
  ): Action {
    return {
      page: (field) => schedulePagePath(field('id')),
      async act(field, viewer) {
        const known = (await schedules.list()).find(({ id }) => id === field('id'));
        if (!maySteer(viewer, known, decisions)) {
          throw new ServiceError({
            code: 'forbidden',
            message: `${viewer.name} may only look at this schedule, so it was not done (${what})`,
            remedy: 'An operator, an administrator or a token that may start its operation does it.',
          });
        }
        const { schedule, text } = await act(field('id'), reasonIn(field), viewer);
        const { id, operation, target } = schedule;
        return `${text}.${await writeDown(viewer, { kind: 'schedule', operation, target, text: `${id}: ${text}` })}`;
      },
    };
  }

  /** What was done is done, whether or not that succeeds. Where it doesn't, the next page says so. */
  async function writeDown(
    viewer: Viewer,
    record: Pick<NewRecord, 'text'> & Partial<NewRecord> & { readonly kind: OutsideKind },
  ): Promise<string> {
    try {
      const key = `${record.kind}/page/${randomBytes(12).toString('hex')}`;
      await ledger.record([{ key, by: by(viewer), ...record, text: cleanLine(record.text, 1_000) }]);
      return '';
    } catch (error) {
      log.error({ err: error, text: record.text, by: by(viewer) }, 'what was done on the page is not in the ledger');
      return ` The ledger does not have this: ${error instanceof ServiceError ? explain(error) : 'its worker failed.'}`;
    }
  }
}

/** Whether this viewer may pause, resume and fire a schedule. */
export function maySteer(viewer: Viewer, schedule: ScheduleSummary | undefined, decisions: Decisions): boolean {
  if (viewer.kind === 'person') return includesRole(viewer.role, 'operator');
  // Of one that somebody made, it may be more than the catalogue does by itself.
  const risks = ['change', schedule?.own?.risk ?? 'change'] as const;
  return risks.every((risk) => decisions.mayAsk(viewer, risk));
}

function by(viewer: Viewer): string {
  return principalText(requesterOf(viewer));
}

function reasonIn(field: Field): string {
  return cleanLine(field('reason'), longestReason);
}

/** So many hosts can be asked to verify one plan on this page. */
const mostSignatures = 10;

/** What was pasted, for each host. Throws `invalid-input` for what is no signature. */
function signaturesIn(field: Field): Pick<Answer, 'signatures'> {
  const signatures = Array.from({ length: mostSignatures }, (_, at) => at).flatMap((at) => {
    const [host, pasted] = [field(`host-${at}`), field(`signature-${at}`)];
    return host === '' ? [] : [{ host, signature: signatureIn(pasted) }];
  });
  return signatures.length === 0 ? {} : { signatures };
}

function needsReason(message: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message, remedy: 'Write down why, and send it again.' });
}

function notAdministrator({ name }: Viewer): ServiceError {
  return new ServiceError({
    code: 'forbidden',
    message: `${name} has not signed in as an administrator, and only one of them allows changes again`,
    remedy: 'Sign in with the name and password of an administrator.',
  });
}
