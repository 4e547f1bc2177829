import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { inflateSync } from 'node:zlib';
import * as vectors from 'cctv-age';
import { afterAll, expect, it } from 'vitest';
import { decryptFile } from '../../../src/backups/copies/age.ts';

// The test vectors of the format's own authors (C2SP/CCTV, package cctv-age): what every implementation has to read, and to refuse.

const folder = mkdtempSync(join(tmpdir(), 'pmx-age-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cases = Object.entries(vectors).map(([name, bytes]) => {
  const whole = Buffer.from(bytes);
  const end = whole.indexOf('\n\n');
  const lines = whole.subarray(0, end).toString('utf8').split('\n');
  const all = (key: string) =>
    lines.filter((line) => line.startsWith(`${key}: `)).map((line) => line.slice(key.length + 2));
  const [compressed] = all('compressed');
  const rest = whole.subarray(end + 2);
  return {
    name,
    expected: all('expect')[0],
    payload: all('payload')[0],
    identities: all('identity'),
    // Copies are neither armoured nor encrypted with a passphrase.
    isOurs: all('armored').length === 0 && all('passphrase').length === 0,
    file: compressed === 'zlib' ? inflateSync(rest) : rest,
  };
});
const ours = cases.filter(({ isOurs, identities }) => isOurs && identities.length > 0);

it('there are enough of them', () => expect(ours.length).toBeGreaterThan(70));

it.each(ours)('$name', async ({ name, expected, payload, identities, file }) => {
  const path = join(folder, name);
  writeFileSync(path, file);
  const read = async () => await buffer(await decryptFile(path, identities));
  if (expected === 'success') {
    expect(
      createHash('sha256')
        .update(await read())
        .digest('hex'),
    ).toBe(payload);
    return;
  }
  const code = { 'no match': 'forbidden', 'payload failure': 'verification-failed' }[expected ?? ''];
  await expect(read()).rejects.toMatchObject({
    code: code ?? expect.stringMatching(/^(unreadable|forbidden|verification-failed)$/),
  });
});
