import { ServiceError } from '../../errors.ts';
import type { Argv, CommandResult, ExecOptions, Executor } from '../execution/executor.ts';
import { shellScript } from '../execution/script.ts';

/** What a copy needs of a host, in `transfer.sh`: `transferScript('stat', path)`. */
export const transferScript: (what: TransferStep, ...args: readonly string[]) => Argv = shellScript(
  new URL('./transfer.sh', import.meta.url),
);

type TransferStep = 'stat' | 'read' | 'read-all' | 'digest' | 'digest-all' | 'prepare' | 'write' | 'finish';

/** The exit status of `finish` when the digest is another one. Its output is the digest. */
export const otherDigest = 66;

/** Runs one of these; another exit status than 0 (or those listed) is thrown as what the host said. */
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
