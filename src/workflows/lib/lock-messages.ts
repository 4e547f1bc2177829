import { defineQuery, defineSignal } from '@temporalio/workflow';

/** Asks for a target's lock; sent with signal-with-start by the `requestLock` activity. */
export interface LockRequest {
  /** Workflow id of the run that wants it; also the address of the answers. */
  readonly owner: string;
  /** For people who wait behind it: `back-up of pve1`. */
  readonly title: string;
}

export interface LockGrant {
  /** Grows with every grant on a target, across restarts: the service's clock in ms, or one more than the last. */
  readonly token: number;
}

export interface LockWait {
  /** What is being waited for. */
  readonly holder: LockRequest;
  /** How many requests come before this one, the holder included. */
  readonly position: number;
}

export interface LockState {
  readonly holder?: LockRequest & LockGrant;
  readonly queue: readonly LockRequest[];
  readonly lastToken: number;
}

/** To the lock. */
export const requestLockSignal = defineSignal<[LockRequest]>('requestLock');
/** To the lock: gives back a held lock or withdraws a request. Unknown owners are ignored. */
export const releaseLockSignal = defineSignal<[{ readonly owner: string }]>('releaseLock');
/** From the lock to a run. */
export const lockGrantedSignal = defineSignal<[LockGrant]>('lockGranted');
/** From the lock to a run. */
export const lockWaitSignal = defineSignal<[LockWait]>('lockWait');

export const lockStateQuery = defineQuery<LockState>('lockState');

export function lockId(target: string): string {
  return `lock/${target}`;
}
