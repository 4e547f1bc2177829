import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Argv } from '../execution/executor.ts';
import { shellScript } from '../execution/script.ts';

/** Where the agent keeps what it needs to put a host back; root's alone, gone when an installation has ended. */
export const workFolder = '/var/lib/proxmox-mcp-install';

/**
 * What `host install` runs as root on a host: a constant POSIX shell script, `agent.sh` beside this file; whatever varies
 * is an argument or standard input, and values are never put into its text.
 */
export const agent = readFileSync(new URL('./agent.sh', import.meta.url), 'utf8');

const bootstrap = shellScript(new URL('./bootstrap.sh', import.meta.url));
const agentDigest = createHash('sha256').update(agent).digest('hex');

/** Brings the agent, which is its standard input, to the host and starts its verb there; see `bootstrap.sh`. */
export function bringAgent(verb: string, args: readonly string[]): Argv {
  return bootstrap(agentDigest, verb, ...args);
}
