import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { expect, it } from 'vitest';
import { publicKeyOf } from '../../../src/hosts/install/service-key.ts';
import { readKeyFile } from '../../../src/hosts/ssh/key-file.ts';
import { newKeyPair } from '../../../src/hosts/ssh/new-key.ts';
import { configurationFolder } from '../../config/folder.ts';

const canary = 'CANARYCANARYCANARY';
const pair = newKeyPair('test');
const locked = ssh2.utils.generateKeyPairSync('ecdsa', {
  bits: 256,
  passphrase: 'secret',
  cipher: 'aes256-ctr',
  rounds: 1,
});

it('takes a private key, also through a link, and answers its public half', () => {
  const folder = configurationFolder({ key: pair.private });
  symlinkSync('key', join(folder, 'link'));
  for (const name of ['key', 'link']) {
    const found = readKeyFile(join(folder, name));
    expect(found).toMatchObject({ kind: 'usable', mode: 0o600 });
    expect(publicKeyOf(join(folder, name))).toBe(pair.public.split(' ').slice(0, 2).join(' '));
  }
});

it.each([
  ['its public half', pair.public, 'is the public half of a key', 'key,'],
  ['a damaged public half', `ssh-ed25519 AAAA${canary}`, 'is the public half of a key', 'key,'],
  ['a certificate', `ssh-ed25519-cert-v01@openssh.com AAAA${canary}`, 'is the public half', 'key,'],
  ['a public half of RFC 4716', `---- BEGIN SSH2 PUBLIC KEY ----\n${canary}`, 'is the public half', 'key,'],
  ['a key with a passphrase', locked.private, 'passphrase', 'ssh-keygen -p'],
  ['PKCS #8 with a passphrase', `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${canary}\n`, 'passphrase', 'ssh-keygen -p'],
  ['PKCS #8', `-----BEGIN PRIVATE KEY-----\n${canary}\n`, 'PKCS #8', 'ssh-keygen -p'],
  [
    'a damaged key',
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n`,
    'is no private key, or is damaged',
    'SSH_KEY_PATH',
  ],
  ['another text', canary, 'is no private key', 'SSH_KEY_PATH'],
  ['nothing', '', 'is no private key', 'SSH_KEY_PATH'],
])('refuses %s by name, and never shows it', (_what, text, summary, remedy) => {
  const folder = configurationFolder({ key: pair.private, 'key.pub': text });
  const found = readKeyFile(join(folder, 'key.pub'));
  expect(found).toMatchObject({ kind: 'unusable' });
  if (found.kind === 'usable') return;
  expect(found.summary).toContain(summary);
  expect(found.remedy).toContain(remedy);
  expect(JSON.stringify(found)).not.toContain(canary);
  expect(() => publicKeyOf(join(folder, 'key.pub'))).toThrow(summary);
});

it('refuses what others may read, what is no file, and what is not there', () => {
  const folder = configurationFolder({ key: pair.private });
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    chmodSync(join(folder, 'key'), mode);
    expect(readKeyFile(join(folder, 'key'))).toMatchObject({
      kind: 'unusable',
      summary: `may be read by others (mode 0${mode.toString(8)})`,
      remedy: expect.stringContaining(`chmod 600 ${folder}/key`),
    });
  }
  mkdirSync(join(folder, 'folder'));
  symlinkSync('circle', join(folder, 'circle'));
  writeFileSync(join(folder, 'large'), 'x'.repeat(70_000), { mode: 0o600 });
  expect(readKeyFile(join(folder, 'folder'), '--key')).toMatchObject({
    kind: 'unusable',
    remedy: expect.stringContaining('--key'),
  });
  expect(readKeyFile(join(folder, 'circle'))).toMatchObject({ summary: "can't be read (ELOOP)" });
  expect(readKeyFile(join(folder, 'large'))).toMatchObject({ kind: 'unusable' });
  expect(readKeyFile(join(folder, 'none'))).toMatchObject({ kind: 'missing' });
  expect(publicKeyOf(join(folder, 'none'))).toBeUndefined();
});
