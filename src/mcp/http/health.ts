import type { HealthProblem } from '../dependencies.ts';

/** How long one look at the service serves everybody who asks. Milliseconds. */
const freshMs = 1_000;

/** How long a look may take before not answering is itself the problem. Milliseconds. */
const deadlineMs = 5_000;

export interface Health {
  readonly status: 'healthy' | 'failing';
  readonly problems: readonly HealthProblem[];
}

/** Looks at the service at most once a second, however often it is asked. */
export function createHealth(problems: () => Promise<readonly HealthProblem[]>): () => Promise<Health> {
  let last: { readonly at: number; readonly health: Promise<Health> } | undefined;
  return () => {
    const now = Date.now();
    if (last === undefined || now - last.at > freshMs) last = { at: now, health: look(problems) };
    return last.health;
  };
}

async function look(problems: () => Promise<readonly HealthProblem[]>): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly HealthProblem[]>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, [
      { part: 'service', message: `The service could not be looked at within ${deadlineMs / 1_000} s.` },
    ]);
  });
  const unknown = (): readonly HealthProblem[] => [
    { part: 'service', message: 'The service could not be looked at; its log says why.' },
  ];
  const found = await Promise.race([problems().catch(unknown), late]);
  clearTimeout(timer);
  // Not "unhealthy": monitors look for the word "healthy" in the answer.
  return { status: found.length === 0 ? 'healthy' : 'failing', problems: found };
}
