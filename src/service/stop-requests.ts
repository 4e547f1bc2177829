const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The first of SIGINT, SIGTERM or SIGHUP asks for a clean stop, a second one at least 300 ms later for an end at once. */
export function onStopRequests(actions: { readonly first: () => void; readonly second: () => void }): {
  readonly dispose: () => void;
} {
  let asked: number | undefined;
  const handle = () => {
    const now = Date.now();
    if (asked === undefined) {
      asked = now;
      actions.first();
      return;
    }
    // npm passes on a SIGINT that the terminal has sent to this process too: the same request, not a second one.
    if (now - asked > 300) actions.second();
  };
  for (const signal of signals) process.on(signal, handle);
  return {
    dispose: () => {
      for (const signal of signals) process.off(signal, handle);
    },
  };
}
