import { z } from 'zod';

/** A host's name in `hosts.yaml`. */
export const hostName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected 1 to 63 characters of a-z, 0-9 and -, e.g. pve1')
  .describe('Name of a configured host; list_hosts names them');

export const dryRun = z.boolean().default(false).describe('true: only compute and return the plan; nothing is changed');
