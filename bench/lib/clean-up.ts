type Release = () => Promise<unknown>;

const held = new Set<Release>();

/** Does the work, then lets go of what it needed: also when the bench is interrupted meanwhile; never twice. */
export async function holding<T>(release: Release, work: () => Promise<T>): Promise<T> {
  held.add(release);
  try {
    return await work();
  } finally {
    if (held.delete(release)) await release();
  }
}

/** On Ctrl-C and SIGTERM everything held is let go, last first, before the process ends. */
export function cleanUpWhenInterrupted(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, async () => {
      const releases = [...held].reverse();
      held.clear();
      for (const release of releases) {
        await release().catch((error) =>
          console.error(`not cleaned up: ${error instanceof Error ? error.message : error}`),
        );
      }
      process.exit(code);
    });
  }
}
