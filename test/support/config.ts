import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config.ts';

/** A configuration of one host, pve1, with SSH and the Proxmox API, as it would be loaded from files. */
export function loadedConfig(): Config {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-config-'));
  try {
    const lines = {
      HOST_NAME: 'pve1',
      SSH_HOST: '192.0.2.1',
      PROXMOX_HOST: '192.0.2.1',
      PROXMOX_USER: 'mcp@pve',
      PROXMOX_TOKEN_NAME: 'mcp',
      PROXMOX_TOKEN_VALUE: '00000000-0000-4000-8000-000000000000',
      PROXMOX_FINGERPRINT: Array(32).fill('AA').join(':'),
    };
    const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(join(folder, '.env'), text.join(''), { mode: 0o600 });
    return loadConfig({ cwd: folder, env: {} }).config;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
