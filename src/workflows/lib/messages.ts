import { defineQuery, defineSignal, defineUpdate, type Sinks } from '@temporalio/workflow';
import type { Notices } from '../../operations/notice.ts';
import type { Answer, CodedAnswer, Outcome, Progress } from '../../operations/run.ts';
import type { AllowChanges, StopChanges, SwitchState } from '../../operations/switch.ts';
import type { Lock } from '../../operations/target.ts';

/*
 * What is said to workflows and by them: the part of this folder that clients and activities may import.
 */

/** Workflows, and the activities that concern no host. */
export const serviceQueue = 'proxmox-mcp';

/** Policy, approvals and the ledger: served where its file is, by one process. */
export const ledgerQueue = 'proxmox-mcp-ledger';

/** As {@link followQueueOf}, for all hosts: runs of an earlier version may still have something on it. */
export const followQueue = 'proxmox-mcp-follow';

/** Header of the activities of a run that acts by an approval: the execution that the approval was used up for. */
export const attemptHeader = 'ops-attempt';

/** What a run tells its worker for its trace; `src/activities/traced.ts`. */
export interface RunSinks extends Sinks {
  readonly run: { began(of: TracedRun): void; ended(of: TracedRun, outcome: Outcome): void };
}

/** As its search attributes have it. */
export interface TracedRun {
  readonly target: string | undefined;
  readonly risk: string | undefined;
  readonly verdict: string | undefined;
}

/** A host's own activity queue: a dead host holds up only its own slots, and its backlog is visible. */
export function hostQueue(host: string): string {
  return `host-${host}`;
}

/**
 * Activities of a host that only follow what goes on elsewhere (jobs, tasks): a queue with very many slots, so that long jobs
 * never keep the looks, changes and undos of their host waiting. Each host has its own, because not every worker has the
 * keys of every host.
 */
export function followQueueOf(host: string): string {
  return `follow-${host}`;
}

/** The host that a queue belongs to. */
export function hostOfQueue(queue: string): string | undefined {
  return /^(?:host|follow)-(.+)$/.exec(queue)?.[1];
}

export const progressQuery = defineQuery<Progress>('progress');

/** A person's answer to the question of a paused run. Refused at once when it is none. */
export const decideUpdate = defineUpdate<void, [Answer]>('decide');
/**
 * The same from the Temporal UI or CLI, where the choice's name alone is enough: `"retry"`; an approval needs a one-time code
 * after it: `"approve CODE"`. What is no answer is ignored.
 */
export const decideSignal = defineSignal<[Answer | CodedAnswer | string]>('decide');

/** From the batch of a bulk form to its run: how far it is, in words. */
export const batchProgressSignal = defineSignal<[string]>('batchProgress');

/** Asks for a lock; sent with signal-with-start by the `requestLock` activity. */
export interface LockRequest {
  /** Workflow id of the run that wants it; also the address of the answers. */
  readonly owner: string;
  /** For people who wait behind it: `Back up pve1`. */
  readonly title: string;
  readonly mode: Lock['mode'];
  /**
   * Counts how often the run has asked for it anew; the grant repeats it, so that an old one is known as that. A greater
   * one of who holds the lock asks for a newer fence.
   */
  readonly turn: number;
  /** A run that may hold it: while it does, the request is granted at once, in that run's mode and with its fence. */
  readonly within?: string;
}

export interface LockHolder extends LockRequest {
  /** Grows with every grant of a lock, across restarts: the service's clock in ms since the epoch, or one more than the last. */
  readonly fence: number;
}

export interface LockGrant {
  readonly lock: string;
  readonly turn: number;
  readonly fence: number;
  /** The run has held the lock all the time, and gets a newer fence. */
  readonly isRenewal?: boolean;
}

export interface LockWait {
  readonly lock: string;
  /** What is being waited for: a holder, or who comes before. */
  readonly before: Pick<LockRequest, 'owner' | 'title'>;
}

export interface LockState {
  readonly holders: readonly LockHolder[];
  readonly queue: readonly LockRequest[];
  readonly lastFence: number;
}

/** To a lock. */
export const requestLockSignal = defineSignal<[LockRequest]>('requestLock');
/** To a lock: gives it back, or withdraws a request. Unknown owners are ignored. */
export const releaseLockSignal = defineSignal<[{ readonly owner: string }]>('releaseLock');
/** From a lock to a run. */
export const lockGrantedSignal = defineSignal<[LockGrant]>('lockGranted');
/** From a lock to a run. */
export const lockWaitSignal = defineSignal<[LockWait]>('lockWait');

export const lockStateQuery = defineQuery<LockState>('lockState');

/** Workflow id of a lock: `lock/host/pve1`. */
export function lockId(name: string): string {
  return `lock/${name}`;
}

/** Workflow id of the watch over the scheduled runs, of which there is one. */
export const watchId = 'watch/runs';

/** What the watch has told and could not tell. */
export const noticesQuery = defineQuery<Notices>('notices');

/** To the watch: what could not be mailed is tried again now. The worker says so when it starts. */
export const mailAgainSignal = defineSignal('mailAgain');

/** Workflow id of the kill switch, of which there is one. */
export const switchId = 'switch/changes';

/** To the switch: nothing changes anything any more. From anybody; from the Temporal UI without anything said, too. */
export const stopChangesSignal = defineSignal<[StopChanges | string | undefined]>('stopChanges');
/** To the switch: lifts the one that it names. Refused at once unless a person who is an administrator does it. */
export const allowChangesUpdate = defineUpdate<SwitchState, [AllowChanges]>('allowChanges');

/** To the switch: where it is on, the hosts are looked up anew, and those that don't have it yet are told at once. */
export const tellHostsSignal = defineSignal('tellHosts');

export const switchQuery = defineQuery<SwitchState>('switch');

/** Workflow id of what writes the head of the ledger into the hosts' journals, of which there is one. */
export const anchorId = 'watch/ledger';

/** What the journal of a host has of the ledger. */
export interface AnchorPlace {
  readonly host: string;
  /** The newest record whose hash it has, and since when. */
  readonly seq?: number;
  readonly at?: string;
  /** Why the last one could not be written. */
  readonly why?: string;
}

export const anchorPlacesQuery = defineQuery<AnchorPlace[]>('anchorPlaces');

/** Names the hosts that there are; the worker says so when it starts. */
export const anchorHostsSignal = defineSignal<[readonly string[]]>('anchorHosts');
