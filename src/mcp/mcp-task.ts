import type { Caller } from './scopes.ts';

/** What `tools/call` would have answered. */
export interface CallToolResultLike {
  readonly content: readonly Record<string, unknown>[];
  readonly structuredContent?: Record<string, unknown>;
  readonly isError?: boolean;
}

/** An MCP task as `tasks/get` answers it (MCP's tasks extension, SEP-2663). Not Proxmox's, which has a UPID. */
export interface McpTask {
  readonly taskId: string;
  readonly status: 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled';
  /** What it is doing, for a person. */
  readonly statusMessage?: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly lastUpdatedAt: string;
  /** How long after its creation it can be asked for; null: no limit. Milliseconds. */
  readonly ttlMs: number | null;
  readonly pollIntervalMs?: number;
  /** Of a completed one. */
  readonly result?: CallToolResultLike;
  /** Of a failed one. */
  readonly error?: { readonly code: number; readonly message: string };
  /** Of one that waits for its client. */
  readonly inputRequests?: Readonly<Record<string, unknown>>;
}

/** Where MCP tasks come from: runs in production, memory in the conformance fixture. Throws `not-found`, `forbidden`. */
export interface McpTaskSource {
  get(id: string, caller: Caller): Promise<McpTask>;
  /** Asks it to stop; returns at once. */
  cancel(id: string, caller: Caller): Promise<void>;
  /** The client's answers to `inputRequests`; those nobody waits for are ignored. */
  update(id: string, inputResponses: Readonly<Record<string, unknown>>, caller: Caller): Promise<void>;
}
