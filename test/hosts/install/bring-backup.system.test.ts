import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { signText } from '../../../src/cli/sign.ts';
import type { HostConfig } from '../../../src/config.ts';
import { ServiceError } from '../../../src/errors.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import {
  type BringOptions,
  type BroughtFile,
  bringBackup,
  type Provenance,
} from '../../../src/hosts/install/bring-backup.ts';
import { fingerprintOf } from '../../../src/ssh-wire.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { sealArchive } from '../../support/sealed-archive.ts';

// An administrator brings a backup back to this machine as a host, which reads it whole before it counts.

const id = 'daily-backup-20261122-020000';
const log = pino({ level: 'silent' });
let host: TestHost;
let content: Buffer;
let files: Record<BroughtFile['kind'], Buffer>;

beforeEach(() => {
  host = makeHost();
  content = randomBytes(3_000_000);
  sealArchive(host, { id, content, age: 0 });
  const read = (ending: string) => readFileSync(join(host.layout.backups, `${id}${ending}`));
  files = { manifest: read('.manifest'), seal: read('.manifest.sig'), archive: read('.tar.gz') };
  lose();
});
afterEach(() => host.close());

/** The host as it is when it has lost its backups; `all`: its key, too. */
function lose(all = false): void {
  rmSync(host.layout.backups, { recursive: true });
  rmSync(join(host.layout.state, all ? '' : 'backups'), { recursive: true });
  mkdirSync(host.layout.backups, { mode: 0o700 });
}

async function* given(of: Partial<typeof files> = {}): AsyncGenerator<BroughtFile> {
  for (const kind of ['manifest', 'seal', 'archive'] as const) {
    const bytes = of[kind] ?? files[kind];
    const parts = async function* () {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    };
    yield { kind, bytes: bytes.length, content: parts() };
  }
}

function bring(more: Partial<BringOptions> = {}) {
  const config: HostConfig = host.hosts.get('pve1').config;
  const agree = async () => true;
  return bringBackup(config, id, { login: undefined, log, bytes: content.length, open: () => given(), agree, ...more });
}

const archives = async () => (await host.run(() => host.hosts.get('pve1').run(listBackups, {}))).archives;
const leftovers = () =>
  existsSync(join(host.layout.state, 'incoming')) ? readdirSync(join(host.layout.state, 'incoming')) : [];

async function refused(more: Partial<BringOptions>, code: string, why: RegExp): Promise<void> {
  const error = await bring(more).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code, message: expect.stringMatching(why) });
  expect(readdirSync(host.layout.backups)).toEqual([]);
  expect(await archives()).toEqual([]);
  expect(leftovers()).toEqual([]);
}

it('what the host has sealed counts again, as old as it is', async () => {
  expect(await bring()).toBe('sealed');
  expect(await archives()).toMatchObject([{ id, state: 'verified', publishedAt: '2026-11-22T02:00:00.000Z' }]);
  expect(readFileSync(join(host.layout.backups, `${id}.tar.gz`)).equals(content)).toBe(true);
  expect(leftovers()).toEqual([]);
  expect(readFileSync(join(host.layout.state, 'backups', id, 'admitted'), 'utf8')).toContain('sealed by this host');
  expect(await bring()).toBe('there-already');
});

it('without a yes nothing is sent', async () => {
  expect(await bring({ agree: async () => false })).toBe('declined');
  expect(leftovers()).toEqual([]);
});

it('one that was found changed is replaced, and kept aside', async () => {
  await bring();
  writeFileSync(join(host.layout.backups, `${id}.tar.gz`), 'short');
  expect(await archives()).toMatchObject([{ state: 'changed' }]);
  expect(await bring()).toBe('sealed');
  expect(await archives()).toMatchObject([{ state: 'verified' }]);
  expect(readFileSync(join(host.layout.backups, `${id}.tar.gz.changed`), 'utf8')).toBe('short');
});

