import type { Config } from '../config.ts';
import { cacheFolder } from './paths.ts';

/** What `start` says when all of it runs; `token`: the demo's. */
export function summary(config: Config, token: string | undefined): readonly string[] {
  const url = `${config.mcp.publicUrl}/api/mcp`;
  const shown = token ?? 'TOKEN';
  return [
    '',
    'Proxmox MCP is running.',
    `  Temporal UI  ${config.temporal.uiUrl}`,
    `  MCP          ${url}`,
    token === undefined
      ? '  Token        proxmox-mcp token create NAME --scope operate makes one'
      : `  Token        ${token} (the demo's)`,
    `  Claude Code  claude mcp add --transport http proxmox ${url} --header "Authorization: Bearer ${shown}"`,
    `  Data         ${config.dataDir} (runs, schedules, tokens; logs in logs/)`,
    '  Stop         Ctrl-C; starting again goes on where this ended',
    config.demo
      ? `  Remove       all that it made: rm -rf ${quote(config.dataDir)} ${quote(cacheFolder())}`
      : `  Remove       each host first: proxmox-mcp host uninstall NAME; then: rm -rf ${quote(config.dataDir)} ${quote(cacheFolder())}`,
    '',
  ];
}

/** For a person's shell: only what needs quotes gets them. */
function quote(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
