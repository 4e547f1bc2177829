import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  changedKeys,
  configurationInUse,
  recordConfiguration,
  recordedConfiguration,
} from '../../src/config/in-use.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configurationFolder } from './folder.ts';

const secret = 'a-secret-that-nobody-may-find';
const env = (more = '') => `SSH_HOST=192.0.2.1\nHOST_NAME=pve1\n${more}`;

function inUse(files: Readonly<Record<string, string>>, environment: Readonly<Record<string, string>> = {}) {
  const folder = configurationFolder(files);
  return { folder, read: configurationInUse(loadConfig({ cwd: folder, env: environment }), 'worker') };
}

it('names the keys of .env and of hosts.yaml that were written, changed or removed since', () => {
  const hosts = 'hosts:\n  pve2: { SSH_HOST: 192.0.2.2, BACKUP_DIR: /opt/a }\n';
  const { folder, read } = inUse({ '.env': env('MCP_PORT=8081\nLOG_LEVEL=INFO\n'), 'hosts.yaml': hosts });
  expect(changedKeys(read)).toEqual([]);
  // Comments and order are nothing that anybody runs with.
  writeFileSync(join(folder, '.env'), `# mine\nLOG_LEVEL=INFO\nMCP_PORT=8081\n${env()}`);
  expect(changedKeys(read)).toEqual([]);
  writeFileSync(join(folder, '.env'), env('LOG_LEVEL=DEBUG\nBACKUP_DIR=/srv/backups\n'));
  writeFileSync(join(folder, 'hosts.yaml'), hosts.replace('/opt/a', '/opt/b'));
  expect(changedKeys(read)).toEqual(['BACKUP_DIR', 'LOG_LEVEL', 'MCP_PORT', 'pve2.BACKUP_DIR']);
});

it('notices a changed secret, also in a file of its own, and keeps nothing of it', () => {
  const mail =
    'SMTP_HOST=localhost\nSMTP_SECURITY=none\nMAIL_FROM=a@example.org\nMAIL_TO=b@example.org\nSMTP_USER=me\n';
  const { folder, read } = inUse({ '.env': env(`${mail}SMTP_PASSWORD_FILE=password\n`), password: secret });
  const dataDir = mkdtempSync(join(tmpdir(), 'proxmox-mcp-in-use-'));
  recordConfiguration(dataDir, read);
  expect(readFileSync(join(dataDir, 'run', 'worker.configuration'), 'utf8')).not.toContain(secret);
  writeFileSync(join(folder, 'password'), 'another');
  const recorded = recordedConfiguration(dataDir, 'worker', process.pid);
  expect(recorded && changedKeys(recorded)).toEqual(['SMTP_PASSWORD']);
  // A later process with another number has read something else.
  expect(recordedConfiguration(dataDir, 'worker', process.pid + 1)).toBeUndefined();
});

it('leaves out what the environment of the process decides, and takes no environment of who asks', () => {
  const { folder, read } = inUse({ '.env': env('MCP_PORT=8081\n') }, { MCP_PORT: '9000' });
  writeFileSync(join(folder, '.env'), env('MCP_PORT=8082\n'));
  process.env.LOG_LEVEL = 'DEBUG';
  try {
    expect(changedKeys(read)).toEqual([]);
  } finally {
    delete process.env.LOG_LEVEL;
  }
});
