import type { HostLayout } from '../../config.ts';

/** The administrator's guide's places: what `sudoers/` and `docs/privileges.md` are generated for. */
export const defaultLayout: HostLayout = {
  installation: '/opt/proxmox-mcp',
  backups: '/opt/proxmox-mcp-backups',
  sudoersFile: '/etc/sudoers.d/claude-user',
  sshKeyFile: '/opt/proxmox-mcp/keys/claude_proxmox_key',
  helper: '/usr/local/libexec/proxmox-mcp/helper',
  state: '/var/lib/proxmox-mcp',
  sudoLog: '/var/log/sudo-claude-user.log',
  authLog: '/var/log/auth.log',
  unit: 'proxmox-mcp',
  user: 'claude-user',
  containers: ['proxmox-mcp-server', 'mcp-reverse-proxy'],
  volumes: ['mcp_logs', 'caddy_data'],
  backupPaths: [],
  compression: 'gzip',
  hostRoot: '',
  healthUrl: 'http://localhost:8080/health',
  proxyUrl: 'http://localhost:80',
};
