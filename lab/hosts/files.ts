import type { TarEntry } from './tar.ts';

/** Numbers of the users in the image (`image/files/lab/configure`). */
export const users = { root: 0, 'claude-user': 1001, admin: 1002 } as const;

export interface HostFiles {
  /** The host's own private key and public line. */
  readonly hostKey: { readonly private: string; readonly public: string };
  /** The service's key pair. */
  readonly serviceKey: { readonly private: string; readonly public: string };
  /** The administrator's public line. */
  readonly adminKey: string;
  readonly docker: boolean;
  readonly installation: boolean;
  /** `.env` names it. */
  readonly address: string;
}

/** Everything that a host has beyond its image, laid down before it boots. */
export function hostFiles(files: HostFiles): TarEntry[] {
  const dockerUnits = ['containerd.service', 'docker.service'];
  return [
    file('/etc/ssh/ssh_host_ed25519_key', files.hostKey.private, 0o600),
    file('/etc/ssh/ssh_host_ed25519_key.pub', files.hostKey.public, 0o644),
    file('/root/.ssh/authorized_keys', files.adminKey, 0o600),
    file('/home/admin/.ssh/authorized_keys', files.adminKey, 0o600, users.admin),
    file('/home/claude-user/.ssh/authorized_keys', files.serviceKey.public, 0o600, users['claude-user']),
    file('/var/log/auth.log', '', 0o640),
    file('/lab/provision', provision, 0o755),
    file(plainInit, plainInitScript, 0o755),
    ...(files.docker ? dockerUnits.flatMap((unit) => wanted(unit, '/lib/systemd/system')) : []),
    ...(files.installation ? installation(files) : []),
  ];
}

/** First process of a host without systemd. */
export const plainInit = '/lab/init-plain';
const plainInitScript = `#!/bin/sh
sh -e /lab/provision
rm -rf /run/systemd
mkdir -p /run/sshd /run/lock
trap 'exit 0' TERM
/usr/sbin/sshd -D -e 2>>/var/log/auth.log &
# Waits for whatever ends below it.
while :; do wait; sleep 1; done
`;

/** Run by the image's first process, as root, at every boot. */
const provision = `#!/bin/sh
# A container shares its kernel's boot id; a host that rebooted must show another one.
cat /proc/sys/kernel/random/uuid >/run/lab-boot-id
mount --bind /run/lab-boot-id /proc/sys/kernel/random/boot_id
`;

/** The administrator's guide's installation. */
function installation(files: HostFiles): TarEntry[] {
  const root = '/opt/proxmox-mcp';
  return [
    ...['', '/keys', '/config', '/logs', '/caddy'].map((name) =>
      folder(`${root}${name}`, name === '/keys' ? 0o700 : 0o755),
    ),
    file(`${root}/.env`, environment(files.address), 0o600),
    file(`${root}/docker-compose.yml`, compose, 0o644),
    file(`${root}/keys/claude_proxmox_key`, files.serviceKey.private, 0o600),
    file(`${root}/keys/claude_proxmox_key.pub`, files.serviceKey.public, 0o644),
    file(`${root}/config/config.json`, '{ "name": "lab" }\n', 0o644),
    file(`${root}/logs/mcp.log`, 'started\n', 0o644),
    file(`${root}/caddy/Caddyfile`, ':80 {\n\treverse_proxy mcp-server:8080\n}\n', 0o644),
    file('/var/log/sudo-claude-user.log', '', 0o600),
    file('/etc/systemd/system/proxmox-mcp.service', files.docker ? composeUnit : plainUnit, 0o644),
    ...wanted('proxmox-mcp.service', '/etc/systemd/system'),
    ...(files.docker ? [] : plainPages),
  ];
}

const environment = (address: string) => `IMAGE_TAG=1.0.0
LOG_LEVEL=INFO
SSH_TARGET=proxmox
SSH_HOST=${address}
SSH_USER=claude-user
SSH_PORT=22
SSH_KEY_PATH=/app/keys/claude_proxmox_key
PROXMOX_HOST=${address}
PROXMOX_USER=root@pam
PROXMOX_TOKEN_NAME=claude-mcp
PROXMOX_TOKEN_VALUE=00000000-0000-4000-8000-000000000000
PROXMOX_VERIFY_SSL=false
ENABLE_PROXMOX_API=true
ENABLE_DANGEROUS_COMMANDS=false
ENABLE_LOCAL_EXECUTION=false
ENABLE_SSH=true
MCP_HOST=0.0.0.0
MCP_PORT=8080
ENABLE_MONITORING=false
GRAFANA_PASSWORD=admin
`;

const compose = `version: '3.8'
services:
  mcp-server:
    image: proxmox-mcp-server:\${IMAGE_TAG}
    container_name: proxmox-mcp-server
    restart: unless-stopped
    stop_grace_period: 1s
    ports: ['127.0.0.1:8080:8080']
    volumes:
      - mcp_logs:/logs
      - ./keys:/app/keys:ro
      - ./config:/app/config:ro
  caddy:
    image: mcp-reverse-proxy:latest
    container_name: mcp-reverse-proxy
    restart: unless-stopped
    stop_grace_period: 1s
    ports: ['80:80']
    volumes:
      - caddy_data:/data
      - ./caddy/Caddyfile:/etc/caddy/Caddyfile:ro
networks:
  default:
    ipam:
      config: [{ subnet: 172.20.0.0/16 }]
volumes:
  mcp_logs: { name: mcp_logs }
  caddy_data: { name: caddy_data }
`;

const composeUnit = `[Unit]
Description=Proxmox MCP
Requires=docker.service
After=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/opt/proxmox-mcp
ExecStart=/usr/bin/docker-compose up -d
ExecReload=/usr/bin/docker-compose restart
ExecStop=/usr/bin/docker-compose down

[Install]
WantedBy=multi-user.target
`;

/** Without Docker the same answers come from one process, so that such a host boots in a second. */
const plainUnit = `[Unit]
Description=Proxmox MCP

[Service]
Type=forking
ExecStart=/bin/busybox httpd -p 80 -h /lab/www/caddy
ExecStartPost=/bin/busybox httpd -p 127.0.0.1:8080 -h /lab/www/mcp
ExecReload=/bin/true
Restart=on-failure

[Install]
WantedBy=multi-user.target
`;

const plainPages: TarEntry[] = [
  ...['', '/caddy', '/mcp'].map((name) => folder(`/lab/www${name}`, 0o755)),
  file('/lab/www/mcp/health', '{"status":"healthy","version":"1.0.0"}\n', 0o644),
  file('/lab/www/caddy/index.html', '<!doctype html><title>Caddy</title><h1>Caddy works</h1>\n', 0o644),
];

function file(path: string, content: string, mode: number, uid = 0): TarEntry {
  return { path, kind: 'file', content, mode, uid };
}

function folder(path: string, mode: number): TarEntry {
  return { path, kind: 'folder', mode };
}

/** What `systemctl enable` would make. */
function wanted(unit: string, where: string): TarEntry[] {
  const path = `/etc/systemd/system/multi-user.target.wants/${unit}`;
  return [{ path, kind: 'link', content: `${where}/${unit}`, mode: 0o777 }];
}
