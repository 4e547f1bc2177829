import type { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Finding } from '../operations/finding.ts';
import {
  type RestoredMark,
  type RestoredPart,
  readRestoredMark,
  restoredRemedy,
  restoredWords,
} from '../restored-mark.ts';
import { readGeneration } from './generation.ts';
import { connectTemporal } from './temporal-client.ts';

/** That an older state of the service was restored, and nobody has let it go on. */
export interface Restored {
  /** In a sentence. */
  readonly why: string;
  /** What the file says, where there is one. */
  readonly mark?: RestoredMark;
  readonly parts?: readonly RestoredPart[];
}

/**
 * The file that whoever restores writes; without one, what the process with the ledger has found out and written into Temporal.
 * Undefined: the service works. Throws where Temporal has to be asked and doesn't answer.
 */
export async function readRestored(
  { accessDir }: Pick<Config, 'accessDir'>,
  client: () => Promise<Client> | Client,
): Promise<Restored | undefined> {
  const mark = readRestoredMark(accessDir);
  if (mark !== undefined) return { why: restoredWords(mark), mark, ...(mark.parts && { parts: mark.parts }) };
  const kept = await readGeneration(await client());
  return kept?.restored && { why: kept.restored.why, parts: kept.restored.parts };
}

/** The same with a connection of its own. */
export async function findRestored(config: Config, timeoutMs = 5_000): Promise<Restored | undefined> {
  let opened: Client | undefined;
  try {
    return await readRestored(config, async () => {
      opened = await connectTemporal(config, timeoutMs);
      return opened;
    });
  } finally {
    await opened?.connection.close();
  }
}

/** How long it counts what Temporal said. */
const freshMs = 5_000;

/**
 * The same for whoever answers many: the file is looked at each time, Temporal seldom. Where that doesn't answer it is not known,
 * and what is asked then says so itself.
 */
export function watchRestored(config: Pick<Config, 'accessDir'>, client: Client): () => Promise<Restored | undefined> {
  let last: { readonly at: number; readonly found: Promise<Restored | undefined> } | undefined;
  let isAway = false;
  return async () => {
    const mark = readRestoredMark(config.accessDir);
    if (mark !== undefined) return { why: restoredWords(mark), mark };
    if (last === undefined || Date.now() - last.at > freshMs) {
      const asked = client.withDeadline(Date.now() + 2_000, () => readRestored(config, () => client));
      const found = asked.then(
        (one) => {
          isAway = false;
          return one;
        },
        () => {
          isAway = true;
          return undefined;
        },
      );
      last = { at: Date.now(), found };
    }
    // Nobody waits a second time for a server that doesn't answer: much of what is asked needs none.
    return isAway ? undefined : await last.found;
  };
}

export function restoredFinding({ why }: Restored): Finding {
  return { check: 'Restored', verdict: 'failed', summary: `${why}.`, remedy: restoredRemedy };
}

export function restoredError({ why }: Restored): ServiceError {
  return new ServiceError({
    code: 'changes-stopped',
    message: why,
    remedy: restoredRemedy,
  });
}
