import type { Readable } from 'node:stream';
import { ServiceError } from '../../errors.ts';

// What a copy holds when it is decrypted: a tar of three plain files. Whoever knows its recipients can make one, so it is read
// strictly: these three names in this order, and nothing else.

export interface Member {
  readonly kind: 'manifest' | 'seal' | 'archive';
  readonly name: string;
  readonly bytes: number;
  /** To be read to its end before the next member. */
  readonly content: AsyncIterable<Buffer>;
}

const block = 512;

/** The three files of a copy, one after the other. Throws `verification-failed` for anything that isn't one. */
export async function* readMembers(source: Readable, id: string): AsyncGenerator<Member> {
  const reader = createReader(source);
  const wanted: readonly (readonly [Member['kind'], readonly string[]])[] = [
    ['manifest', [`${id}.manifest`]],
    ['seal', [`${id}.manifest.sig`]],
    ['archive', [`${id}.tar.gz`, `${id}.tar.zst`]],
  ];
  for (const [kind, names] of wanted) {
    const { name, bytes } = parseHeader(await reader.exactly(block));
    if (!names.includes(name)) throw notACopy(`in place of ${names[0]} there is ${JSON.stringify(name.slice(0, 100))}`);
    let left = bytes;
    async function* content(): AsyncGenerator<Buffer> {
      while (left > 0) {
        const part = await reader.upTo(left);
        left -= part.length;
        yield part;
      }
    }
    yield { kind, name, bytes, content: content() };
    if (left > 0) throw new Error(`${name} was not read to its end`);
    await reader.exactly((block - (bytes % block)) % block);
  }
  for (let rest = await reader.rest(); rest !== undefined; rest = await reader.rest())
    if (rest.some((byte) => byte !== 0)) throw notACopy('something stands behind the archive');
}

function parseHeader(header: Buffer): { readonly name: string; readonly bytes: number } {
  const text = (from: number, length: number) =>
    header
      .subarray(from, from + length)
      .toString('latin1')
      .replace(/\0.*$/s, '');
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (Number.parseInt(text(148, 8).trim(), 8) !== sum) throw notACopy('it is no tar, or is damaged');
  if (!['0', ''].includes(text(156, 1))) throw notACopy('something in it is no plain file');
  // GNU's notation for what has no room in octal digits.
  const isBinary = (header[124] ?? 0) === 0x80;
  const bytes = isBinary ? Number(header.readBigUInt64BE(128)) : Number.parseInt(text(124, 12).trim(), 8);
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw notACopy('a size in it is none');
  return { name: text(0, 100), bytes };
}

function createReader(source: Readable) {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held = Buffer.alloc(0);
  async function more(): Promise<boolean> {
    if (held.length > 0) return true;
    const next = await chunks.next();
    if (next.done === true) return false;
    held = next.value as Buffer<ArrayBuffer>;
    return held.length > 0 || (await more());
  }
  async function upTo(length: number): Promise<Buffer> {
    if (!(await more())) throw notACopy('it ends too early');
    const part = held.subarray(0, length);
    held = held.subarray(part.length);
    return part;
  }
  return {
    /** At least one byte, at most so many. */
    upTo,
    async exactly(length: number): Promise<Buffer> {
      const parts: Buffer[] = [];
      let left = length;
      while (left > 0) {
        const part = await upTo(left);
        left -= part.length;
        parts.push(part);
      }
      return Buffer.concat(parts);
    },
    /** The next part of what is left; undefined at the end. */
    async rest(): Promise<Buffer | undefined> {
      return (await more()) ? await upTo(held.length) : undefined;
    },
  };
}

function notACopy(why: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `What was decrypted is no copy of this backup: ${why}`,
    remedy: 'Take another copy; nothing of this one was used.',
  });
}
