import { ServiceError } from '../errors.ts';
import type { Question, Requester } from '../operations/run.ts';

/**
 * The one place that keeps agents, and whoever hasn't signed in, from approving; the run itself refuses them, too. Throws
 * `forbidden`.
 */
export function requireWhoMayAnswer(run: string, { kind }: Pick<Question, 'kind'>, by: Requester): void {
  if (kind !== 'approval' || by.kind === 'person') return;
  throw new ServiceError({
    code: 'forbidden',
    message: `${run} waits for an approval, which only a person who has signed in can give`,
    remedy: `Somebody who may answers it on the page, or in a terminal: npx proxmox-mcp runs decide ${run}`,
  });
}
