import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Runs } from '../runs/runs.ts';
import type { Schedules } from '../runs/schedules.ts';
import type { Metrics } from './metrics.ts';
import type { Caller } from './scopes.ts';

/** What a host's own Proxmox VE API says now. Sizes in bytes. */
export interface NodeFacts {
  readonly node: string;
  /** Proxmox VE's version: `9.1.4`. */
  readonly version: string;
  readonly uptimeSeconds: number;
  /** 0 to 1. */
  readonly cpu: number;
  readonly loadAverage: readonly number[];
  readonly memory: { readonly used: number; readonly total: number };
  readonly rootDisk: { readonly used: number; readonly total: number };
}

/** Plain reads of Proxmox, answered without a workflow because a reader waits for them. */
export interface Reads {
  /** Undefined where the host has no Proxmox API configured. Throws a `ServiceError` where it can't be read. */
  node(host: string, signal: AbortSignal): Promise<NodeFacts | undefined>;
}

/** Finds who a bearer token belongs to. */
export interface TokenVerifier {
  /** Undefined: unknown, revoked or expired. */
  verify(token: string): Caller | undefined | Promise<Caller | undefined>;
}

/** One thing that readiness rests on, as `/health` and `/readyz` tell it. */
export interface HealthProblem {
  readonly part: string;
  /** What is wrong and what to do, in one or two sentences. No secrets. */
  readonly message: string;
}

/** Everything that the MCP server talks to. */
export interface McpDependencies {
  readonly runs: Runs;
  readonly schedules: Schedules;
  readonly config: Config;
  readonly tokens: TokenVerifier;
  readonly reads: Reads;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What keeps the service from working now: Temporal unreachable, no worker polling. Empty: healthy. */
  readonly problems: () => Promise<readonly HealthProblem[]>;
}
