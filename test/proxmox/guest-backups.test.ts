import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { type SimulatedStorage, token } from '../../lab/proxmox/state.ts';
import { ServiceError } from '../../src/errors.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { readGuestBackups } from '../../src/proxmox/guest-backups.ts';
import { apiReader, firstThen, type ProxmoxReader, type ReadName, readAnswer } from '../../src/proxmox/reader.ts';
import { failureOf, hostOf, recordingLog } from './support.ts';

let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
  const { state } = simulator;
  state.tokens.set(...token('mcp@pve', 'backups', true));
  const secret = state.tokens.get('mcp@pve!backups')?.secret ?? '';
  const hosts = [
    hostOf('pve1', simulator),
    hostOf('auditor', simulator, simulator.tokens.readOnly),
    hostOf('separate', simulator, { user: 'mcp@pve', name: 'backups', secret }),
  ];
  apis = createProxmoxApis({ hosts }, recordingLog().log, { retries: 0 });
});

afterAll(async () => {
  await apis.close();
  await simulator.close();
});

describe('the backups of guests', () => {
  it('are those of the storages of the host, newest first', async () => {
    const backups = await readGuestBackups(apiReader(apis, 'pve1'));
    expect(backups.archives.map(({ vmid }) => vmid)).toEqual([120, 102, 100]);
    expect(backups.archives.at(-1)).toMatchObject({
      storage: 'local',
      vmid: 100,
      type: 'qemu',
      verified: 'none',
      isProtected: false,
      notes: 'files',
      volume: expect.stringMatching(/^local:backup\/vzdump-qemu-100-\d{4}(_\d\d){2}-\d\d(_\d\d){2}\.vma\.zst$/),
      takenAt: expect.stringMatching(/Z$/),
    });
    expect(backups.isComplete).toBe(true);
  });

  it('of a backup server are verified, or found bad; a storage that cannot be read is said and hides no other', async () => {
    const { state } = simulator;
    const storage = (name: string, changes: Partial<SimulatedStorage>): SimulatedStorage => ({
      storage: name,
      node: 'pve1',
      plugin: 'pbs',
      content: 'backup',
      shared: true,
      status: 'available',
      total: 100,
      used: 1,
      ...changes,
    });
    const [storages, archives] = [state.storages.length, state.archives.length];
    state.storages.push(
      storage('server', {}),
      storage('gone', { status: 'unknown' }),
      storage('off', { disabled: true }),
      storage('slow', {}),
      storage('images', { content: 'images' }),
    );
    const of = { storage: 'server', node: 'pve1', type: 'qemu', size: 5 } as const;
    state.archives.push(
      { ...of, vmid: 100, takenAt: 1_700_000_000, verification: 'ok', protected: true },
      { ...of, vmid: 120, takenAt: 1_700_000_001, verification: 'failed' },
    );
    const lift = simulator.inject(
      {
        kind: 'answer',
        status: 500,
        contentType: 'application/json',
        body: '{"data":null,"message":"mount error\\n"}',
      },
      { path: /storage\/slow/ },
    );
    try {
      const backups = await readGuestBackups(apiReader(apis, 'pve1'));
      const ofServer = backups.archives.filter((archive) => archive.storage === 'server');
      expect(ofServer).toEqual([
        expect.objectContaining({ vmid: 120, verified: 'failed', isProtected: false }),
        expect.objectContaining({ vmid: 100, verified: 'ok', isProtected: true, takenAt: '2023-11-14T22:13:20.000Z' }),
      ]);
      const states = Object.fromEntries(backups.storages.map((one) => [one.storage, one.state]));
      expect(states).toEqual({
        local: 'read',
        server: 'read',
        gone: 'not-active',
        off: 'switched-off',
        slow: 'not-read',
      });
      expect(backups.storages.find((one) => one.storage === 'slow')?.why).toContain('mount error');
      expect(backups.isComplete).toBe(false);
    } finally {
      lift();
      state.storages.splice(storages);
      state.archives.splice(archives);
    }
  });

  it('that an API token may not restore are not shown to it, and what it lacks is named', async () => {
    const auditor = await readGuestBackups(apiReader(apis, 'auditor'));
    expect(auditor.archives).toEqual([]);
    expect(auditor.isComplete).toBe(false);
    expect(auditor.storages[0]?.missing).toEqual([
      { privilege: 'Datastore.AllocateSpace', path: '/storage/local' },
      { privilege: 'VM.Backup', path: '/vms' },
    ]);
    simulator.state.acl.push(
      { path: '/storage/local', subject: 'mcp@pve!backups', role: 'PVEDatastoreUser', propagate: true },
      { path: '/vms', subject: 'mcp@pve!backups', role: 'PVEVMUser', propagate: true },
      { path: '/nodes', subject: 'mcp@pve!backups', role: 'PVEAuditor', propagate: true },
    );
    const separate = await readGuestBackups(apiReader(apis, 'separate'));
    expect(separate.archives).toHaveLength(3);
    expect(separate.isComplete).toBe(true);
  });

  it('hold nothing that is no guest’s or has no time, and nothing of foreign text as it came', async () => {
    const given = {
      storages: [{ storage: 'nas\u202e', type: 'dir', content: 'iso,backup', active: 1, enabled: 1 }],
      archives: [
        { volid: 'nas:backup/a\u0007', vmid: 100, ctime: 1_700_000_000, notes: 'x\u202ey', size: 1 },
        { volid: 'nas:backup/b', vmid: 5, ctime: 1_700_000_000 },
        { volid: 'nas:backup/c', ctime: 1_700_000_000 },
        { volid: 'nas:backup/d', vmid: 100 },
        { volid: 'nas:backup/e', vmid: 100, ctime: 9e15 },
      ],
    };
    const { archives } = await readGuestBackups(standIn(given));
    expect(archives).toHaveLength(1);
    expect(JSON.stringify(archives)).not.toMatch(/\\u0007|\u202e/);
  });
});

