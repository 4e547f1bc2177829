import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxApis } from '../../src/proxmox/connect.ts';
import { fetchFromBackup } from '../../src/proxmox/file-restore.ts';
import { hostOf } from '../proxmox/support.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

// Files out of a guest's backup: the list as an operation, the download as a person's command. The simulator's paths are not recorded.
const takenAt = Date.parse('2026-11-22T02:00:00Z') / 1000;
const archive = 'pbs:backup/vm/100/2026-11-22T02:00:00Z';
const etc = 'drive-scsi0.img.fidx/part/1/etc';

let lab: ApiChangeLab;
let folder: string;

function prepare({ simulator: { state } }: ApiChangeLab): void {
  state.storages.push({
    ...{ storage: 'pbs', node: 'pve1', plugin: 'pbs', content: 'backup', shared: true },
    ...{ status: 'available', total: 2 ** 40, used: 2 ** 30 },
  });
  for (const storage of ['pbs', 'local']) {
    state.archives.push({ vmid: 100, type: 'qemu', node: 'pve1', storage, takenAt, size: 2 ** 30 });
  }
  state.fileRestore.files.set(
    archive,
    new Map([
      [`/${etc}/hosts`, '127.0.0.1 localhost\n'],
      [`/${etc}/apt/sources.list`, 'deb\n'],
      [`/${etc}/grüße`, 'ä'],
      [`/${etc}/empty`, ''],
    ]),
  );
}

beforeEach(async () => {
  lab = await createApiChangeLab();
  prepare(lab);
  folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-fetch-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await lab.close();
});

const browse = (input: Readonly<Record<string, unknown>> = {}) =>
  lab.look('browse-guest-backup', { archive, ...input });

describe('browse-guest-backup', () => {
  it('goes down from the disks to the files, with sizes and times and no content', async () => {
    expect((await browse()).output).toMatchObject({ entries: [{ name: 'drive-scsi0.img.fidx', type: 'disk' }] });
    expect((await browse({ folder: '/drive-scsi0.img.fidx/' })).output).toMatchObject({
      entries: [{ name: 'part', type: 'disk' }],
    });
    const { output, table, done, steps } = await browse({ folder: etc });
    expect(steps).toEqual([]);
    expect(output).toEqual({
      archive,
      folder: etc,
      total: 4,
      entries: [
        { name: 'apt', type: 'folder' },
        { name: 'empty', type: 'file', bytes: 0, modified: '2026-05-28T20:26:40.000Z' },
        { name: 'grüße', type: 'file', bytes: 2, modified: '2026-05-28T20:26:40.000Z' },
        { name: 'hosts', type: 'file', bytes: 20, modified: '2026-05-28T20:26:40.000Z' },
      ],
    });
    expect(table?.rows.at(-1)).toEqual(['hosts', 'file', '20 bytes', '2026-05-28 20:26:40 UTC']);
    expect(done).toBe(`In ${etc} of ${archive} there are 4 names.`);
    expect(JSON.stringify([output, table])).not.toContain('localhost');
    expect(lab.writes()).toEqual([]);
  });

  it('lists a large folder page by page, and keeps only the page', async () => {
    const many = Array.from(
      { length: 450 },
      (_, at) => [`/root.pxar.didx/${String(at).padStart(4, '0')}`, 'x'] as const,
    );
    lab.simulator.state.fileRestore.files.set(archive, new Map(many));
    const look = await browse({ folder: 'root.pxar.didx', after: 400 });
    const { entries, total } = look.output as {
      readonly entries: readonly { readonly name: string }[];
      readonly total: number;
    };
    expect([total, entries.length, entries[0]?.name]).toEqual([450, 50, '0400']);
    expect(look.done).toContain('of which 50 are listed from the 401. on');
    expect(JSON.stringify(look.seen)).not.toContain('0399');
  });

  it('is asked again while the VM starts that reads the disks', async () => {
    lab.simulator.state.fileRestore.notInTime = 2;
    expect((await browse({ folder: etc })).output).toMatchObject({ total: 4 });
  });

  it('says what it does not understand', async () => {
    const data = [{ text: 'a', type: 'f', leaf: 1, size: 1 }, { text: 'b', type: 'x' }, 'c', { type: 'f' }];
    const body = JSON.stringify({ data });
    lab.simulator.inject(
      { kind: 'answer', status: 200, contentType: 'application/json', body },
      { path: /file-restore/ },
    );
    const look = await browse({ folder: etc });
    expect(look.output).toMatchObject({ total: 1, entries: [{ name: 'a' }] });
    expect(look.findings).toMatchObject([{ verdict: 'unknown', summary: expect.stringContaining('3 of its entries') }]);
  });

  it.each([
    [
      { archive: 'local:backup/vzdump-qemu-100-2026_11_22-02_00_00.vma.zst' },
      'invalid-input',
      /restore-guest into new/,
    ],
    [{ archive: 'nowhere:backup/vm/100/2026-11-22T02:00:00Z' }, 'not-found', /There are: pbs/],
    [{ archive: 'pbs:backup/vm/100/2026-11-23T02:00:00Z' }, 'not-found', /list-backups/],
    [{ folder: 'drive-scsi0.img.fidx/part/7' }, 'not-found', /Begin at the top/],
  ])('%j is refused as %s, with what to do instead', async (input, code, remedy) => {
    await expect(browse(input)).rejects.toMatchObject({ code, remedy: expect.stringMatching(remedy) });
  });

  it('says that the storage is away', async () => {
    const storage = lab.simulator.state.storages.find((one) => one.storage === 'pbs');
    Object.assign(storage ?? {}, { status: 'unknown' });
    await expect(browse()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('off or away') });
  });

  it('needs no more rights than it says, and names the one that is missing', async () => {
    const limited = await createApiChangeLab({}, { token: 'limited' });
    prepare(limited);
    const grant = (path: string, role: string, ...privileges: string[]) => {
      limited.simulator.state.roles.set(role, privileges);
      limited.simulator.state.acl.push({ path, subject: 'mcp@pve!limited', role, propagate: true });
    };
    try {
      grant('/storage', 'Look', 'Datastore.Audit', 'Datastore.AllocateSpace');
      const ask = () => limited.look('browse-guest-backup', { archive });
      await expect(ask()).rejects.toMatchObject({
        code: 'proxmox-permission',
        message: expect.stringContaining('VM.Backup'),
      });
      grant('/vms', 'Backup', 'VM.Backup');
      expect((await ask()).output).toMatchObject({ total: 1 });
    } finally {
      await limited.close();
    }
  });
});

