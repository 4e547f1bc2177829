import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, expect, it } from 'vitest';
import { decryptFile, encryptTo } from '../../../src/backups/copies/age.ts';
import { encryptedBytes, headerLength } from '../../../src/backups/copies/age-header.ts';
import { encryptInto } from '../../../src/backups/copies/encrypt.ts';
import { openCopy, readIdentity } from '../../../src/backups/copies/identity.ts';
import { Secret } from '../../../src/secret.ts';
import { exhaustive } from '../../support/exhaustive.ts';

// Debian's own program `age` reads what we write, and we read what it writes.

const folder = mkdtempSync(join(tmpdir(), 'pmx-age-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const kibibytes = 1024;
/** Around the edges of chunks. */
const sizes = [0, 1, 64 * kibibytes - 1, 64 * kibibytes, 64 * kibibytes + 1, 3 * 64 * kibibytes, 1_000_003];

const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);
writeFileSync(at('identity'), `${identity}\n`, { mode: 0o600 });

async function encrypted(plain: Buffer, recipients = [recipient], piece = 10_007): Promise<Buffer> {
  const pieces = Array.from({ length: Math.ceil(plain.length / piece) }, (_, n) =>
    plain.subarray(n * piece, (n + 1) * piece),
  );
  const stream = await encryptTo(recipients);
  const [out] = await Promise.all([buffer(stream), pipeline(Readable.from(pieces), stream)]);
  return out;
}

async function decrypted(file: string, identities = [identity]): Promise<Buffer> {
  return await buffer(await decryptFile(file, identities));
}

it.each(sizes)('age reads our %i bytes', async (size) => {
  const plain = randomBytes(size);
  const file = await encrypted(plain);
  writeFileSync(at('ours'), file);
  expect(execFileSync('age', ['-d', '-i', at('identity'), at('ours')], { maxBuffer: 2 ** 26 }).equals(plain)).toBe(
    true,
  );
  expect(file.length).toBe(encryptedBytes(headerLength(file) ?? 0, size));
});

it.each(sizes)('we read the %i bytes of age', async (size) => {
  const plain = randomBytes(size);
  const out = execFileSync('age', ['-r', recipient], { input: plain, maxBuffer: 2 ** 26 });
  writeFileSync(at('theirs'), out);
  expect((await decrypted(at('theirs'))).equals(plain)).toBe(true);
  expect(out.length).toBe(encryptedBytes(headerLength(out) ?? 0, size));
});

it('each of several recipients reads it, post-quantum ones too, and nobody else', async () => {
  const [hybrid, stranger] = [await generateHybridIdentity(), await generateX25519Identity()];
  const plain = randomBytes(200_000);
  writeFileSync(at('several'), await encrypted(plain, [await identityToRecipient(hybrid), recipient]));
  for (const one of [hybrid, identity]) expect((await decrypted(at('several'), [one])).equals(plain)).toBe(true);
  expect(execFileSync('age', ['-d', '-i', at('identity'), at('several')], { maxBuffer: 2 ** 26 }).equals(plain)).toBe(
    true,
  );
  await expect(decrypted(at('several'), [stranger])).rejects.toMatchObject({ code: 'forbidden' });
});

it('what is no recipient is refused', async () => {
  for (const one of ['age1abc', 'ssh-ed25519 AAAA', '', 'AGE-SECRET-KEY-1QQ'])
    await expect(encryptTo([one])).rejects.toMatchObject({ code: 'invalid-input' });
  await expect(encryptTo([])).rejects.toMatchObject({ code: 'invalid-input' });
});

it('cut off, extended, changed and reordered files are refused, wherever it is', async () => {
  const chunk = 64 * kibibytes + 16;
  for (const size of [0, 5, 64 * kibibytes, 3 * 64 * kibibytes + 100]) {
    const good = await encrypted(randomBytes(size));
    const header = (headerLength(good) ?? 0) + 16;
    const wrong: Buffer[] = [
      Buffer.concat([good, Buffer.from('x')]),
      Buffer.concat([good, randomBytes(chunk)]),
      Buffer.concat([good, good.subarray(header)]),
    ];
    const cuts = exhaustive
      ? Array.from({ length: header + 40 }, (_, n) => n)
      : [0, 10, header - 17, header - 1, header, header + 15];
    for (let n = header + chunk; n < good.length; n += chunk) cuts.push(n - 1, n, n + 1);
    for (const n of [...cuts, good.length - 1].filter((one) => one < good.length)) wrong.push(good.subarray(0, n));
    const flips = exhaustive
      ? Array.from({ length: Math.min(good.length, 2000) }, (_, n) => n)
      : [3, 60, header - 20, header - 5, header, good.length - 1];
    for (const n of flips.filter((one) => one < good.length)) {
      const flipped = Buffer.from(good);
      flipped[n] = (flipped[n] ?? 0) ^ 1;
      wrong.push(flipped);
    }
    if (size > 2 * 64 * kibibytes) {
      const parts = [0, 1, 2].map((n) => good.subarray(header + n * chunk, header + (n + 1) * chunk));
      const [a, b, c] = parts as [Buffer, Buffer, Buffer];
      const rest = good.subarray(header + 3 * chunk);
      for (const order of [
        [b, a, c],
        [a, a, b, c],
        [a, c],
      ])
        wrong.push(Buffer.concat([good.subarray(0, header), ...order, rest]));
    }
    for (const file of wrong) {
      writeFileSync(at('wrong'), file);
      await expect(decrypted(at('wrong')), `${size} ${file.length}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(verification-failed|unreadable|forbidden)$/),
      });
    }
  }
});

it('a file of age that was changed is never read as a whole', async () => {
  const out = execFileSync('age', ['-r', recipient], { input: randomBytes(300_000), maxBuffer: 2 ** 26 });
  writeFileSync(at('theirs'), out.subarray(0, out.length - 30_000));
  const read: Buffer[] = [];
  const stream = await decryptFile(at('theirs'), [identity]);
  await expect(
    (async () => {
      for await (const part of stream) read.push(part as Buffer);
    })(),
  ).rejects.toMatchObject({ code: 'verification-failed' });
  expect(readFileSync(at('theirs')).length).toBeGreaterThan(Buffer.concat(read).length);
});

it('an identity with a passphrase, and an SSH key by the program age, open a copy', async () => {
  const encrypter = new Encrypter();
  encrypter.setPassphrase('violet tractor');
  encrypter.setScryptWorkFactor(10);
  writeFileSync(at('protected'), await encrypter.encrypt(`${identity}\n`), { mode: 0o600 });
  const plain = randomBytes(150_000);
  writeFileSync(at('copy'), await encrypted(plain));
  const opened = await readIdentity(at('protected'), async () => new Secret('violet tractor'));
  expect((await buffer(await openCopy(at('copy'), opened))).equals(plain)).toBe(true);
  const wrong = readIdentity(at('protected'), async () => new Secret('another'));
  await expect(wrong).rejects.toMatchObject({ code: 'invalid-input' });

  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('ssh')]);
  const to = createWriteStream(at('for-ssh'));
  const { input, done } = await encryptInto([readFileSync(at('ssh.pub'), 'utf8').trim()], to);
  input.end(plain);
  await done;
  const byKey = await readIdentity(at('ssh'), () => Promise.reject(new Error('asked')));
  expect((await buffer(await openCopy(at('for-ssh'), byKey))).equals(plain)).toBe(true);
  writeFileSync(at('for-ssh'), readFileSync(at('for-ssh')).subarray(0, -10));
  await expect(buffer(await openCopy(at('for-ssh'), byKey))).rejects.toMatchObject({ code: 'verification-failed' });
});
