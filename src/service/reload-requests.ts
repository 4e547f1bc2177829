/** Requests to read the configuration again (SIGHUP), from the first moment of a process on. */
export interface ReloadRequests {
  /** Calls back for each from now on, and once for those that came before. */
  listen(handler: () => void): void;
}

/** No requests at all. */
export const noReloadRequests: ReloadRequests = { listen: () => undefined };

/** Whether a command line is one of those that run on without a terminal; of `start` there are forms for both. */
export function runsOn(args: readonly string[]): boolean {
  return args.includes('serve') || args.includes('worker') || args.includes('--by');
}

/**
 * Takes SIGHUP as a request to read the configuration again. Called before anything else is loaded: who hasn't said so yet
 * is ended by the signal. At a terminal it still means that the terminal was closed.
 */
export function holdReloadRequests(): ReloadRequests {
  let handler: (() => void) | undefined;
  let isHeld = false;
  const atTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  if (!atTerminal) {
    process.on('SIGHUP', () => {
      if (handler === undefined) isHeld = true;
      else handler();
    });
  }
  return {
    listen(added) {
      handler = added;
      if (isHeld) added();
      isHeld = false;
    },
  };
}
