import { readFileSync } from 'node:fs';

/** Where the agent keeps what it needs to put a host back; root's alone, gone when an installation has ended. */
export const workFolder = '/var/lib/proxmox-mcp-install';

/**
 * Brings the agent (its standard input) to the host and starts it from a folder that a reboot empties: before the first
 * revert is armed, nothing lasting is written.
 */
export const bootstrap = `set -eu; umask 077
mkdir -p /run/proxmox-mcp-install
cat >/run/proxmox-mcp-install/agent.$$
exec /bin/sh /run/proxmox-mcp-install/agent.$$ "$@"`;

/**
 * What `host install` runs as root on a host: a constant POSIX shell script, `agent.sh` beside this file; whatever varies
 * is an argument or standard input, and values are never put into its text.
 */
export const agent = readFileSync(new URL('./agent.sh', import.meta.url), 'utf8');
