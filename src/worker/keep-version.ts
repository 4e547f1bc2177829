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
  /** For tests. */
  readonly pace?: typeof usualPace;
}

/** Milliseconds. */
const usualPace = {
  /** Temporal knows a build some seconds after its first poll. */
  again: 1_000,
  /** How often it is looked whether workers of other builds are left that this one waits for. */
  lookAgain: 10_000,
  /**
   * For how long this process has to see that nobody of the current build is there: after a reboot of all of them each one
   * starts at its own time, and an old one is not to be the first.
   */
  gone: 60_000,
};

/**
 * Sees to it that this process gets work. Under versioning its build becomes current where none is, where it is to take
 * over, and where the processes of the current one have gone: else no new run would be worked on. Without, it takes over from
 * workers that had it once they are all gone: runs that ended on their builds alone would wait for ever. Resolves when that is done, or the process is to end; what goes wrong is said.
 */
export async function keepVersion({
  client,
  build,
  promotes,
  log,
  signal,
  pace = usualPace,
}: KeptVersion): Promise<void> {
  let goneSince: number | undefined;
  let said: string | undefined;
  const say = (text: string) => {
    if (said !== text) log.warn({}, text);
    said = text;
  };
  while (!signal.aborted) {
    let waitMs = pace.again;
    try {
      if (build === undefined) {
        const left = await takeOverUnversioned(client());
        if (left.processes.length === 0) {
          if (left.runs > 0) log.info({ runs: left.runs }, 'runs of workers with versioning go on here, without');
          return;
        }
        waitMs = pace.lookAgain;
        say(
          `this worker gets no new runs, because workers of build ${left.build} are there (${left.processes.join(', ')}): it takes over when they have ended`,
        );
      } else {
        const waits = await settle(client(), build);
        if (waits === 'settled') return;
        if (waits === 'for-others') waitMs = pace.lookAgain;
      }
    } catch (error) {
      say(
        `whether this build is current could not be settled yet: ${error instanceof ServiceError ? explain(error) : String(error)}`,
      );
    }
    await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
  }

  async function settle(server: Client, own: string): Promise<'settled' | 'soon' | 'for-others'> {
    const found = await readWorkerVersions(server);
    if (found === undefined || !found.versions.some((version) => version.build === own)) return 'soon';
    const { current, versions } = found;
    if (current === own) return 'settled';
    if (current === undefined) await promoteFirst(server, own);
    else if (promotes) await promote(server, own);
    else {
      const { processes = [] } = versions.find((version) => version.build === current) ?? {};
      if (processes.length > 0) {
        goneSince = undefined;
        say(
          `this worker gets no new runs, because those of build ${current} are there (${processes.join(', ')}): it takes over when they are gone, or at once with npx proxmox-mcp workers promote`,
        );
        return 'for-others';
      }
      goneSince ??= performance.now();
      if (performance.now() - goneSince < pace.gone) return 'for-others';
      await promote(server, own);
      log.warn(
        { build: own, before: current },
        'this build has taken over: nobody of the current one is there any more',
      );
    }
    return 'settled';
  }
}
