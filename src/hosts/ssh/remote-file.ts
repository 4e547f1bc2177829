import { ServiceError } from '../../errors.ts';
import type { Argv, CommandResult, ExecOptions, Executor } from '../execution/executor.ts';

/**
 * Constant shell programs for files on a host; what varies is passed as arguments. They need coreutils only; openssl
 * is used for SHA-256 where it is, because it knows the processor's own instructions: it is five times faster.
 */
const prelude = `set -eu; export LC_ALL=C PATH=/usr/bin:/bin; umask 077
digest() { if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi | cut -c1-64; }
`;

const scripts = {
  /** file → "size modified" */
  stat: `stat -L -c '%s %.9Y %F' -- "$1"`,
  /** file, offset, size → those bytes */
  read: 'exec dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none',
  /** file → its bytes */
  readAll: 'exec cat -- "$1"',
  /** file, length → digest of that many bytes from its start */
  digest: `same() { [ "$(stat -L -c %s -- "$1")" = "$2" ]; }
d=; if same "$1" "$2"; then d=$(digest < "$1"); fi
if ! same "$1" "$2"; then d=$(dd if="$1" bs=1M iflag=count_bytes count="$2" status=none | digest); fi; echo "$d"`,
  digestAll: 'digest < "$1"',
  /** partial → "size digest"; made when it isn't there */
  prepare: `if [ -e "$1" ] || [ -L "$1" ]; then
  if [ -L "$1" ] || [ ! -f "$1" ] || [ ! -O "$1" ]; then echo "$1 is not a file of this user" >&2; exit 65; fi
else set -C; : > "$1"; fi
n=$(stat -c %s -- "$1"); if [ "$n" -le "$2" ]; then digest < "$1"; else echo -; fi; echo "$n"`,
  /** partial, offset; standard input → the file from there on, cut off behind */
  write: 'exec dd of="$1" bs=1M iflag=fullblock oflag=seek_bytes,nofollow seek="$2" status=none',
  /** partial, target, mode, digest: the file gets its name if it is what it is to be */
  finish: `d=$(digest < "$1"); if [ "$d" != "$4" ]; then rm -f -- "$1"; echo "$d"; exit 66; fi
chmod -- "$3" "$1"; sync -- "$1"; mv -fT -- "$1" "$2"; sync -- "$(dirname -- "$2")"`,
  /** file: removed */
  remove: 'rm -f -- "$1"',
};

export type RemoteScript = keyof typeof scripts;

/** The exit status of `finish` when the digest is another one. Its output is the digest. */
export const otherDigest = 66;

export function remoteScript(script: RemoteScript, ...args: readonly string[]): Argv {
  return ['/bin/sh', '-c', prelude + scripts[script], 'sh', ...args];
}

/** Runs one of the programs; another exit status than 0 (or those listed) is thrown as what the host said. */
export async function runRemote(
  executor: Pick<Executor, 'exec'>,
  what: string,
  argv: Argv,
  options: ExecOptions,
  accepted: readonly number[] = [],
): Promise<CommandResult> {
  const result = await executor.exec(argv, options);
  if (result.exitCode === 0 || accepted.includes(result.exitCode)) return result;
  throw remoteFileError(what, result);
}

function remoteFileError(what: string, { exitCode, stderr }: CommandResult): ServiceError {
  const said = stderr.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
  const details = { exitCode };
  if (/No space left on device|Disk quota exceeded/.test(stderr)) {
    return new ServiceError({
      code: 'disk-full',
      message: `${what}: the disk of the host is full`,
      remedy: 'Free space on the host, then try again: what was copied so far is kept and continued.',
      retryable: true,
      details,
    });
  }
  if (/No such file or directory|Directory nonexistent/.test(stderr)) {
    return new ServiceError({
      code: 'not-found',
      message: `${what}: it isn't there, or its folder isn't (${said})`,
      remedy: 'Check the path on the host.',
      details,
    });
  }
  return new ServiceError({
    code: /Permission denied|not a file of this user/.test(stderr) ? 'unreadable' : 'command-failed',
    message: `${what} failed on the host (${said === '' ? `exit status ${exitCode}` : said})`,
    remedy: "Check the path and its permissions on the host for the service's user.",
    details,
  });
}
