/**
 * How long after a first request further ones are the same request. npm passes on what the terminal has sent to this
 * process too, and `timeout` sends to npm first and then to everybody, on a busy machine with some time between.
 */
const sameRequestMs = 1_000;

/**
 * The first of SIGINT, SIGTERM or SIGHUP asks for a clean stop; a later SIGINT or SIGTERM, at least a second after it, for
 * an end at once. A SIGHUP never does: whoever closes the terminal while the service stops isn't in a hurry.
 *
 * @param actions.atTerminal false: a SIGHUP is no request to stop
 */
export function onStopRequests(actions: {
  readonly first: () => void;
  readonly second: () => void;
  readonly atTerminal: boolean;
}): {
  readonly dispose: () => void;
} {
  let asked: number | undefined;
  const handle = (signal: NodeJS.Signals) => {
    // Not by the clock of day, which may be set meanwhile.
    const now = performance.now();
    if (asked === undefined) {
      asked = now;
      actions.first();
    } else if (signal !== 'SIGHUP' && now - asked >= sameRequestMs) actions.second();
  };
  const signals = ['SIGINT', 'SIGTERM', ...(actions.atTerminal ? (['SIGHUP'] as const) : [])] as const;
  for (const signal of signals) process.on(signal, handle);
  return {
    dispose: () => {
      for (const signal of signals) process.off(signal, handle);
    },
  };
}
