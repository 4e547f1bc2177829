import { ApplicationFailure, CancellationScope } from '@temporalio/workflow';
import type { z } from 'zod';
import type {
  ApiCallInput,
  ApiCallLook,
  ApiEffect,
  ChangeApiActivities,
  KnownCall,
} from '../activities/change-api/change-api.ts';
import { changeApi as definition, shownSetting } from '../operations/change-api.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import { guestLabel, type Place } from '../operations/target.ts';
import { onHost } from './lib/activities.ts';
import { wasRefused } from './lib/api-steps.ts';
import { failureOf } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { PlanningRun } from './lib/run.ts';
import { requireNotCancelled } from './lib/undo.ts';

/** Of these nothing has reached Proxmox, or it said no. */
const notSent = new Set(['unavailable', 'invalid-input', 'forbidden', 'host-unreachable', 'proxmox-certificate']);
/** Of these nobody knows whether Proxmox has done it: the answer was lost, or the worker that waited for it. */
const lost = new Set(['outcome-unknown', 'timeout']);
/** How often a call that says only how things are to be is made again where it has changed nothing. */
const mostRepeats = 2;

type ApiRun = PlanningRun<z.output<typeof definition.input>>;

/** What is known of the call that was made. */
interface Made {
  readonly upid?: string;
  readonly answer?: string;
  /** Its answer was lost, and what it was to do is there. */
  readonly isFound?: true;
}

/**
 * One call of a host's API, made once. Where its answer is lost, its task and its effect are looked for; where neither is
 * found a person says whether it is made again, because a second one may do more than the first.
 */
export const changeApi = operationWorkflow(definition, {
  async plan(run) {
    const { look, input } = reach(run);
    const known = await run.step(
      'Look',
      (summary) => look(summary).lookAtCall(input()),
      ({ line }) => line,
    );
    const output = { call: known.line, differences: [], settings: [], ...(known.state && { read: known.state.path }) };
    return { known, would: { plan: planOf(run, known), output } };
  },

  async act(run, known) {
    const { look, once, follow, undo, input } = reach(run);
    const call = (): KnownCall => {
      const { line, state, settings, tasks } = known;
      return { ...input(), known: { line, settings, tasks, ...(state && { state }) } };
    };
    const left = () => look('Look at what is left').lookAtLeft(call());
    const { made, warnings, log } = await run.step(
      'Call',
      async (summary) => {
        // From here on, and not before it was asked whether changes may go on: what can't be read can't be said to be as before.
        run.onUndo('Call', () => undo('Take back what the call has done').undoCall(call()), left);
        const done = await make(summary);
        if (done.upid === undefined) return { made: done, warnings: 0, log: [] };
        return { made: done, ...(await follow(`Follow ${done.upid}`).followCall({ ...input(), upid: done.upid })) };
      },
      ({ made: { upid, answer } }) => upid ?? answer ?? 'It answered at once',
    );
    const effect = await run.step(
      'Verify',
      (summary) => follow(summary).verifyCall(call()),
      ({ differences }) => `${differences.length} differences`,
    );
    // What nobody can take back is done, and says so.
    if (isTakenBack(run.input, known)) requireNotCancelled();
    run.commit();
    const { read, differences, settings, back, noBack } = effect;
    return {
      output: {
        call: known.line,
        differences: [...differences],
        settings: [...settings],
        ...(made.upid === undefined ? {} : { task: made.upid }),
        ...(made.answer === undefined ? {} : { answer: made.answer }),
        ...(read === undefined ? {} : { read }),
        ...(back === undefined ? {} : { back: Object.fromEntries(Object.entries(back).map(copied)) }),
        ...(noBack === undefined ? {} : { noBack }),
      },
      summary: `${known.line} was done${made.isFound ? ', though its answer was lost' : ''}.`,
      sections: [
        { title: 'Call', findings: findings(known, { made, warnings, log }, effect) },
        ...(differences.length === 0 ? [] : [{ title: `What differs in ${read}`, quoted: differences.join('\n') }]),
      ],
    };

    /** Nothing cancels it: then nobody would know whether it was made. */
    async function make(summary: string): Promise<Made> {
      for (let repeats = 0; ; ) {
        try {
          return await CancellationScope.nonCancellable(() => once(summary).makeCall(call()));
        } catch (error) {
          const { code, message } = failureOf(error);
          if (wasRefused(error) || notSent.has(code)) run.nothingDone('Call');
          if (!lost.has(code)) throw error;
          const found = await CancellationScope.nonCancellable(() => look('Look what came of it').findCall(call()));
          if (found.upid !== undefined) return { upid: found.upid, isFound: true };
          if (found.hasChanged) return { isFound: true };
          if (known.isDeclarative && repeats < mostRepeats) repeats += 1;
          else if ((await askAgain(message)) !== 'again') {
            run.nothingDone('Call');
            throw unknown(known.line, message);
          }
        }
      }
    }

    async function askAgain(why: string): Promise<'again' | 'leave' | undefined> {
      const seen =
        known.state === undefined
          ? 'There is no way to read what it was to change.'
          : `No task of it is there, and ${known.state.path} reads as before it.`;
      return await run.ask(
        {
          question: `Nobody knows whether ${known.line} was done: ${why} ${seen} Look at it in Proxmox before you answer.`,
          choices: { again: 'it was not done: make the call again', leave: 'end the run and leave it as it is' },
        },
        left,
      );
    }
  },
});