it('an archive, a manifest or a seal that is another is refused', async () => {
  const flip = (bytes: Buffer, at: number) => {
    const other = Buffer.from(bytes);
    other[at] = (other[at] ?? 0) ^ 1;
    return other;
  };
  await refused(
    { open: () => given({ archive: flip(content, 2_000_000) }) },
    'verification-failed',
    /not the one of its manifest/,
  );
  await refused(
    { open: () => given({ archive: content.subarray(1) }) },
    'verification-failed',
    /not the one of its manifest/,
  );
  await refused({ open: () => given({ manifest: Buffer.from('nonsense\n') }) }, 'verification-failed', /no manifest/);
  const evil = randomBytes(1000);
  const sum = createHash('sha256').update(evil).digest('hex');
  const manifest = Buffer.from(
    files.manifest.toString('utf8').replace(/^archive .*$/m, `archive ${id}.tar.gz 1000 ${sum}`),
  );
  await refused({ open: () => given({ manifest, archive: evil }) }, 'not-signed', /not sealed by this host/);
  await refused({ open: () => given({ seal: flip(files.seal, 200) }) }, 'not-signed', /not sealed by this host/);
});

it('a host that was installed anew takes it with a signature of one of its administrators alone', async () => {
  lose(true);
  const [anna, mallory] = ['anna', 'mallory'].map((name) => {
    const key = join(host.folder, name);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', key]);
    return key;
  }) as [string, string];
  mkdirSync(host.layout.state, { recursive: true, mode: 0o700 });
  const list = join(host.layout.state, 'administrators');
  await refused({}, 'not-signed', /not sealed by this host/);
  writeFileSync(list, `anna namespaces="proxmox-mcp-approval" ${readFileSync(`${anna}.pub`, 'utf8')}`, { mode: 0o600 });
  await refused({ sign: (text) => signText(text, mallory) }, 'not-signed', /nobody on the list/);
  await refused(
    { sign: (text) => signText(text.replace('backup: daily', 'backup: full'), anna) },
    'not-signed',
    /not one of this text/,
  );
  const texts: string[] = [];
  const sign = async (text: string) => {
    texts.push(text);
    return await signText(text, anna);
  };
  expect(await bring({ sign })).toBe('signed');
  expect(texts).toHaveLength(1);
  expect(texts[0]).toContain(`archive: ${createHash('sha256').update(content).digest('hex')}`);
  expect(await archives()).toMatchObject([{ id, state: 'verified' }]);
  expect(readFileSync(join(host.layout.state, 'backups', id, 'admitted'), 'utf8')).toContain('signed by anna');
});

/** An administrator on the list of the host, which has lost its key. */
function administrator(): (text: string) => Promise<string> {
  const key = join(host.folder, 'anna');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'anna', '-f', key]);
  mkdirSync(host.layout.state, { recursive: true, mode: 0o700 });
  const line = `anna namespaces="proxmox-mcp-approval" ${readFileSync(`${key}.pub`, 'utf8')}`;
  writeFileSync(join(host.layout.state, 'administrators'), line, { mode: 0o600 });
  return (text) => signText(text, key);
}

it('who signs is told who has sealed it, and nothing is signed that another key than the given one has', async () => {
  const sealedBy = fingerprintOf(readFileSync(join(host.layout.state, 'seal/key.pub'), 'utf8'));
  lose(true);
  const sign = administrator();
  const seen: Provenance[] = [];
  const look = async (_text: string, from: Provenance): Promise<string> => {
    seen.push(from);
    throw new ServiceError({ code: 'cancelled', message: 'not today', remedy: '-' });
  };
  const remembered = { fingerprint: sealedBy, isGiven: false };
  await refused({ sign: look, seal: remembered }, 'cancelled', /not today/);
  await refused({ sign: look }, 'cancelled', /not today/);
  // Somebody's own archive under that name, as whoever knows the recipients can make it.
  const evil = randomBytes(1000);
  const sum = createHash('sha256').update(evil).digest('hex');
  const manifest = Buffer.from(
    files.manifest.toString('utf8').replace(/^archive .*$/m, `archive ${id}.tar.gz 1000 ${sum}`),
  );
  const other = () => given({ manifest, archive: evil });
  await refused({ sign: look, seal: remembered, open: other }, 'cancelled', /not today/);
  expect(seen).toMatchObject([
    { sealedBy, isKnown: true, says: [expect.stringMatching(/^host \S+ /), expect.stringMatching(/^archive /)] },
    { sealedBy, isKnown: false },
    { isKnown: false },
  ]);
  expect(seen[2]).not.toHaveProperty('sealedBy');
  const known = { fingerprint: sealedBy, isGiven: true };
  await refused({ sign, seal: known, open: other }, 'verification-failed', /somebody else has made it/);
  const wrong = { fingerprint: `SHA256:${'A'.repeat(43)}`, isGiven: true };
  await refused({ sign, seal: wrong }, 'verification-failed', /and not by SHA256:AAA/);
  expect(await bring({ sign, seal: known })).toBe('signed');
});

