import pino from 'pino';
import { createReads, type Reads } from '../../src/proxmox/reads.ts';

/** Reads of no host at all, for what needs them only to be there. */
export function noApis(): Reads {
  return createReads({ hosts: [] }, pino({ level: 'silent' }));
}