function copied([name, value]: [string, string | readonly string[]]): [string, string | string[]] {
  return [name, typeof value === 'string' ? value : [...value]];
}

function unknown(line: string, why: string): ApplicationFailure {
  const remedy = 'Look at it in Proxmox; start it again only if it was not done.';
  return ApplicationFailure.create({
    message: `Nobody knows whether ${line} was done, and it was left as it is. ${why}`,
    type: 'outcome-unknown',
    nonRetryable: true,
    details: [{ code: 'outcome-unknown', remedy }],
  });
}

/** The activities at the host whose API is called. */
function reach(run: ApiRun) {
  const { host, method, path, parameters } = run.input;
  // Read anew for every call: after a person was asked a guest may be elsewhere.
  const input = (): ApiCallInput => ({ host, place: run.place, method, path, parameters });
  const at = (place: Place) => (place.kind === 'guest' ? place.host : undefined) ?? host;
  const on = (policy: Policy) => (summary: string) => onHost<ChangeApiActivities>(at(run.place), policy, summary);
  return { input, look: on('look'), once: on('once'), follow: on('job'), undo: on('undo') };
}

function planOf(
  { input, place }: ApiRun,
  { line, says, needs, state, settings, isDeclarative }: ApiCallLook,
): PlanDraft {
  const of = place.kind === 'guest' ? `the ${guestLabel(place)} on ${place.node}` : input.host;
  return {
    summary: `call ${line} on ${of}`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Call', does: [line] },
      { title: 'Verify', does: [state === undefined ? 'Nothing of it can be read' : `GET ${state.path} once more`] },
    ],
    state: [
      { name: 'Node', value: place.kind === 'guest' ? place.node : input.host },
      ...(state === undefined
        ? [{ name: 'State', value: 'can not be read' }]
        : [{ name: `GET ${state.path}`, value: state.absent ? 'not there' : state.digest.slice(0, 16) }]),
      ...settings.map(({ name, value }) => ({ name, value: shownSetting(value) })),
    ],
    affected: [`${of}: ${input.path}`],
    risks: [
      `What it does is only known from the host's own words: "${says || 'nothing'}"`,
      `Proxmox asks for ${needs}`,
      ...(state === undefined
        ? ['Nothing that it changes can be read, so that nobody sees here whether it worked']
        : state.isOwn
          ? []
          : [`What it changes shows only in the list ${state.path}, if at all`]),
      ...(isDeclarative ? [] : ['If its answer is lost, a person has to say whether it is made again']),
    ],
    undo: [
      isTakenBack(input, { isDeclarative })
        ? 'If it fails or is cancelled the former settings are put back'
        : 'Nothing is known that takes it back: if it fails half-way a person is asked',
    ],
  };
}

function isTakenBack({ method }: ApiRun['input'], { isDeclarative }: Pick<ApiCallLook, 'isDeclarative'>): boolean {
  return isDeclarative && method === 'PUT';
}

interface Ended {
  readonly made: Made;
  readonly warnings: number;
  readonly log: readonly string[];
}

function findings({ line, state }: ApiCallLook, { made, warnings, log }: Ended, effect: ApiEffect): Finding[] {
  const { differences, settings, unread } = effect;
  const found: Finding[] = made.isFound
    ? [
        {
          check: 'Answer',
          verdict: 'warning',
          summary: 'It was lost; what the call was to do was found',
          remedy: 'Look whether all of it is as wanted.',
        },
      ]
    : [
        {
          check: 'Call',
          verdict: 'ok',
          summary: line,
          ...(made.answer === undefined ? {} : { evidence: made.answer }),
        },
      ];
  if (made.upid !== undefined) {
    found.push({
      check: 'Task',
      verdict: warnings > 0 ? 'warning' : 'ok',
      summary: warnings > 0 ? `${made.upid} ended well, with warnings` : `${made.upid} ended well`,
      ...(warnings > 0 ? { remedy: 'Read them: they may matter later.', evidence: log.join('\n') } : {}),
    });
  }
  found.push(
    ...settings.map(
      ({ name, before, after }): Finding => ({
        check: name,
        verdict: 'ok',
        summary: before === after ? 'It was so already' : 'It reads as it was asked for',
        evidence: before === after ? shownSetting(after) : `${shownSetting(before)} → ${shownSetting(after)}`,
      }),
    ),
  );
  if (unread.length > 0 && state?.isOwn) {
    found.push({
      check: 'Not readable',
      verdict: 'unknown',
      summary: `Nobody can read whether ${unread.join(', ')} is as asked for`,
    });
  }
  if (differences.length === 0 && settings.length === 0) {
    found.push({
      check: 'Effect',
      verdict: 'unknown',
      summary: state === undefined ? 'Nothing that it changes can be read' : `${state.path} reads as before it`,
      remedy: 'Look in Proxmox whether it did what it was to do.',
    });
  }
  return found;
}
