import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runNode, useBuild } from '../support/built.ts';

// `copies decrypt`: a copy is there whole, or nothing is.
const build = useBuild();
const content = randomBytes(300_000);
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pmx-copies-'));
  const identity = await generateX25519Identity();
  writeFileSync(at('identity'), `${identity}\n`, { mode: 0o600 });
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(identity));
  writeFileSync(at('daily.age'), await encrypter.encrypt(content));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);
const decrypt = (identity = 'identity') =>
  runNode(build.path('src/cli.js'), [
    ...['--config-dir', folder, 'copies', 'decrypt', at('daily.age')],
    ...['--identity', at(identity), '--to', at('out.tar')],
  ]);
const inFolder = () => readdirSync(folder).sort();

it('writes it for its owner alone, whatever a killed call or somebody else left in its way', async () => {
  writeFileSync(at('out.tar.partial'), 'of before', { mode: 0o644 });
  expect(await decrypt()).toMatchObject({ code: 0, stdout: expect.stringContaining('out.tar is decrypted') });
  expect(readFileSync(at('out.tar')).equals(content)).toBe(true);
  expect(statSync(at('out.tar')).mode & 0o777).toBe(0o600);
  expect(inFolder()).toEqual(['daily.age', 'identity', 'out.tar']);
});

it.each([
  ['was cut', (copy: Buffer) => copy.subarray(0, -1_000)],
  ['was damaged', (copy: Buffer) => Buffer.concat([copy.subarray(0, -1), Buffer.from([(copy.at(-1) ?? 0) ^ 1])])],
  ['has something behind its end', (copy: Buffer) => Buffer.concat([copy, Buffer.from('more')])],
])('leaves nothing of one that %s', async (_, spoil) => {
  writeFileSync(at('daily.age'), spoil(readFileSync(at('daily.age'))));
  const ended = await decrypt();
  expect(ended.code).not.toBe(0);
  expect(ended.stderr).toContain('it was cut off, or changed');
  expect(inFolder()).toEqual(['daily.age', 'identity']);
});

it('leaves nothing where it is for somebody else', async () => {
  writeFileSync(at('other'), `${await generateX25519Identity()}\n`, { mode: 0o600 });
  expect((await decrypt('other')).code).not.toBe(0);
  expect(existsSync(at('out.tar'))).toBe(false);
  expect(existsSync(at('out.tar.partial'))).toBe(false);
});

it('writes over nothing', async () => {
  writeFileSync(at('out.tar'), 'mine');
  expect(await decrypt()).toMatchObject({ code: 1, stderr: expect.stringContaining('--to') });
  expect(readFileSync(at('out.tar'), 'utf8')).toBe('mine');
});
