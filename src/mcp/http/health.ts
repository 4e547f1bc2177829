import type { Finding } from '../../operations/finding.ts';

/** How long one examination of the service serves everybody who asks. Milliseconds. */
const freshMs = 1_000;

/** How long an examination may take before not answering is itself a finding. Milliseconds. */
const deadlineMs = 5_000;

export interface Health {
  readonly status: 'healthy' | 'failing';
  /** Warnings too, with which it is healthy all the same. */
  readonly findings: readonly Finding[];
}

/** Examines the service at most once a second, however often it is asked. */
export function createHealth(findProblems: () => Promise<readonly Finding[]>): () => Promise<Health> {
  let last: { readonly at: number; readonly health: Promise<Health> } | undefined;
  return () => {
    const now = Date.now();
    if (last === undefined || now - last.at > freshMs) last = { at: now, health: examine(findProblems) };
    return last.health;
  };
}

async function examine(findProblems: () => Promise<readonly Finding[]>): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Finding[]>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, [unexamined(`It could not be examined within ${deadlineMs / 1_000} s.`)]);
  });
  const broken = () => [unexamined('It could not be examined.')];
  const findings = await Promise.race([findProblems().catch(broken), late]);
  clearTimeout(timer);
  // Not "unhealthy": monitors look for the word "healthy" in the answer.
  // What concerns one part of the work is said, and restarts nothing.
  return { status: findings.some(({ verdict }) => verdict === 'failed') ? 'failing' : 'healthy', findings };
}

function unexamined(summary: string): Finding {
  return { check: 'Service', verdict: 'failed', summary, remedy: "Look at the MCP server's log in the data folder." };
}