it('what outlived its host on the disk is taken from there, and only when it is the same', async () => {
  lose(true);
  const sign = administrator();
  const put = (archive = files.archive) => {
    for (const [ending, bytes] of [
      ['.manifest', files.manifest],
      ['.manifest.sig', files.seal],
      ['.tar.gz', archive],
    ] as const)
      writeFileSync(join(host.layout.backups, `${id}${ending}`), bytes, { mode: 0o600 });
  };
  const failed = (more: Partial<BringOptions>) =>
    bring(more).then(
      () => 'done',
      (error: Error) => error.message,
    );
  put(randomBytes(content.length));
  expect(await archives()).toMatchObject([{ id, state: 'unproven' }]);
  expect(await failed({ sign, open: undefined })).toMatch(/not the one of its manifest/);
  expect(await failed({ sign })).toMatch(/another archive of this name/);
  put();
  expect(await failed({ open: undefined })).toMatch(/not sealed by this host/);
  expect(await archives()).toMatchObject([{ id, state: 'unproven' }]);
  expect(await bring({ sign, open: undefined })).toBe('signed');
  expect(await archives()).toMatchObject([{ id, state: 'verified' }]);
  expect(readFileSync(join(host.layout.backups, `${id}.tar.gz`)).equals(content)).toBe(true);
  expect(readdirSync(host.layout.backups).sort()).toEqual(
    ['.manifest', '.manifest.sig', '.tar.gz', '.tar.gz.sha256'].map((ending) => `${id}${ending}`),
  );
  expect(leftovers()).toEqual([]);
});

it('what was brought and never admitted goes after a day', async () => {
  const old = join(host.layout.state, 'incoming/daily-backup-20261101-020000');
  mkdirSync(old, { recursive: true, mode: 0o700 });
  writeFileSync(join(old, 'archive'), 'decrypted');
  const left = join(host.layout.backups, `.${id}.tar.gz.admitted`);
  writeFileSync(left, 'half');
  await bring({ agree: async () => false });
  expect(existsSync(old)).toBe(true);
  expect(existsSync(left)).toBe(false);
  const before = new Date(Date.now() - 2 * 86_400_000);
  for (const path of [join(old, 'archive'), old]) utimesSync(path, before, before);
  await bring({ agree: async () => false });
  expect(leftovers()).toEqual([]);
});

it('a stream that breaks is begun again, and what had come isn’t sent twice', async () => {
  let opened = 0;
  const open = async function* () {
    opened += 1;
    for await (const file of given()) {
      const broken = opened === 1 && file.kind === 'archive';
      const parts = async function* () {
        let sent = 0;
        for await (const part of file.content) {
          sent += part.length;
          if (broken && sent > 1_000_000)
            throw new ServiceError({ code: 'connection-lost', message: 'lost', remedy: '-', retryable: true });
          yield part;
        }
      };
      yield { ...file, content: parts() };
    }
  };
  expect(await bring({ open })).toBe('sealed');
  expect(opened).toBe(2);
});

it('a copy that is damaged brings nothing', async () => {
  const open = async function* () {
    for await (const file of given()) {
      const parts = async function* () {
        yield* file.content;
        if (file.kind === 'archive')
          throw new ServiceError({ code: 'verification-failed', message: 'it was changed', remedy: '-' });
      };
      yield { ...file, content: parts() };
    }
  };
  await refused({ open }, 'verification-failed', /it was changed/);
});
