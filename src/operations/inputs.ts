import { z } from 'zod';

// Functions, because every run loads this file into its sandbox and hardly ever needs what they make.

/** A host's name in `hosts.yaml`. */
export function hostName() {
  return z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected 1 to 63 characters of a-z, 0-9 and -, e.g. pve1')
    .describe('A configured host; list_hosts names them');
}

/** How a guest's operation names its cluster. */
export function hostOfCluster() {
  return hostName().describe("A configured host of the guest's cluster; the guest is found wherever it is in it");
}

/** Proxmox VE's own range of guest numbers. */
export function vmid() {
  return z.int().min(100).max(999_999_999).describe('Number of the guest (VM or container), e.g. 100');
}

export function dryRun() {
  return z.boolean().default(false).describe('true: only plan, and change nothing');
}
