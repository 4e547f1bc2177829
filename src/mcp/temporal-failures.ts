import { ServiceError } from '../errors.ts';
import { grpcFailure } from '../runs/grpc-failure.ts';
import { restoredError } from '../runs/restored.ts';
import type { McpDependencies } from './dependencies.ts';

/** gRPC's codes for a server that can't be reached or doesn't answer in time. */
const away = new Set([4, 14]);

/**
 * The same methods; where Temporal can't be reached they throw `unavailable` with what to do, and `changes-stopped` while what was
 * restored waits for an administrator.
 */
export function sayWhenTemporalIsAway<Methods extends object>(
  methods: Methods,
  address: string,
  restored: McpDependencies['restored'] = async () => undefined,
): Methods {
  const wrapped = Object.entries(methods).map(([name, value]) => {
    if (typeof value !== 'function') return [name, value];
    // Looked up with each call: whoever made the methods may change them.
    const call = async (...args: unknown[]): Promise<unknown> => {
      const found = await restored();
      if (found !== undefined) throw restoredError(found);
      return (Reflect.get(methods as object, name) as (...given: unknown[]) => unknown).apply(methods, args);
    };
    return [name, (...args: unknown[]) => call(...args).catch((error: unknown) => throwAs(error, address))];
  });
  return Object.fromEntries(wrapped) as Methods;
}

function throwAs(error: unknown, address: string): never {
  const failure = grpcFailure(error);
  if (failure === undefined || !away.has(failure.code)) throw error;
  throw new ServiceError({
    code: 'unavailable',
    message: `The Temporal server at ${address} doesn't answer`,
    remedy:
      'Look at /health and `npx proxmox-mcp doctor`. When it is back, runs go on by themselves; look at them (list_runs) before you ask again, or ask with the same idempotency key: the answer may be all that was lost.',
    retryable: true,
    cause: error,
  });
}
