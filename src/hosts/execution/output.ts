import { StringDecoder } from 'node:string_decoder';

/** Default of {@link ExecOptions.maxOutputBytes}. */
export const defaultMaxOutputBytes = 64 * 1024;

export interface Output {
  /** Keeps what fits, counts all. */
  add(chunk: Buffer): void;
  /** Counts bytes that went elsewhere. They don't make the output truncated. */
  count(length: number): void;
  readonly bytes: number;
  readonly truncated: boolean;
  /** The kept bytes as UTF-8: bytes that aren't become U+FFFD, a character cut in two by the bound is left out. */
  text(): string;
}

/**
 * The bounded start of a stream. Copies into one growing buffer: keeping the chunks themselves would keep alive the
 * network buffers they are cut from.
 */
export function collectOutput(maxBytes: number = defaultMaxOutputBytes): Output {
  let kept = Buffer.alloc(0);
  let length = 0;
  let bytes = 0;
  let elsewhere = 0;
  return {
    count(bytes) {
      elsewhere += bytes;
    },
    add(chunk) {
      bytes += chunk.length;
      const wanted = Math.min(maxBytes, length + chunk.length);
      if (wanted > kept.length) {
        const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(wanted, kept.length * 2, 1024)));
        kept.copy(larger, 0, 0, length);
        kept = larger;
      }
      chunk.copy(kept, length, 0, wanted - length);
      length = wanted;
    },
    get bytes() {
      return bytes + elsewhere;
    },
    get truncated() {
      return bytes > length;
    },
    text() {
      const decoder = new StringDecoder('utf8');
      const text = decoder.write(kept.subarray(0, length));
      return bytes > length ? text : text + decoder.end();
    },
  };
}
