type Release = () => Promise<unknown>;

const held = new Set<Release>();
let interrupted = false;

/** Does the work, then lets go of what it needed: also when the bench is interrupted meanwhile; never twice. */
export async function holding<T>(release: Release, work: () => Promise<T>): Promise<T> {
  let released: Promise<unknown> | undefined;
  const once = () => {
    released ??= release();
    return released;
  };
  held.add(once);
  try {
    return await work();
  } finally {
    await once();
    held.delete(once);
  }
}

/** Whether the bench was told to end: nothing new may be begun, and what fails now fails because of that. */
export function isInterrupted(): boolean {
  return interrupted;
}

/** On Ctrl-C, SIGTERM and SIGHUP everything held is let go, last first, before the process ends. */
export function cleanUpWhenInterrupted(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, async () => {
      if (interrupted) return;
      interrupted = true;
      for (const release of [...held].reverse()) {
        await release().catch((error) => console.error('not cleaned up:', error));
      }
      process.exit(code);
    });
  }
}
