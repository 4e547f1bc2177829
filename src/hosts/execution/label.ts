import { randomBytes } from 'node:crypto';

/** Environment variable that every command gets, so that it and its children can be found again and ended. */
export const labelVariable = 'PROXMOX_MCP_EXEC';

const ours = randomBytes(12).toString('hex');
let count = 0;

/**
 * A value that no other command has, anywhere. Random once, then counted: asking for random bytes for each command
 * costs more than all else that this side does for it. Always as long, so that none is the start of another.
 */
export function newLabel(): string {
  return `${ours}${(count++).toString(16).padStart(12, '0')}`;
}
