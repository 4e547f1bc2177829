/** One thing to put on a host before it boots. Owner and mode are exact, which copying a folder could not promise. */
export interface TarEntry {
  /** Absolute. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link';
  /** A file's text, or what a link points to. */
  readonly content?: string;
  readonly mode: number;
  readonly uid?: number;
}

const block = 512;

/** A POSIX (ustar) archive. */
export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocks), Buffer.alloc(2 * block)]);
}

function blocks(entry: TarEntry): Buffer[] {
  const body = entry.kind === 'file' ? Buffer.from(entry.content ?? '') : Buffer.alloc(0);
  const header = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  header.write(entry.path.replace(/^\//, ''), 0, 100, 'utf8');
  octal(entry.mode, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.uid ?? 0, 116, 8);
  octal(body.length, 124, 12);
  octal(Math.floor(Date.now() / 1000), 136, 12);
  header.write({ file: '0', link: '2', folder: '5' }[entry.kind], 156);
  if (entry.kind === 'link') header.write(entry.content ?? '', 157, 100, 'utf8');
  header.write('ustar\u000000', 257);
  // The checksum is that of the header with blanks in the checksum's own place.
  header.fill(' ', 148, 156);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return [header, body, Buffer.alloc((block - (body.length % block)) % block)];
}
