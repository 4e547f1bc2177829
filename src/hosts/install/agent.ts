import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Where the agent keeps what it needs to put a host back; root's alone, gone when an installation has ended. */
export const workFolder = '/var/lib/proxmox-mcp-install';

/**
 * What `host install` runs as root on a host: a constant POSIX shell script, `agent.sh` beside this file; whatever varies
 * is an argument or standard input, and values are never put into its text.
 */
export const agent = readFileSync(new URL('./agent.sh', import.meta.url), 'utf8');

/**
 * Brings the agent (its standard input) to the host and starts it from a folder that a reboot empties: before the first
 * revert is armed, nothing lasting is written. A copy that a lost connection cut off is removed again.
 */
export const bootstrap = `set -eu; umask 077
run=/run/proxmox-mcp-install
mkdir -p $run
cat >$run/agent.$$ || true
if ! echo "${createHash('sha256').update(agent).digest('hex')}  $run/agent.$$" | sha256sum --check --status; then
  rm -f $run/agent.$$
  rmdir $run 2>/dev/null || true
  echo 'proxmox-mcp-install: the script of the installation did not arrive whole' >&2
  exit 65
fi
exec /bin/sh $run/agent.$$ "$@"`;
