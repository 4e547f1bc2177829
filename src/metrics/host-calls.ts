import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { followQueueOf, hostQueue } from '../workflows/lib/messages.ts';
import type { WorkerInstruments } from './instruments.ts';

/** What tells that a host can't be worked on; from 0 on, because a counter that appears as 1 has not grown. */
const fromZero = [
  'ok',
  ...['host-unreachable', 'connection-lost', 'ssh-key-refused', 'host-key-changed'],
  ...['proxmox-unavailable', 'proxmox-certificate', 'proxmox-authentication'],
] as const;

/** Counts what was done on each host, and how it ended. Outermost, so that it sees the failures that Temporal gets. */
export function countHostCalls(
  { hostCalls }: WorkerInstruments,
  hosts: readonly string[],
): ActivityInterceptorsFactory {
  const hostOf = new Map(
    hosts.flatMap((host) => [
      [hostQueue(host), host],
      [followQueueOf(host), host],
    ]),
  );
  for (const host of hosts) for (const outcome of fromZero) hostCalls.inc({ host, outcome }, 0);
  return ({ info }) => ({
    inbound: {
      async execute(input, next) {
        const host = hostOf.get(info.taskQueue);
        try {
          const result = await next(input);
          if (host !== undefined) hostCalls.inc({ host, outcome: 'ok' });
          return result;
        } catch (error) {
          if (host !== undefined) hostCalls.inc({ host, outcome: outcomeOf(error) });
          throw error;
        }
      },
    },
  });
}

/** Types of failures are codes of ours (`src/activities/failures.ts`). */
function outcomeOf(error: unknown): string {
  if (error instanceof CancelledFailure) return 'cancelled';
  return error instanceof ApplicationFailure ? (error.type ?? 'internal') : 'internal';
}
