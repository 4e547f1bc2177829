import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { promote, promoteFirst, readWorkerVersions, takeOverUnversioned } from '../runs/worker-versions.ts';

export interface KeptVersion {
  /** Another one when the configuration is read again. */
  readonly client: () => Client;
  /** Undefined: without versioning. */
  readonly build: string | undefined;
  /** Whether it takes over from another build. */
  readonly promotes: boolean;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Temporal knows a build some seconds after its first poll. */
const againMs = 1_000;
/** How often it is looked whether workers of builds are left that this one, without versioning, waits for. */
const lookAgainMs = 10_000;

/**
 * Sees to it that this process gets work. Under versioning its build becomes current where none is, or where it is to take
 * over. Without, it takes over from workers that had it once they are all gone: runs that ended on their builds alone would
 * wait for ever. Resolves when that is done, or the process is to end; what goes wrong is said.
 */
export async function keepVersion({ client, build, promotes, log, signal }: KeptVersion): Promise<void> {
  let said: string | undefined;
  const say = (text: string) => {
    if (said !== text) log.warn({}, text);
    said = text;
  };
  while (!signal.aborted) {
    try {
      if (build === undefined) {
        const left = await takeOverUnversioned(client());
        if (left.processes.length === 0) {
          if (left.runs > 0) log.info({ runs: left.runs }, 'runs of workers with versioning go on here, without');
          return;
        }
        say(
          `this worker gets no new runs, because workers of build ${left.build} are there (${left.processes.join(', ')}): it takes over when they have ended`,
        );
      } else if (await isSettled(client(), build, promotes)) return;
    } catch (error) {
      say(
        `whether this build is current could not be settled yet: ${error instanceof ServiceError ? explain(error) : String(error)}`,
      );
    }
    await sleep(build === undefined ? lookAgainMs : againMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function isSettled(client: Client, build: string, promotes: boolean): Promise<boolean> {
  const found = await readWorkerVersions(client);
  if (found === undefined || !found.versions.some((version) => version.build === build)) return false;
  if (found.current === build) return true;
  if (found.current !== undefined && !promotes) return true;
  if (promotes) await promote(client, build);
  else await promoteFirst(client, build);
  return true;
}
