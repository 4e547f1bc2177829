import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createCopyBackupsActivities } from '../../../src/activities/copy-backups/copy-backups.ts';
import { openCopy } from '../../../src/backups/copies/identity.ts';
import { readMembers } from '../../../src/backups/copies/members.ts';
import { createCopyStore } from '../../../src/backups/copies/store.ts';
import type { Config, HostConfig } from '../../../src/config.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import type { Command } from '../../../src/hosts/commands/command.ts';
import { sendBackup } from '../../../src/hosts/commands/copy-backups/send-backup.ts';
import type { Host, Hosts } from '../../../src/hosts/host.ts';
import { bringBackup } from '../../../src/hosts/install/bring-backup.ts';
import { Secret } from '../../../src/secret.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { sealArchive } from '../../support/sealed-archive.ts';
import { backUp } from '../back-up/steps.ts';

// The helper's own commands on this machine, with Debian's age, into a real folder of copies.

const [newest, older] = ['daily-backup-20261122-020000', 'daily-backup-20261121-020000'] as const;
let host: TestHost;
let identity: string;
let recipient: string;

beforeEach(async () => {
  host = makeHost();
  identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
  recipients('host', recipient);
});
afterEach(() => host.close());

function recipients(by: 'host' | 'service', ...lines: string[]): void {
  const file = join(host.layout.state, 'recipients');
  host.sh('mkdir -p -m 700 "$state"');
  writeFileSync(file, ['# who', `# encrypted by the ${by}`, ...lines, ''].join('\n'), { mode: 0o600 });
}

/** The activities, with what is configured; `change` puts something between them and the host. */
function activities(
  copies: HostConfig['copies'] | 'none',
  change: (host: Host) => Host = (one) => one,
  identityFile?: string,
) {
  const folder = join(host.folder, 'copies');
  const hosts: Hosts = {
    ...host.hosts,
    get(name) {
      const found = host.hosts.get(name);
      const { copies: _none, ...config } = found.config;
      return change({ ...found, config: { ...config, ...(copies !== 'none' && copies && { copies }) } });
    },
  };
  const config = { copies: { folder, remotes: [], ...(identityFile && { identityFile }) } } as unknown as Config;
  return { ...createCopyBackupsActivities({ hosts, config }), store: createCopyStore(folder), folder };
}

const byHost = () => activities({ recipients: [recipient], encryption: 'host' });

function decrypted(path: string): string {
  const key = join(host.folder, 'identity');
  writeFileSync(key, `${identity}\n`, { mode: 0o600 });
  const out = join(host.folder, 'out');
  host.sh(`rm -rf "${out}"; mkdir "${out}"`);
  const plain = execFileSync('age', ['-d', '-i', key, path], { maxBuffer: 2 ** 28 });
  execFileSync('tar', ['-x', '-C', out], { input: plain });
  return out;
}

it('what a host has verified is copied, newest first, and comes back byte for byte with age and tar alone', async () => {
  const [first, second] = [randomBytes(1_500_000), randomBytes(70_000)];
  sealArchive(host, { id: newest, content: first, age: 60 });
  sealArchive(host, { id: older, content: second, age: 90_000 });
  const on = byHost();
  const look = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(look).toMatchObject({ by: 'host', findings: [], unsealed: [], copies: [], recipients: [recipient] });
  expect(look.missing.map(({ backup }) => backup)).toEqual([newest, older]);
  expect(look.calls).toEqual([`send-backup ${newest} age`, `send-backup ${older} age`]);
  for (const archive of look.missing) await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  const after = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(after.missing).toEqual([]);
  expect(after.copies.map(({ backup, state }) => [backup, state])).toEqual([
    [newest, 'whole'],
    [older, 'whole'],
  ]);
  const out = decrypted(join(on.folder, 'pve1', `${newest}.age`));
  expect(readFileSync(join(out, `${newest}.tar.gz`)).equals(first)).toBe(true);
  expect(readdirSync(out).sort()).toEqual([`${newest}.manifest`, `${newest}.manifest.sig`, `${newest}.tar.gz`]);
  expect(readdirSync(join(on.folder, 'pve1')).filter((name) => name.startsWith('.'))).toEqual([]);
  expect(statSync(join(on.folder, 'pve1', `${newest}.age`)).mode & 0o777).toBe(0o600);
});

it('a copy that is there is not sent again; one that was changed is', async () => {
  sealArchive(host, { id: newest, content: randomBytes(200_000), age: 0 });
  const on = byHost();
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  const once = await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  expect(await host.run(() => on.copyBackup({ host: 'pve1', archive }))).toEqual(once);
  const file = join(on.folder, 'pve1', `${newest}.age`);
  appendFileSync(file, 'x');
  const look = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(look.missing).toHaveLength(1);
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({ whole: false });
  const again = await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  expect(again.sha256).not.toBe(once.sha256);
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({
    whole: true,
    proves: 'ciphertext',
  });
});

