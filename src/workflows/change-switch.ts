import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  makeContinueAsNewFunc,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { ListHostsActivities } from '../activities/list-hosts/list-hosts.ts';
import type { StopChangesActivities } from '../activities/stop-changes/stop-changes.ts';
import type { AllowChanges, StopChanges, SwitchState, ToldHost } from '../operations/switch.ts';
import { cleanLine } from '../reports/clean.ts';
import { failureOf } from './lib/failure.ts';
import {
  allowChangesUpdate,
  hostQueue,
  serviceQueue,
  stopChangesSignal,
  switchQuery,
  tellHostsSignal,
} from './lib/messages.ts';
import { movesOn } from './lib/versioning.ts';

/** How long a history gets: a short one is quick to read for a worker that starts. */
const mostEvents = 200;
const longest = 500;
/** What telling one host once adds to a history, at most: a part of it has room for all of them. */
const eventsPerHost = 12;
/** How long to wait before a host is told again: doubled from the first to the second. */
const firstPauseMs = 30_000;
const longestPauseMs = 15 * 60_000;

/**
 * The kill switch: whether anything may change now. One for all and for ever, so that it is in no worker's memory, and so
 * that who has no worker to ask reads it in the memo. Who only cancels it changes nothing. While it is on, it tells every
 * host that is reached by commands, each beside the others, until the host has it: then the host itself refuses changes.
 *
 * @param given what it begins with: of its last part, or of its last life
 * @param settings for tests
 */
export async function changeSwitch(
  given?: SwitchState,
  settings: { readonly mostEvents?: number; readonly firstPauseMs?: number } = {},
): Promise<void> {
  let state: SwitchState = given ?? { on: false, number: 0 };
  let isKnown = false;
  /** What tells the hosts of the stop that is on. */
  let telling: { readonly number: number; readonly scope: CancellationScope } | undefined;

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
      const told = state.hosts?.filter(({ at }) => at !== undefined);
      telling?.scope.cancel();
      telling = undefined;
      turn({ on: false, number: state.number, by, why: cleanLine(why, longest), ...(told && { hosts: told }) });
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

  setHandler(
    tellHostsSignal,
    () => {
      if (!state.on) return;
      telling?.scope.cancel();
      telling = undefined;
      // What went wrong before may be over.
      if (state.hosts !== undefined) know(state.hosts.map((one) => (one.at === undefined ? { host: one.host } : one)));
      isKnown = false;
    },
    { description: 'Where it is on: looks the hosts up anew, and tells those that don’t have it yet' },
  );

  await CancellationScope.nonCancellable(async () => {
    for (;;) {
      if (!isKnown) {
        isKnown = true;
        setCurrentDetails(markdown(state));
        upsertMemo({ switch: state });
        // Switches of an earlier version told nobody; asked each time, because one lives long.
        if (state.on && telling?.number !== state.number && patched('tell-hosts')) telling = beginTelling();
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
    const most = (settings.mostEvents ?? mostEvents) + eventsPerHost * (state.hosts?.length ?? 0);
    return continueAsNewSuggested || historyLength >= most;
  }

  /** Goes on beside everything else, until each host has it or the switch is lifted. */
  function beginTelling(): { readonly number: number; readonly scope: CancellationScope } {
    const scope = new CancellationScope();
    scope.run(tellHosts).catch((error: unknown) => {
      if (!isCancellation(error)) throw error;
    });
    return { number: state.number, scope };
  }

  async function tellHosts(): Promise<void> {
    const { hostsByCommands } = proxyActivities<ListHostsActivities>({
      taskQueue: serviceQueue,
      startToCloseTimeout: '10s',
      retry: { initialInterval: '1s', maximumInterval: '1m' },
      summary: 'Hosts on which changes are to be stopped',
    });
    const names = await hostsByCommands();
    const hosts = names.map((host) => state.hosts?.find((one) => one.host === host) ?? { host });
    know(hosts);
    await Promise.all(hosts.filter(({ at }) => at === undefined).map(tellHost));
  }

  async function tellHost({ host, tries: before = 0 }: ToldHost): Promise<void> {
    const { by, why } = state;
    const { stopChangesOnHost } = proxyActivities<StopChangesActivities>({
      taskQueue: hostQueue(host),
      startToCloseTimeout: '45s',
      // Nobody may serve the queue of a host that isn't configured any more.
      scheduleToCloseTimeout: '3m',
      retry: { initialInterval: '2s', maximumAttempts: 3 },
      summary: `Stop changes on ${host}`,
    });
    const pause = settings.firstPauseMs ?? firstPauseMs;
    for (let tries = before + 1; ; tries += 1) {
      try {
        const at = await stopChangesOnHost({ host, by, why });
        return became({ host, at });
      } catch (error) {
        if (isCancellation(error)) throw error;
        became({ host, tries, why: cleanLine(failureOf(error).message, longest) });
      }
      await sleep(Math.min(pause * 2 ** Math.min(tries - before - 1, 10), longestPauseMs));
    }
  }

  function know(hosts: readonly ToldHost[]): void {
    state = { ...state, hosts: [...hosts] };
    isKnown = false;
  }

  function became(told: ToldHost): void {
    know((state.hosts ?? []).map((one) => (one.host === told.host ? told : one)));
  }
}
movesOn(changeSwitch);

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

function markdown({ on, since, by, why, hosts = [] }: SwitchState): string {
  const who = by === undefined ? '' : ` by \`${by.kind}:${by.name}\``;
  const reason = why ? `: ${why}` : '';
  if (since === undefined) return 'Changes are allowed.';
  const told = hosts.map(({ host, at, why: trouble }) => {
    if (!on) return `- ${host} was told, and changes nothing until an administrator lifts it there too`;
    if (at !== undefined) return `- ${host} refuses changes itself since ${at}`;
    return `- ${host} is not told yet${trouble === undefined ? '' : `: ${trouble}`}`;
  });
  const words = on
    ? `**Nothing may change** since ${since}${who}${reason}`
    : `Changes are allowed since ${since}${who}${reason}`;
  return [words, ...(told.length > 0 ? ['', ...told] : [])].join('\n');
}
