import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { OperationDefinition } from '../operations/definition.ts';
import type { Finding } from '../operations/finding.ts';
import type { Notices } from '../operations/notice.ts';
import type { People } from '../people/store.ts';
import type { Reads } from '../proxmox/reads.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import type { Restored } from '../runs/restored.ts';
import type { Runs } from '../runs/runs.ts';
import type { Schedules } from '../runs/schedules.ts';
import type { ChangeSwitch } from '../runs/switch.ts';
import type { Metrics } from './metrics.ts';
import type { Caller } from './scopes.ts';

/** Finds who a bearer token belongs to. */
export interface TokenVerifier {
  /** Undefined: unknown, revoked or expired. */
  verify(token: string): Caller | undefined | Promise<Caller | undefined>;
}

/** Everything that the MCP server talks to. */
export interface McpDependencies {
  /** What can be started: the catalogue. */
  readonly operations: readonly OperationDefinition[];
  readonly runs: Runs;
  readonly schedules: Schedules;
  readonly ledger: LedgerClient;
  /** The kill switch; only the page lifts it, after a sign-in. */
  readonly changeSwitch: ChangeSwitch;
  /** Who may sign in on the page. */
  readonly people: People;
  readonly config: Config;
  readonly tokens: TokenVerifier;
  readonly reads: Reads;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What keeps the service from working now: Temporal unreachable, no worker polling. No secrets. Empty: healthy. */
  readonly findProblems: () => Promise<readonly Finding[]>;
  /** That an older state of the service was restored and nobody has let it go on: then nothing else is answered. */
  readonly restored?: () => Promise<Restored | undefined>;
  /** What the watch over the scheduled runs could not mail; `absent`: there is none, `silent`: no worker answers. */
  readonly notices?: () => Promise<Notices | 'absent' | 'silent'>;
  /** Lets go of what these alone hold, when nobody is served with them any more. */
  readonly close?: () => Promise<void>;
}