it('a bit that flips is found by comparing, and the copy made again', async () => {
  sealArchive(host, { id: newest, content: randomBytes(200_000), age: 0 });
  const on = byHost();
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  const file = join(on.folder, 'pve1', `${newest}.age`);
  const bytes = readFileSync(file);
  bytes[100_000] = (bytes[100_000] ?? 0) ^ 4;
  writeFileSync(file, bytes);
  expect((await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing).toEqual([]);
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({ whole: false });
  expect((await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing).toHaveLength(1);
});

it('what the disk does not give any more is no copy, and made again', async () => {
  sealArchive(host, { id: newest, content: randomBytes(200_000), age: 0 });
  const on = byHost();
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  const file = join(on.folder, 'pve1', `${newest}.age`);
  rmSync(file);
  // Its first page can't be read: EIO, as of a bad block.
  symlinkSync('/proc/self/mem', file);
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({
    whole: false,
    why: expect.stringContaining('EIO'),
  });
  await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({ whole: true });
});

it('with an identity of its own the service compares what a copy holds', async () => {
  sealArchive(host, { id: newest, content: randomBytes(200_000), age: 0 });
  const key = join(host.folder, 'own-identity');
  writeFileSync(key, `# own\n${identity}\n`, { mode: 0o600 });
  const on = activities({ recipients: [recipient], encryption: 'host' }, undefined, key);
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({
    whole: true,
    proves: 'content',
  });
});

it('where root has allowed it, the service encrypts', async () => {
  const content = randomBytes(300_000);
  sealArchive(host, { id: newest, content, age: 0 });
  const on = activities({ recipients: [recipient], encryption: 'service' });
  const refused = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(refused.by).toBeUndefined();
  expect(refused.findings).toMatchObject([{ verdict: 'failed', summary: expect.stringContaining('has not allowed') }]);
  await expect(
    host.run(() => host.hosts.get('pve1').run(sendPlain.command, sendPlain.args, { stdoutTo: nowhere() })),
  ).rejects.toMatchObject({ code: 'configuration' });
  recipients('service', recipient);
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  const out = decrypted(join(on.folder, 'pve1', `${newest}.age`));
  expect(readFileSync(join(out, `${newest}.tar.gz`)).equals(content)).toBe(true);
});

it('without recipients there is no copy, and it is said that the only one lies on the host', async () => {
  sealArchive(host, { id: newest, content: randomBytes(1000), age: 0 });
  const none = await host.run(() => activities('none').lookAtCopies({ host: 'pve1' }));
  expect(none.by).toBeUndefined();
  expect(none.findings).toMatchObject([
    { verdict: 'warning', summary: expect.stringContaining('lies on the host itself') },
  ]);
  recipients('host');
  const on = byHost();
  const empty = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(empty).toMatchObject({
    calls: [],
    findings: [{ verdict: 'warning', remedy: expect.stringContaining('host install') }],
  });
  const archive = { backup: newest, bytes: 1000, sha256: 'a'.repeat(64) };
  await expect(host.run(() => on.copyBackup({ host: 'pve1', archive }))).rejects.toThrow(/Nobody is named/);
});

it('what was brought and never admitted is told of after a day', async () => {
  const on = byHost();
  host.sh(`mkdir -p "$state/incoming/${older}" && touch -d '-2 days' "$state/incoming/${older}"`);
  host.sh(`mkdir -p "$state/incoming/${newest}"`);
  const { findings } = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(findings).toMatchObject([{ check: 'Brought back', summary: expect.stringContaining(older) }]);
});

it('who the host names is said where others are configured', async () => {
  const other = await identityToRecipient(await generateX25519Identity());
  sealArchive(host, { id: newest, content: randomBytes(1000), age: 0 });
  const on = activities({ recipients: [other], encryption: 'host' });
  const { findings, by } = await host.run(() => on.lookAtCopies({ host: 'pve1' }));
  expect(by).toBe('host');
  expect(findings).toMatchObject([{ check: 'Recipients', verdict: 'warning' }]);
});

it('an archive that isn’t what was published gets no copy', async () => {
  sealArchive(host, { id: newest, content: randomBytes(300_000), age: 0 });
  const on = byHost();
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  const file = join(host.layout.backups, `${newest}.tar.gz`);
  const { atime, mtime } = statSync(file);
  const bytes = readFileSync(file);
  bytes[5] = (bytes[5] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  // As bad memory or a bad disk would: neither size nor time tell.
  utimesSync(file, atime, mtime);
  await expect(host.run(() => on.copyBackup({ host: 'pve1', archive }))).rejects.toThrow(
    /not the archive that was published/,
  );
  expect(readdirSync(join(on.folder, 'pve1'))).toEqual([]);
  truncateSync(file, 10);
  await expect(host.run(() => on.copyBackup({ host: 'pve1', archive }))).rejects.toThrow(/is changed on this host/);
  rmSync(join(host.layout.backups, `${newest}.manifest.sig`));
  expect((await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing).toEqual([]);
});

it.each([
  ['is cut in the middle', 'cut'],
  ['ends early, and the exit code is 0', 'short'],
  ['gets something added', 'long'],
  ['is something else', 'garbage'],
] as const)('a stream that %s leaves nothing with a name, and the next one does', async (_, fault) => {
  sealArchive(host, { id: newest, content: randomBytes(900_000), age: 0 });
  const wrong = activities({ recipients: [recipient], encryption: 'host' }, (one) => spoil(one, fault));
  const [archive] = (await host.run(() => wrong.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  await expect(host.run(() => wrong.copyBackup({ host: 'pve1', archive }))).rejects.toThrow();
  expect(readdirSync(join(wrong.folder, 'pve1'))).toEqual([]);
  const good = byHost();
  await host.run(() => good.copyBackup({ host: 'pve1', archive }));
  expect(await host.run(() => good.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({ whole: true });
});

it('two at once: both end, and the copy is whole', async () => {
  sealArchive(host, { id: newest, content: randomBytes(900_000), age: 0 });
  const on = byHost();
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  await Promise.all([1, 2].map(() => host.run(() => on.copyBackup({ host: 'pve1', archive }))));
  expect(await host.run(() => on.verifyCopy({ host: 'pve1', backup: newest }))).toMatchObject({ whole: true });
  expect(readdirSync(join(on.folder, 'pve1')).sort()).toEqual([`${newest}.age`, `${newest}.json`]);
});

it('a file of recipients that others could write names nobody', async () => {
  sealArchive(host, { id: newest, content: randomBytes(1000), age: 0 });
  host.sh('chmod 666 "$state/recipients"');
  expect((await host.run(() => byHost().lookAtCopies({ host: 'pve1' }))).recipients).toEqual([]);
});

const sendPlain = { command: sendBackup, args: { backup: newest, how: 'plain' } } as const;
const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });

/** A host whose stream isn't what was sent. */
function spoil(one: Host, fault: 'cut' | 'short' | 'long' | 'garbage'): Host {
  let sent = 0;
  const between = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sent += chunk.length;
      if (fault === 'cut' && sent > 300_000) done(new Error('the connection was lost'));
      else if (fault === 'short' && sent > 800_000) done();
      else done(null, fault === 'garbage' ? randomBytes(chunk.length) : chunk);
    },
    flush(done) {
      done(null, fault === 'long' ? Buffer.from('more') : undefined);
    },
  });
  const through = one.run as unknown as (command: Command, args: object, options: object) => Promise<never>;
  const run = async (command: Command, args: object, options: { stdoutTo?: Writable }): Promise<never> => {
    if (options.stdoutTo === undefined) return await through(command, args, options);
    const passed = pipeline(between, options.stdoutTo);
    const [answer] = await Promise.all([through(command, args, { ...options, stdoutTo: between }), passed]);
    return answer;
  };
  return { ...one, run: run as unknown as Host['run'] };
}

it('a backup as it is really made is copied, lost, and comes back as it was', async () => {
  const { published } = await backUp(host);
  const id = basename(published.path).replace(/\.tar\..*$/, '');
  const before = readFileSync(published.path);
  const on = byHost();
  const [archive] = (await host.run(() => on.lookAtCopies({ host: 'pve1' }))).missing;
  if (archive === undefined) throw new Error('nothing to copy');
  expect(archive).toMatchObject({ backup: id, sha256: published.sha256 });
  await host.run(() => on.copyBackup({ host: 'pve1', archive }));
  host.sh('rm -rf "$backups" "$state/backups"');
  const keys = { kind: 'keys', keys: [new Secret(identity)] } as const;
  const open = async function* () {
    yield* readMembers(await openCopy(join(on.folder, 'pve1', `${id}.age`), keys), id);
  };
  const access = { login: undefined, log: pino({ level: 'silent' }), agree: async () => true };
  expect(await bringBackup(host.hosts.get('pve1').config, id, { ...access, bytes: archive.bytes, open })).toBe(
    'sealed',
  );
  expect(readFileSync(published.path).equals(before)).toBe(true);
  expect((await host.run(() => host.hosts.get('pve1').run(listBackups, {}))).archives).toMatchObject([
    { id, state: 'verified' },
  ]);
});
