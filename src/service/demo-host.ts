import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config, HostConfig, HostLayout, ProxmoxApiConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { generateHelper } from '../hosts/helper/generate-helper.ts';
import { newKeyPair } from '../hosts/ssh/new-key.ts';

/** The name of the demo's host. */
export const demoHostName = 'demo';

/**
 * Makes the demo's host inside the data folder: this machine, with an installation as the administrator's guide has it
 * and a helper that runs without sudo. What is there already stays; the helper is always this version's.
 */
export function makeDemoHost(config: Config, api: ProxmoxApiConfig, proxyUrl: string): HostConfig {
  const root = join(config.dataDir, 'demo');
  const layout = demoLayout(root, config, proxyUrl);
  const helper = demoHelper(root, layout);
  writeFileIfNew(layout.sshKeyFile, 0o600, () => keyPair(layout.sshKeyFile));
  for (const [path, mode, content] of files(layout, api)) writeFileIfNew(path, mode, () => content);
  for (const folder of [layout.backups, layout.state]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  mkdirSync(dirname(layout.helper), { recursive: true });
  writeFileSync(layout.helper, helper);
  chmodSync(layout.helper, 0o755);
  return { name: demoHostName, local: { sudo: false }, api, layout, timeZone: 'UTC' };
}

/** Before anything is written: a host's paths may not be all that this machine's are. Throws `configuration`. */
function demoHelper(root: string, layout: HostLayout): string {
  try {
    return generateHelper(layout, { home: root });
  } catch (cause) {
    throw new ServiceError({
      code: 'configuration',
      message: `The demo's host can't be kept in ${JSON.stringify(root)}, below DATA_DIR: ${(cause as Error).message}`,
      remedy: 'Set DATA_DIR to a folder whose whole path is of letters, digits and / . _ -',
      details: { key: 'DATA_DIR' },
      cause,
    });
  }
}

function demoLayout(root: string, { mcp }: Config, proxyUrl: string): HostLayout {
  const installation = join(root, 'opt/proxmox-mcp');
  return {
    installation,
    backups: join(root, 'opt/proxmox-mcp-backups'),
    sudoersFile: join(root, 'etc/sudoers.d/claude-user'),
    sshKeyFile: join(installation, 'keys/claude_proxmox_key'),
    helper: join(root, 'usr/local/libexec/proxmox-mcp/helper'),
    state: join(root, 'var/lib/proxmox-mcp'),
    sudoLog: join(root, 'var/log/sudo-claude-user.log'),
    authLog: join(root, 'var/log/auth.log'),
    unit: 'proxmox-mcp',
    user: 'claude-user',
    // This machine's containers are none of the demo's business.
    containers: [],
    volumes: [],
    backupPaths: [],
    compression: 'gzip',
    hostRoot: root,
    healthUrl: `http://127.0.0.1:${mcp.port}/health`,
    proxyUrl,
  };
}

function files(
  layout: HostLayout,
  api: ProxmoxApiConfig,
): readonly (readonly [path: string, mode: number, content: string])[] {
  const env = [
    '# The demo installation: made by npm start, backed up by the demo.',
    `SSH_TARGET=${demoHostName}`,
    `SSH_USER=${layout.user}`,
    `PROXMOX_HOST=${api.host}`,
    `PROXMOX_USER=${api.user}`,
    `PROXMOX_TOKEN_NAME=${api.tokenName}`,
    'ENABLE_DANGEROUS_COMMANDS=false',
  ];
  const compose = [
    'services:',
    '  mcp-server:',
    '    image: proxmox-mcp:latest',
    '    container_name: proxmox-mcp-server',
    '    env_file: .env',
    '    volumes: ["mcp_logs:/app/logs"]',
    '  caddy:',
    '    image: caddy:2',
    '    container_name: mcp-reverse-proxy',
    '    volumes: ["./caddy/Caddyfile:/etc/caddy/Caddyfile:ro", "caddy_data:/data"]',
    'volumes: { mcp_logs: {}, caddy_data: {} }',
  ];
  const inside = (path: string) => join(layout.installation, path);
  return [
    [inside('.env'), 0o600, text(env)],
    [inside('docker-compose.yml'), 0o644, text(compose)],
    [inside('caddy/Caddyfile'), 0o644, text([':80 {', '  reverse_proxy mcp-server:8080', '}'])],
    [inside('config/README'), 0o644, text(["The installation's own settings are kept here."])],
    [inside('logs/mcp-server.log'), 0o640, text([`${new Date().toISOString()} demo installation made`])],
    [layout.sudoersFile, 0o440, text([`${layout.user} ALL = (root:root) NOPASSWD: NOSETENV: ${layout.helper}`])],
    // What a Proxmox host has of its own, so that the demo's backup holds something of it.
    [join(layout.hostRoot, 'etc/hostname'), 0o644, text([demoHostName])],
    [join(layout.hostRoot, 'etc/network/interfaces'), 0o644, text(['auto lo', 'iface lo inet loopback'])],
    [
      join(layout.hostRoot, 'etc/pve/storage.cfg'),
      0o640,
      text(['dir: local', '\tpath /var/lib/vz', '\tcontent backup']),
    ],
    [layout.sudoLog, 0o640, ''],
    [layout.authLog, 0o640, ''],
  ];
}

/** Writes the public half beside it and returns the private one. */
function keyPair(path: string): string {
  const pair = newKeyPair('proxmox-mcp demo');
  writeFileSync(`${path}.pub`, `${pair.public}\n`, { mode: 0o644 });
  return pair.private;
}

function writeFileIfNew(path: string, mode: number, content: () => string): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, content(), { mode });
  chmodSync(path, mode);
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
