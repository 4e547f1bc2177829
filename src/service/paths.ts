import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** What can be made again: `$XDG_CACHE_HOME/proxmox-mcp`, by default `~/.cache/proxmox-mcp`. */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME: given = '' } = process.env;
  // As its specification says: what isn't absolute doesn't count, and nobody expands a ~ in it.
  return join(isAbsolute(given) ? given : join(homedir(), '.cache'), 'proxmox-mcp');
}
