/** Environment variable that every command gets, so that it and its children can be found again and ended. */
export const markName = 'PROXMOX_MCP_EXEC';