describe('a download', () => {
  const fetch = async (
    path: string,
    { tar = false, ...options }: { tar?: boolean; signal?: AbortSignal; onBytes?: () => void } = {},
  ) => {
    const { simulator } = lab;
    const apis = createProxmoxApis(
      { hosts: [hostOf('pve1', simulator, simulator.tokens.full)] },
      pino({ level: 'silent' }),
      {
        learns: false,
      },
    );
    try {
      const wanted = { node: 'pve1', archive, path, tar };
      return await fetchFromBackup(apis.get('pve1'), wanted, join(folder, 'out'), options);
    } finally {
      await apis.close();
    }
  };

  it('is a file as it was, for its owner alone', async () => {
    expect(await fetch(`${etc}/hosts`)).toEqual({ kind: 'file', bytes: 20 });
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe('127.0.0.1 localhost\n');
    expect(statSync(join(folder, 'out')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['out']);
  });

  it('is one of a name that needs UTF-8, and an empty one', async () => {
    expect(await fetch(`${etc}/grüße`)).toEqual({ kind: 'file', bytes: 2 });
    rmSync(join(folder, 'out'));
    expect(await fetch(`${etc}/empty`)).toEqual({ kind: 'file', bytes: 0 });
  });

  it('is a zip of a folder, or a tar', async () => {
    expect((await fetch(etc)).kind).toBe('zip');
    rmSync(join(folder, 'out'));
    expect((await fetch(etc, { tar: true })).kind).toBe('tar.zst');
    expect(lab.simulator.requests.filter(({ url }) => url.includes('tar=1'))).toHaveLength(1);
  });

  it('is larger than what an answer may be', async () => {
    lab.simulator.state.fileRestore.files.set(archive, new Map([['/root.pxar.didx/large', 'x'.repeat(70 * 2 ** 20)]]));
    expect((await fetch('root.pxar.didx/large')).bytes).toBe(70 * 2 ** 20);
  });

  it.each([
    [
      'a file of which the rest is missing though its task is OK',
      `${etc}/hosts`,
      'cut',
      'verification-failed',
      /10 bytes came, and it has 20/,
    ],
    ['a folder whose zip has no end though its task is OK', etc, 'cut', 'verification-failed', /no whole zip/],
    ['a file whose task failed', `${etc}/hosts`, 'fails', 'command-failed', /connection reset/],
    ['a folder whose task failed', etc, 'fails', 'command-failed', /connection reset/],
  ] as const)('%s is no file', async (_, path, download, code, message) => {
    lab.simulator.state.fileRestore.download = download;
    await expect(fetch(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['nothing of that name', `${etc}/nothing`, 'not-found'],
    ['a disk', 'drive-scsi0.img.fidx', 'invalid-input'],
  ])('refuses %s', async (_, path, code) => {
    await expect(fetch(path)).rejects.toMatchObject({ code });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('does not write over what another one writes', async () => {
    writeFileSync(join(folder, 'out.partial'), 'of another');
    await expect(fetch(`${etc}/hosts`)).rejects.toMatchObject({ code: 'already-exists' });
    expect(readFileSync(join(folder, 'out.partial'), 'utf8')).toBe('of another');
  });

  it('that was interrupted leaves nothing', async () => {
    await expect(fetch(`${etc}/hosts`, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of two at once, each looks at its own task', async () => {
    const { tokens, tasks } = lab.simulator;
    const { user, name } = tokens.full;
    const caller = { id: `${user}!${name}`, user, token: name };
    const onBytes = () =>
      void tasks.start({ node: 'pve1', type: 'pbs-download', id: '', caller }, async (task) => {
        task.log('Starting download of file: /another');
        throw new Error('of another');
      });
    expect((await fetch(`${etc}/hosts`, { onBytes })).kind).toBe('file');
  });
});
