import { optional, withDefault } from './key.ts';
import * as types from './value-types.ts';

/** Keys of one host: in `.env` they describe the one host, in hosts.yaml each entry's. */
export const hostKeys = {
  HOST_NAME: optional(types.hostName, {
    group: 'Host',
    defaultText: 'the value of SSH_TARGET; `local` for this machine',
    example: 'pve1',
    host: 'own',
    what: "The host's name in operations, runs and schedules. In hosts.yaml the entry's own key is the name.",
  }),
  TIME_ZONE: withDefault(types.timeZone, 'UTC', {
    group: 'Host',
    example: 'Europe/Berlin',
    host: 'shared',
    what: "The host's schedules are read in this time zone.",
  }),
  ENABLE_LOCAL_EXECUTION: withDefault(types.flag, 'false', {
    group: 'Host',
    example: 'false',
    host: 'own',
    what: 'Manage this machine without SSH.',
  }),
  LOCAL_SUDO: optional(types.flag, {
    group: 'Host',
    defaultText: 'true unless the service runs as root',
    example: 'true',
    host: 'shared',
    what: "With ENABLE_LOCAL_EXECUTION: whether root's commands go through sudo.",
  }),

  SHARES_MACHINE_ID: withDefault(types.flag, 'false', {
    group: 'Host',
    example: 'true',
    host: 'own',
    what: "true: the host's /etc/machine-id is another machine's too (of a clone or a container's image that can't have its own), so it doesn't tell that two names are one machine.",
  }),

  SSH_TARGET: withDefault(types.hostName, 'proxmox', {
    group: 'SSH',
    example: 'proxmox',
    host: 'shared',
    what: 'Name of the SSH target; the host is called so where HOST_NAME is not set.',
  }),
  SSH_HOST: optional(types.address, {
    group: 'SSH',
    example: '192.168.1.137',
    host: 'own',
    what: 'Address of the Proxmox host for SSH.',
  }),
  SSH_PORT: withDefault(types.port, '22', {
    group: 'SSH',
    example: '22',
    host: 'shared',
    what: 'SSH port.',
  }),
  SSH_USER: withDefault(types.userName, 'claude-user', {
    group: 'SSH',
    example: 'claude-user',
    host: 'shared',
    what: 'User the service logs in as. Never root: its rights come from the privilege table.',
  }),
  SSH_KEY_PATH: withDefault(types.path, './keys/claude_proxmox_key', {
    group: 'SSH',
    example: '/app/keys/claude_proxmox_key',
    host: 'shared',
    what: 'Private key on this machine, mode 0600.',
  }),
  SSH_KNOWN_HOSTS: optional(types.path, {
    group: 'SSH',
    defaultText: 'DATA_DIR/known_hosts',
    example: '/var/lib/proxmox-mcp/known_hosts',
    host: 'shared',
    what: "OpenSSH known_hosts file that pins the hosts' keys; `npx proxmox-mcp host add` writes it.",
  }),

  PROXMOX_HOST: optional(types.address, {
    group: 'Proxmox API',
    example: '192.168.1.137',
    host: 'own',
    what: 'Address of the Proxmox API.',
  }),
  PROXMOX_PORT: withDefault(types.port, '8006', {
    group: 'Proxmox API',
    example: '8006',
    host: 'shared',
    what: 'Port of the Proxmox API.',
  }),
  PROXMOX_USER: optional(types.proxmoxUser, {
    group: 'Proxmox API',
    example: 'root@pam',
    host: 'shared',
    what: "The API token's user.",
  }),
  PROXMOX_TOKEN_NAME: optional(types.apiTokenName, {
    group: 'Proxmox API',
    example: 'claude-mcp',
    host: 'shared',
    what: 'Name of the API token: what follows the ! in its id.',
  }),
  PROXMOX_TOKEN_VALUE: optional(types.apiTokenValue, {
    group: 'Proxmox API',
    example: '',
    host: 'own',
    secret: true,
    // The MCP server too, where there is no reading token: see `secret-files.ts`.
    neededBy: ['worker'],
    what: "The API token's secret.",
  }),
  PROXMOX_READ_TOKEN_NAME: optional(types.apiTokenName, {
    group: 'Proxmox API',
    example: 'claude-mcp-read',
    host: 'shared',
    what: 'Name of a second API token of the same user, which may only read: the MCP server then needs no other one.',
  }),
  PROXMOX_READ_TOKEN_VALUE: optional(types.apiTokenValue, {
    group: 'Proxmox API',
    example: '',
    host: 'own',
    secret: true,
    neededBy: ['mcp-server'],
    what: "The reading API token's secret.",
  }),
  PROXMOX_VERIFY_SSL: withDefault(types.flag, 'true', {
    group: 'Proxmox API',
    example: 'true',
    host: 'shared',
    what: "false: the certificate isn't signed by a CA this machine knows; then PROXMOX_FINGERPRINT or PROXMOX_CA_FILE says which one is right. TLS checks are never switched off.",
  }),
  PROXMOX_CA_FILE: optional(types.path, {
    group: 'Proxmox API',
    example: './pve-root-ca.pem',
    host: 'shared',
    what: "CA certificate that signed the API's one: the host's /etc/pve/pve-root-ca.pem.",
  }),
  PROXMOX_FINGERPRINT: optional(types.fingerprint, {
    group: 'Proxmox API',
    example: Array.from({ length: 32 }, (_, index) => ((index * 7 + 10) % 256).toString(16).padStart(2, '0'))
      .join(':')
      .toUpperCase(),
    host: 'own',
    what: "SHA-256 fingerprint of the API's certificate; `npx proxmox-mcp doctor` and `npx proxmox-mcp host add` show it.",
  }),

  PBS_HOST: optional(types.address, {
    group: 'Proxmox Backup Server',
    example: '192.168.1.140',
    host: 'own',
    what: 'Address of a Proxmox Backup Server: an entry of its own in hosts.yaml, or the only thing in it.',
  }),
  PBS_PORT: withDefault(types.port, '8007', {
    group: 'Proxmox Backup Server',
    example: '8007',
    host: 'shared',
    what: 'Port of its API.',
  }),
  PBS_USER: optional(types.proxmoxUser, {
    group: 'Proxmox Backup Server',
    example: 'mcp@pbs',
    host: 'own',
    what: "The API token's user there.",
  }),
  PBS_TOKEN_NAME: optional(types.apiTokenName, {
    group: 'Proxmox Backup Server',
    example: 'claude-mcp',
    host: 'own',
    what: 'Name of the API token there: what follows the ! in its id.',
  }),
  PBS_TOKEN_VALUE: optional(types.apiTokenValue, {
    group: 'Proxmox Backup Server',
    example: '',
    host: 'own',
    secret: true,
    neededBy: ['worker'],
    what: "That API token's secret.",
  }),
  PBS_CA_FILE: optional(types.path, {
    group: 'Proxmox Backup Server',
    example: './pbs-ca.pem',
    host: 'own',
    what: 'CA certificate that signed the certificate there, where this machine does not know it.',
  }),
  PBS_FINGERPRINT: optional(types.fingerprint, {
    group: 'Proxmox Backup Server',
    example: Array.from({ length: 32 }, (_, index) => ((index * 11 + 3) % 256).toString(16).padStart(2, '0'))
      .join(':')
      .toUpperCase(),
    host: 'own',
    what: 'SHA-256 fingerprint of its certificate: Dashboard, Show Fingerprint, or `proxmox-backup-manager cert info`.',
  }),

  INSTALLATION_DIR: layout(types.hostPath, '/opt/proxmox-mcp', "The service's files on the host."),
  BACKUP_DIR: layout(types.hostPath, '/opt/proxmox-mcp-backups', 'Where backups are written on the host.'),
  SUDOERS_FILE: layout(types.hostPath, '/etc/sudoers.d/claude-user', "The service user's sudo policy."),
  HOST_SSH_KEY_FILE: optional(types.hostPath, {
    group: 'Layout of a host',
    defaultText: 'INSTALLATION_DIR/keys/claude_proxmox_key',
    example: '/opt/proxmox-mcp/keys/claude_proxmox_key',
    host: 'shared',
    what: "The installation's SSH key on the host.",
  }),
  HELPER_PATH: layout(
    types.hostPath,
    '/usr/local/libexec/proxmox-mcp/helper',
    'Root-owned program that executes the privilege table.',
  ),
  STATE_DIR: layout(types.hostPath, '/var/lib/proxmox-mcp', "The helper's state on the host: jobs, fence."),
  SUDO_LOG: layout(types.hostPath, '/var/log/sudo-claude-user.log', "Log of the service user's sudo commands."),
  AUTH_LOG: layout(types.hostPath, '/var/log/auth.log', "The host's authentication log."),
  SERVICE_UNIT: layout(types.unitName, 'proxmox-mcp', "The installation's systemd service, without `.service`."),
  SERVICE_USER: optional(types.userName, {
    group: 'Layout of a host',
    defaultText: 'SSH_USER',
    example: 'claude-user',
    host: 'shared',
    what: "The service's user on the host.",
  }),
  CONTAINERS: layout(
    types.namesOrNone,
    'proxmox-mcp-server,mcp-reverse-proxy',
    "The installation's containers, watched by the health check; none where there are none.",
  ),
  VOLUMES: layout(types.namesOrNone, 'mcp_logs,caddy_data', 'Docker volumes in the backup; none where there are none.'),
  BACKUP_PATHS: withDefault(types.hostPathsOrNone, 'none', {
    group: 'Layout of a host',
    example: '/srv/scripts,/usr/local/etc',
    host: 'shared',
    what: "Folders and files of the host's own that the backup holds beside its configuration (docs/backups.md says what that is). What is mounted below them is left out. Written into the host's helper by `npx proxmox-mcp host install`, so that nobody can choose others with the service's key.",
  }),
  BACKUP_COMPRESSION: withDefault(types.oneOf('gzip', 'zstd'), 'gzip', {
    group: 'Layout of a host',
    example: 'zstd',
    host: 'shared',
    what: "What makes the host's archives smaller: `gzip`, or `zstd`, which is many times as fast and has to be installed there (`apt install zstd`). Written into the host's helper by `npx proxmox-mcp host install`.",
  }),
  BACKUP_KEEP_DAILY: keep('keep-daily=7', 'Which daily backups of the host stay'),
  BACKUP_KEEP_FULL: keep('keep-last=8', 'Which full ones'),
  BACKUP_KEEP_MONTHLY: keep('keep-last=12', 'Which monthly ones'),
  HEALTH_URL: layout(
    types.urlOrNone,
    'http://localhost:8080/health',
    'Health endpoint, as the host itself reaches it; none where there is none.',
  ),
  PROXY_URL: layout(
    types.urlOrNone,
    'http://localhost:80',
    'Reverse proxy, as the host itself reaches it; none where there is none.',
  ),

  BACKUP_RECIPIENTS: optional(types.recipients, {
    group: 'Copies of backups',
    example: '/etc/proxmox-mcp/recipients.txt',
    host: 'shared',
    what: "Who can decrypt the copies of the host's backups that leave it: public keys of `age`, or files of them. Written on the host by `npx proxmox-mcp host install`, so that who has the service's key can't name others. Without it no copy is made (docs/copies.md). The demo's host has none.",
  }),
  BACKUP_ENCRYPTION: withDefault(types.oneOf('host', 'service'), 'host', {
    group: 'Copies of backups',
    example: 'host',
    host: 'shared',
    what: 'Where copies are encrypted: `host`: by the program `age` there, so that the service never sees what is in them; `service`: here, for hosts that have no `age`. Counts after `npx proxmox-mcp host install`.',
  }),
} as const;

function keep(value: string, what: string) {
  return withDefault(types.keep, value, {
    group: 'Layout of a host',
    example: 'keep-last=3,keep-weekly=4',
    host: 'shared',
    what: `${what}, in Proxmox's own words and by its rules: keep-last, keep-hourly, keep-daily, keep-weekly, keep-monthly, keep-yearly, or keep-all=1. Whatever stands here, the last three verified ones stay, and what is younger than seven days. \`npx proxmox-mcp backups simulate\` shows what would be left.`,
  });
}

function layout<Value>(type: types.ValueType<Value>, value: string, what: string) {
  return withDefault(type, value, { group: 'Layout of a host', example: value, host: 'shared', what });
}
