/**
 * How long runs wait for locks, in seconds. A run knows that itself, so it is recorded by its workflow, through Temporal's
 * SDK: which records nothing twice when a run is replayed, and adds the labels `namespace`, `taskQueue` and `workflowType`.
 */
export const lockWait = {
  name: 'proxmox_mcp_lock_wait_seconds',
  kind: 'histogram',
  help: 'How long runs waited for a lock until they had it, or gave up after two hours',
  labels: ['operation', 'outcome'],
  buckets: [0.1, 0.5, 2, 10, 60, 300, 900, 3_600, 7_200],
} as const;
