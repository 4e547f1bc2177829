import {
  condition,
  continueAsNew,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { AnchorActivities } from '../activities/anchor-ledger/anchor-ledger.ts';
import type { LedgerActivities } from '../activities/ledger/ledger.ts';
import type { LedgerHead } from '../operations/ledger.ts';
import { failureOf } from './lib/failure.ts';
import { type AnchorPlace, anchorHostsSignal, anchorPlacesQuery, hostQueue, ledgerQueue } from './lib/messages.ts';
import { movesOn } from './lib/versioning.ts';

const everyMs = 60 * 60_000;
/** How long a history gets: short ones are quick to read for a worker that starts. */
const mostEvents = 500;

/**
 * Writes the head of the ledger into the journal of each host, every hour in which something was appended: whoever has the
 * service's files and its key can write the ledger anew, but not what another machine keeps. One for all and for ever.
 *
 * @param given what the next part of it goes on with
 * @param pauseMs another time than an hour, for tests
 */
export async function anchorLedger(given: readonly AnchorPlace[] = [], pauseMs: number = everyMs): Promise<void> {
  const { answerLedger } = proxyActivities<LedgerActivities>({
    taskQueue: ledgerQueue,
    startToCloseTimeout: '30s',
    scheduleToCloseTimeout: '10m',
    summary: 'Head of the ledger',
  });
  let places = given;
  let isAsked = false;
  setHandler(anchorPlacesQuery, () => [...places], { description: 'What each host has in its journal' });
  setHandler(
    anchorHostsSignal,
    (hosts) => {
      places = hosts.map((host) => places.find((one) => one.host === host) ?? { host });
      isAsked = true;
    },
    { description: 'The hosts that there are; it writes to them at once' },
  );

  for (;;) {
    isAsked = false;
    await anchor();
    setCurrentDetails(places.map(line).join('\n'));
    const { historyLength, continueAsNewSuggested } = workflowInfo();
    if (historyLength >= mostEvents || continueAsNewSuggested) {
      await continueAsNew<typeof anchorLedger>(places, pauseMs);
    }
    await condition(() => isAsked, pauseMs);
  }

  async function anchor(): Promise<void> {
    const head = await headOfLedger();
    if (head === undefined) return;
    const written = await Promise.all(places.map((place) => (place.seq === head.seq ? place : write(place, head))));
    // Other hosts may have been named meanwhile.
    places = places.map((place) => written.find(({ host }) => host === place.host) ?? place);
  }

  async function headOfLedger(): Promise<LedgerHead | undefined> {
    try {
      return (await answerLedger({ ask: 'head' })).head;
    } catch (error) {
      if (isCancellation(error)) throw error;
      return undefined;
    }
  }
}
movesOn(anchorLedger);

async function write(place: AnchorPlace, head: LedgerHead): Promise<AnchorPlace> {
  const { writeLedgerAnchor } = proxyActivities<AnchorActivities>({
    taskQueue: hostQueue(place.host),
    startToCloseTimeout: '45s',
    // A host that is away gets the next one.
    scheduleToCloseTimeout: '5m',
    retry: { initialInterval: '5s', maximumAttempts: 3 },
    summary: `Head ${head.seq} of the ledger into the journal of ${place.host}`,
  });
  try {
    await writeLedgerAnchor({ host: place.host, head });
    return { host: place.host, seq: head.seq, at: new Date().toISOString() };
  } catch (error) {
    if (isCancellation(error)) throw error;
    return { ...place, why: failureOf(error).message };
  }
}

function line({ host, seq, at, why }: AnchorPlace): string {
  const last = seq === undefined ? 'nothing yet' : `record ${seq} since ${at}`;
  return `- ${host}: ${last}${why === undefined ? '' : `; could not be written since: ${why}`}`;
}
