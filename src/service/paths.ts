import { homedir } from 'node:os';
import { join } from 'node:path';

/** What can be made again: `$XDG_CACHE_HOME/proxmox-mcp`, by default `~/.cache/proxmox-mcp`. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'proxmox-mcp');
}
