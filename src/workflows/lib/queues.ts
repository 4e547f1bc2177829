/** Workflows, and the activities that concern no host. */
export const serviceQueue = 'proxmox-mcp';

/** A host's own activity queue: a dead host holds up only its own slots, and its backlog is visible. */
export function hostQueue(host: string): string {
  return `host-${host}`;
}
