import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { AllowChanges, StopChanges, SwitchState } from '../operations/switch.ts';
import { cleanLine } from '../reports/clean.ts';
import { allowChangesUpdate, stopChangesSignal, switchQuery } from './lib/messages.ts';

/** How long a history gets: a short one is quick to read for a worker that starts. */
const mostEvents = 200;
const longest = 500;

/**
 * The kill switch: whether anything may change now. One for all and for ever, so that it is in no worker's memory, and so
 * that who has no worker to ask reads it in the memo. Who only cancels it changes nothing.
 *
 * @param given what it begins with: of its last part, or of its last life
 * @param settings for tests
 */
export async function changeSwitch(
  given?: SwitchState,
  settings: { readonly mostEvents?: number } = {},
): Promise<void> {
  let state: SwitchState = given ?? { on: false, number: 0 };
  let isKnown = false;

  setHandler(switchQuery, () => state, { description: 'Whether anything may change now, since when and why' });
  setHandler(
    stopChangesSignal,
    (said) => {
      // Who stops what has been stopped already changes neither who did it nor which one is to be lifted.
      if (!state.on) turn({ on: true, number: state.number + 1, ...wordsOf(said) });
    },
    { description: 'Stops everything that changes something, until an administrator allows it again' },
  );
  setHandler(
    allowChangesUpdate,
    ({ by, why }) => {
      turn({ on: false, number: state.number, by, why: cleanLine(why, longest) });
      return state;
    },
    {
      validator(asked) {
        const wrong = whyNot(state, asked);
        if (wrong !== undefined) throw ApplicationFailure.nonRetryable(wrong.message, wrong.code);
      },
      description: 'Allows changes again; from the command line or the page, after a sign-in',
    },
  );

  await CancellationScope.nonCancellable(async () => {
    for (;;) {
      if (!isKnown) {
        isKnown = true;
        setCurrentDetails(markdown(state));
        upsertMemo({ switch: state });
      }
      await condition(() => !isKnown || isLong());
      if (isLong() && isKnown) {
        await condition(allHandlersFinished);
        // Its memo from the first moment on: who reads it must never find nothing.
        const goOn = makeContinueAsNewFunc<typeof changeSwitch>({ memo: { switch: state } });
        await goOn(state, settings);
      }
    }
  });

  function turn(next: Omit<SwitchState, 'since'>): void {
    state = { ...next, since: new Date().toISOString() };
    isKnown = false;
  }

  function isLong(): boolean {
    const { historyLength, continueAsNewSuggested } = workflowInfo();
    return continueAsNewSuggested || historyLength >= (settings.mostEvents ?? mostEvents);
  }
}

/** Typed into the Temporal UI it may be anything, and stops all the same. */
function wordsOf(said: StopChanges | string | undefined): Pick<SwitchState, 'by' | 'why'> {
  if (typeof said === 'string') return { why: cleanLine(said, longest) };
  const { by, why } = (said ?? {}) as Partial<StopChanges>;
  return {
    ...(typeof by?.name === 'string' && { by: { kind: by.kind, name: cleanLine(by.name, 100) } }),
    ...(typeof why === 'string' && { why: cleanLine(why, longest) }),
  };
}

/** Synchronous: nothing may happen between this and the change. */
function whyNot(state: SwitchState, asked: Partial<AllowChanges> | undefined) {
  const { by, role, number, why, until } = asked ?? {};
  if (by?.kind !== 'person' || role !== 'administrator') {
    return {
      code: 'forbidden',
      message: 'Only a person who is an administrator, and has signed in, allows changes again.',
    };
  }
  if (typeof by.name !== 'string' || by.name === '' || typeof why !== 'string' || why.trim() === '') {
    return { code: 'invalid-input', message: 'Who allows changes again says who they are, and why.' };
  }
  if (!(Date.parse(until ?? '') >= Date.now())) {
    return { code: 'conflict', message: 'It came too late: whoever asked for it has been told that it failed.' };
  }
  if (!state.on) return { code: 'conflict', message: 'Nothing is stopped: changes are allowed.' };
  if (number !== state.number) {
    const message = 'Changes were allowed since, and stopped anew. Look why, and decide about that.';
    return { code: 'conflict', message };
  }
  return undefined;
}

function markdown({ on, since, by, why }: SwitchState): string {
  const who = by === undefined ? '' : ` by \`${by.kind}:${by.name}\``;
  const reason = why ? `: ${why}` : '';
  if (since === undefined) return 'Changes are allowed.';
  return on
    ? `**Nothing may change** since ${since}${who}${reason}`
    : `Changes are allowed since ${since}${who}${reason}`;
}
