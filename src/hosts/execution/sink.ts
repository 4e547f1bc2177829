import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ServiceError } from '../../errors.ts';

export interface Sink {
  /** Called for each chunk; pauses the source while the destination is full. */
  readonly write: (chunk: Buffer) => void;
  /** Resolves with the error when the destination fails before its end. */
  readonly failed: Promise<ServiceError>;
  /** Ends the destination and waits until it has taken everything. */
  readonly finish: () => Promise<void>;
  readonly destroy: (error: Error) => void;
}

/** Feeds `to` from `source`, with back-pressure. `pipe` can't tell a destination that failed from one that is slow. */
export function feed(what: string, source: Readable, to: Writable): Sink {
  let report: (error: ServiceError) => void = () => undefined;
  let ending = false;
  const failed = new Promise<ServiceError>((resolve) => {
    report = resolve;
  });
  const fail = (error?: NodeJS.ErrnoException) => {
    if (!ending) report(sinkError(what, error));
    // The rest of the output goes nowhere, but has to be taken for the command to end.
    source.resume();
  };
  to.on('error', fail);
  to.once('close', fail);
  to.on('drain', () => source.resume());
  return {
    write(chunk) {
      if (to.destroyed || to.writableEnded) return;
      if (!to.write(chunk)) source.pause();
    },
    failed,
    async finish() {
      ending = true;
      to.end();
      // Knows also of an error that came before it was asked.
      await finished(to, { readable: false }).catch((error) => {
        throw sinkError(what, error);
      });
    },
    destroy(error) {
      ending = true;
      if (!to.destroyed && !to.writableFinished) to.destroy(error);
    },
  };
}

function sinkError(what: string, error: NodeJS.ErrnoException | undefined): ServiceError {
  const full = error?.code === 'ENOSPC' || error?.code === 'EDQUOT';
  return new ServiceError({
    code: full ? 'disk-full' : 'internal',
    message: full
      ? `The output of ${what} could not be stored: the disk of this machine is full`
      : `The output of ${what} could not be stored (${error?.code ?? error?.message ?? 'its destination was closed'})`,
    remedy: full ? 'Free space on this machine, then try again.' : 'Look at the log of this service.',
    retryable: full,
    ...(error === undefined ? {} : { cause: error }),
  });
}
