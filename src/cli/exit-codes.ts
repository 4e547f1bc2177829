/** What the command's exit code says; `proxmox-mcp --help` lists them. */
export const exitCodes = {
  ok: 0,
  /** A run, a check or the command itself failed. */
  failed: 1,
  /** The input or the configuration is wrong; nothing was done. */
  invalid: 2,
  /** Ctrl-C. A run that was being waited for goes on. */
  interrupted: 130,
} as const;
