import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCopyStore } from '../../src/backups/copies/store.ts';
import type { HostLayout } from '../../src/config.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../src/hosts/helper/generate-helper.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { sealArchive } from '../support/sealed-archive.ts';
import { startService, type TestService } from '../support/service.ts';

/*
 * A copy that is hit while its stream is held in the middle: it is begun again and becomes whole, or nothing of it is left, and in
 * neither case does half of one have a name.
 */
const id = 'daily-backup-20261122-020000';
const root = mkdtempSync(join(tmpdir(), 'proxmox-mcp-copies-'));
const gate = join(root, 'gate');
const by = { kind: 'cli', name: 'test' } as const;
const layout: HostLayout = {
  ...defaultLayout,
  installation: join(root, 'proxmox-mcp'),
  backups: join(root, 'backups'),
  sudoersFile: join(root, 'claude-user'),
  sshKeyFile: join(root, 'proxmox-mcp/keys/claude_proxmox_key'),
  helper: join(root, 'helper'),
  state: join(root, 'state'),
  sudoLog: join(root, 'sudo.log'),
  authLog: join(root, 'auth.log'),
  containers: [],
  volumes: [],
};
let identity: string;
let service: TestService;

beforeAll(async () => {
  identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  mkdirSync(join(gate, 'bin'), { recursive: true });
  // The real one, whose output is held after its first part.
  const held = `#!/bin/sh\n/usr/bin/age "$@" | { head -c 300000; : >${gate}/held; until [ -e ${gate}/open ]; do sleep 0.05; done; cat; }\n`;
  writeFileSync(join(gate, 'bin/age'), held, { mode: 0o755 });
  writeFileSync(layout.helper, generateHelper(layout).replace('PATH=', `PATH=${gate}/bin:`));
  chmodSync(layout.helper, 0o755);
  sealArchive({ layout }, { id, content: randomBytes(2_000_000), age: 0 });
  writeFileSync(join(layout.state, 'recipients'), `# encrypted by the host\n${recipient}\n`, { mode: 0o600 });
  const entry = {
    ENABLE_LOCAL_EXECUTION: 'true',
    LOCAL_SUDO: 'false',
    INSTALLATION_DIR: layout.installation,
    BACKUP_DIR: layout.backups,
    SUDOERS_FILE: layout.sudoersFile,
    HELPER_PATH: layout.helper,
    STATE_DIR: layout.state,
    SUDO_LOG: layout.sudoLog,
    AUTH_LOG: layout.authLog,
    SERVICE_USER: layout.user,
    CONTAINERS: 'none',
    VOLUMES: 'none',
    BACKUP_RECIPIENTS: recipient,
  };
  service = await startService({ hosts: { pve1: entry } });
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  rmSync(root, { recursive: true, force: true });
}, 120_000);

const copies = () => join(service.config.copies.folder, 'pve1');

async function untilHeld(): Promise<void> {
  for (let tries = 0; !existsSync(join(gate, 'held')); tries += 1) {
    if (tries > 600) throw new Error('no stream was held');
    await sleep(100);
  }
}

const faults = crashFaults.filter(({ ssh }) => ssh === undefined);
it.each(sample(faults, 2).map((fault) => [fault.name, fault] as const))(
  'a copy is whole or not there when %s',
  async (name, { hit, cancels }) => {
    rmSync(copies(), { recursive: true, force: true });
    for (const file of ['held', 'open']) rmSync(join(gate, file), { force: true });
    const { id: run } = await service.runs.start('copy-backups', { host: 'pve1' }, by);
    await untilHeld();
    expect(readdirSync(copies()).filter((file) => !file.startsWith('.'))).toEqual([]);
    await hit({ service, ids: [run] });
    if (!cancels) writeFileSync(join(gate, 'open'), '');
    const ended = await service.runs.wait(run, { timeoutMs: 240_000 });
    writeFileSync(join(gate, 'open'), '');
    const store = createCopyStore(service.config.copies.folder);
    if (cancels) {
      expect(ended, ended.failure?.message).toMatchObject({ state: 'cancelled' });
      expect(store.list('pve1')).toEqual([]);
      expect(readdirSync(copies()).filter((file) => !file.startsWith('.'))).toEqual([]);
      const next = await service.runs.start('copy-backups', { host: 'pve1' }, by);
      expect((await service.runs.wait(next.id, { timeoutMs: 240_000 })).state).toBe('done');
      expect(store.find('pve1', id)?.state).toBe('whole');
      const effects = 'nothing has a name; the next run copies it';
      recordOutcome({ operation: 'copy-backups', step: 'Copy', fault: name, outcome: 'undone', effects });
      return;
    }
    expect(ended, ended.failure?.message).toMatchObject({ state: 'done' });
    expect(store.find('pve1', id)?.state).toBe('whole');
    const key = join(root, 'identity');
    writeFileSync(key, `${identity}\n`, { mode: 0o600 });
    const plain = execFileSync('age', ['-d', '-i', key, join(copies(), `${id}.age`)], { maxBuffer: 2 ** 28 });
    expect(plain.length).toBeGreaterThan(2_000_000);
    const effects = 'one whole copy, which age decrypts; nothing else has a name';
    expect(readdirSync(copies()).filter((file) => !file.startsWith('.'))).toEqual([`${id}.age`, `${id}.json`]);
    recordOutcome({ operation: 'copy-backups', step: 'Copy', fault: name, outcome: 'done', effects });
  },
  300_000,
);
