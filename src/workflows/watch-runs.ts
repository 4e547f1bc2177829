import {
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { NotifyActivities } from '../activities/notify/notify.ts';
import type { LookSettings, WatchActivities, Watched } from '../activities/watch-runs/watch-runs.ts';
import type { Notice, Notices } from '../operations/notice.ts';
import { cleanLine } from '../reports/clean.ts';
import { mailOf } from '../reports/notices.ts';
import { deliver, whoIsTold } from './lib/contacts.ts';
import { mailAgainSignal, noticesQuery, serviceQueue } from './lib/messages.ts';
import { movesOn } from './lib/versioning.ts';

/** What the watch begins with: nothing, what the next part of it goes on with, or since when to look. */
export type WatchState = Partial<Watched & Notices>;

interface WatchSettings extends LookSettings {
  /** For how long one call of the look goes on where nothing happens. */
  readonly lookForMs: number;
  /** Before what could not be mailed is tried again; the last one again and again. */
  readonly againMs: readonly number[];
}

const minute = 60_000;
const hour = 60 * minute;
const defaults: WatchSettings = {
  everyMs: minute,
  seldomMs: 10 * minute,
  overlapMs: 10 * minute,
  gatherMs: 20_000,
  overrun: { leastMs: hour, factor: 3, firstMs: 6 * hour },
  lookForMs: 6 * hour,
  againMs: [1, 2, 4, 8, 15, 30].map((minutes) => minutes * minute),
};
/** How many notices are kept while mail is down; older ones become a number. */
const mostPending = 50;
/** How long a history gets: short ones are quick to read for a worker that starts. */
const mostEvents = 300;

/**
 * Watches over the scheduled runs, one for all and for ever: whatever became of one that a person must hear of is mailed
 * once. What can't be mailed waits here until it can. In a day in which nothing happens its history grows by some 30 events.
 *
 * @param given what it begins with
 * @param settings other times than the usual ones, for tests
 */
export async function watchRuns(given: WatchState = {}, settings: Partial<WatchSettings> = {}): Promise<void> {
  const times = { ...defaults, ...settings };
  const { watchScheduledRuns } = proxyActivities<WatchActivities>({
    taskQueue: serviceQueue,
    startToCloseTimeout: times.lookForMs + hour,
    // It heartbeats with every look, and each heartbeat is written to the server's disk.
    heartbeatTimeout: '3m',
    retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m' },
    summary: 'Watch over the scheduled runs',
  });
  const notify = proxyActivities<NotifyActivities>({
    taskQueue: serviceQueue,
    startToCloseTimeout: '1m',
    scheduleToCloseTimeout: '10m',
    // For a worker that dies over it; a mail server that refuses is asked again after minutes, here.
    retry: { initialInterval: '2s', maximumAttempts: 2 },
    summary: 'Tell what became of scheduled runs',
  });

  let watched: Watched = {
    since: given.since ?? workflowInfo().startTime.getTime(),
    told: given.told ?? {},
    ...(given.counters === undefined ? {} : { counters: given.counters }),
  };
  let notices: Notices = { pending: [], dropped: 0, mailed: 0, ...noticesIn(given) };
  setHandler(noticesQuery, () => notices, { description: 'What could not be mailed yet, and why' });
  setHandler(
    mailAgainSignal,
    () => {
      const { unsent } = notices;
      if (unsent !== undefined) notices = { ...notices, unsent: { ...unsent, nextTryAt: new Date().toISOString() } };
    },
    { description: 'Tries again now what could not be mailed' },
  );

  for (;;) {
    if (isDue()) await mail();
    setCurrentDetails(markdown(notices));
    await watchOn();
    const { historyLength, continueAsNewSuggested } = workflowInfo();
    if (historyLength >= mostEvents || continueAsNewSuggested) {
      await continueAsNew<typeof watchRuns>({ ...watched, ...notices }, settings);
    }
  }

  function isDue(): boolean {
    const { pending, unsent } = notices;
    return pending.length > 0 && (unsent === undefined || Date.parse(unsent.nextTryAt) <= Date.now());
  }

  /** Until something is found, or something is to be mailed again. */
  async function watchOn(): Promise<void> {
    const { pending, unsent } = notices;
    const nextMs =
      pending.length === 0 || unsent === undefined ? times.lookForMs : Date.parse(unsent.nextTryAt) - Date.now();
    const forMs = Math.max(0, Math.min(times.lookForMs, nextMs));
    const { lookForMs: _lookFor, againMs: _again, ...how } = times;
    const looking = new CancellationScope();
    try {
      const seen = await looking.run(() =>
        Promise.race([watchScheduledRuns({ ...watched, forMs, settings: how }), condition(isDue)]),
      );
      if (seen === undefined) return;
      const { found, ...rest } = seen;
      watched = rest;
      notices = added(notices, found);
    } catch (error) {
      if (isCancellation(error)) throw error;
      // It is tried for ever; what ends it all the same must not end the watch.
      await sleep(minute, { summary: 'The look failed' });
    } finally {
      looking.cancel();
    }
  }

  async function mail(): Promise<void> {
    const mailing = mailOf(notices, Date.now());
    const { unsent, pending } = notices;
    // A watch that was begun before there were contacts goes on with the mail to all.
    const told = patched('contacts')
      ? await whoIsTold({
          subjects: [...new Set(pending.map(({ subject = 'operations' }) => subject))],
          target: pending[0]?.target ?? 'service',
          // While mail is down it climbs.
          sinceMs: unsent === undefined ? 0 : Date.now() - Date.parse(unsent.since),
        })
      : undefined;
    // Who was paged knows; the next one is when that is due, not with each mail that is tried.
    const pages = told !== undefined && told.times > (unsent?.paged ?? 0);
    const { mailed, finding, paged } = await deliver(
      notify,
      { mail: mailing, page: cleanLine(mailing.subject, 900) },
      told,
      pages,
    );
    // Where no mail server is configured nothing piles up; `doctor` says so.
    if (mailed || finding.verdict === 'skipped') notices = emptied(notices, mailed);
    else {
      const { summary: why, remedy } = finding;
      notices = failed(notices, { why, remedy, paged: paged ? told?.times : unsent?.paged });
    }
  }

  function failed(
    before: Notices,
    {
      why,
      remedy,
      paged,
    }: { readonly why: string; readonly remedy?: string | undefined; readonly paged: number | undefined },
  ): Notices {
    const tries = (before.unsent?.tries ?? 0) + 1;
    const pauseMs = times.againMs[Math.min(tries, times.againMs.length) - 1] ?? hour;
    const since = before.unsent?.since ?? new Date().toISOString();
    return {
      ...before,
      unsent: {
        since,
        why,
        ...(remedy !== undefined && { remedy }),
        tries,
        ...(paged !== undefined && { paged }),
        nextTryAt: new Date(Date.now() + pauseMs).toISOString(),
      },
    };
  }
}
movesOn(watchRuns);

function noticesIn({ pending, dropped, mailed, unsent, lastMailedAt }: WatchState): Partial<Notices> {
  return {
    ...(pending && { pending }),
    ...(dropped !== undefined && { dropped }),
    ...(mailed !== undefined && { mailed }),
    ...(unsent && { unsent }),
    ...(lastMailedAt !== undefined && { lastMailedAt }),
  };
}

function added(before: Notices, found: readonly Notice[]): Notices {
  const all = [...before.pending, ...found];
  const over = Math.max(0, all.length - mostPending);
  return {
    ...before,
    pending: all.slice(over),
    dropped: before.dropped + over,
    // Who is paged hears of the new ones, too.
    ...(before.unsent !== undefined && found.length > 0 && { unsent: { ...before.unsent, paged: 0 } }),
  };
}

function emptied({ pending, dropped, mailed, lastMailedAt }: Notices, wasMailed: boolean): Notices {
  const last = wasMailed ? new Date().toISOString() : lastMailedAt;
  return {
    pending: [],
    dropped: 0,
    mailed: mailed + (wasMailed ? pending.length + dropped : 0),
    ...(last !== undefined && { lastMailedAt: last }),
  };
}

function markdown({ pending, dropped, unsent, lastMailedAt, mailed }: Notices): string {
  const waits =
    unsent === undefined
      ? ['Nothing waits to be mailed.']
      : [
          `**${pending.length + dropped}** could not be mailed since ${unsent.since}: ${unsent.why}`,
          '',
          ...pending.map(({ target, headline }) => `- ${target}: ${headline}`),
        ];
  return [...waits, '', `Mailed: ${mailed}${lastMailedAt === undefined ? '' : `, the last at ${lastMailedAt}`}`].join(
    '\n',
  );
}
