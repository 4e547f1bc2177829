import type { ActivityOptions } from '@temporalio/workflow';

/**
 * Named activity options. Every retry here is a person's decision: what a step may cost in time before its run gives up
 * and undoes. What lasts heartbeats every ten seconds at least, so a dead worker is noticed within twenty; errors that
 * can't get better are non-retryable by their type.
 */
export const policies = {
  /** A quick look at a host. An unreachable host is given up after about half a minute: the reader waits for it. */
  look: {
    startToCloseTimeout: '45s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s', maximumAttempts: 4 },
  },
  /**
   * Whether a host is there. It tries twice by itself, within its own 13 seconds, and answers what it found; only a worker
   * that died is a reason to ask again.
   */
  reach: {
    startToCloseTimeout: '20s',
    retry: { initialInterval: '1s', maximumAttempts: 2 },
  },
  /** A look that may last: it reads a whole installation. */
  survey: {
    startToCloseTimeout: '5m',
    heartbeatTimeout: '20s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s', maximumAttempts: 4 },
  },
  /** A short, idempotent change. Survives a host's reboot and a network's bad quarter of an hour. */
  act: {
    startToCloseTimeout: '5m',
    heartbeatTimeout: '20s',
    scheduleToCloseTimeout: '20m',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
  },
  /** A change of which nobody can tell whether it was made: never tried again by itself, whatever became of the worker. */
  once: {
    startToCloseTimeout: '5m',
    heartbeatTimeout: '30s',
    // Its queue's worker may have to be started first.
    scheduleToStartTimeout: '20m',
    retry: { maximumAttempts: 1 },
  },
  /** Follows a job on a host; the job goes on when this is cut, so its retries cost nothing. */
  job: {
    startToCloseTimeout: '6h',
    heartbeatTimeout: '20s',
    scheduleToCloseTimeout: '12h',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
  },
  /** Takes back what a step did. Tried for an hour before the run pauses and calls a person. */
  undo: {
    startToCloseTimeout: '5m',
    heartbeatTimeout: '20s',
    scheduleToCloseTimeout: '1h',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
  },
  /** Talks to the service's own side: mail, the lock. */
  service: {
    startToCloseTimeout: '1m',
    scheduleToCloseTimeout: '10m',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 8 },
  },
  /** Asks the policy and the ledger. A change waits for them: nothing is changed that nobody could write down. */
  ledger: {
    startToCloseTimeout: '10s',
    scheduleToCloseTimeout: '1h',
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '30s' },
  },
  /** The same where somebody waits for a look, which is worth more than its record. */
  ledgerAtOnce: {
    startToCloseTimeout: '5s',
    scheduleToCloseTimeout: '5s',
    retry: { initialInterval: '500ms', maximumAttempts: 5 },
  },
} as const satisfies Readonly<Record<string, ActivityOptions>>;

export type Policy = keyof typeof policies;