describe('two readers', () => {
  const refused = new ServiceError({ code: 'proxmox-permission', message: 'no', remedy: 'no' });

  it('the second answers what the first may not, and what the first would leave out', async () => {
    const commands = standIn({ version: { version: '9', release: '9.1', repoid: 'x' }, archives: [{ volid: 'a' }] });
    const both = firstThen(standIn({}, refused), commands);
    await expect(both.read('version')).resolves.toMatchObject({ version: '9' });
    const auditor = apiReader(apis, 'auditor');
    const seen = await firstThen(auditor, commands).read('archives', 'local');
    expect(seen).toMatchObject([{ volid: 'a' }]);
    // What the first can do it does.
    await expect(firstThen(auditor, commands).read('version')).resolves.toMatchObject({ version: '9.1.7' });
  });

  it('what both refuse is said as the first one said it', async () => {
    const other = new ServiceError({ code: 'command-failed', message: 'other', remedy: 'other' });
    const failure = await failureOf(firstThen(standIn({}, refused), standIn({}, other)).read('version'));
    expect(failure.code).toBe('proxmox-permission');
    const answered = await failureOf(firstThen(standIn({}, other), standIn({})).read('version'));
    expect(answered.message, 'an error that is none of the API is no reason to ask again').toBe('other');
  });

  it('an answer that is not of its form is refused, and quoted nowhere', async () => {
    const failure = await failureOf(standIn({ storages: [{ storage: 5 }] }).read('storages'));
    expect(failure.code).toBe('unexpected-answer');
    expect(failure.message).toContain('storages');
  });
});

function standIn(answers: Partial<Record<ReadName, unknown>>, failure?: ServiceError): ProxmoxReader {
  return {
    host: 'pve1',
    way: 'commands',
    read: async (name) => {
      if (failure) throw failure;
      return readAnswer(name, 'pve1', answers[name]);
    },
    hiding: async () => [],
  };
}
