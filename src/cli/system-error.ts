import { ServiceError } from '../errors.ts';

/** What the codes of the file system mean, and what a person can do about each. */
const meanings: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  EACCES: [
    'this user may not',
    'Run it as the user that the service runs as, or give that user the file and its folder',
  ],
  EPERM: [
    'this user may not',
    'Run it as the user that the service runs as, or give that user the file and its folder',
  ],
  EROFS: ['its file system is read-only', 'Mount it for writing, or choose another folder (DATA_DIR)'],
  ENOSPC: ['its disk is full', 'Make room there, or choose another folder (DATA_DIR)'],
  EDQUOT: ['the disk quota is used up', 'Make room there, or choose another folder (DATA_DIR)'],
  ENOENT: ["it isn't there", 'Make it, or name another one'],
  ENOTDIR: ['a file is where a folder has to be', 'Remove that file, or choose another folder (DATA_DIR)'],
  EEXIST: ['a file is where a folder has to be', 'Remove that file, or choose another folder (DATA_DIR)'],
  EISDIR: ['it is a folder', 'Remove that folder, or name a file'],
};

/** What the file system refused, in words for a person; `undefined` for every other error. */
export function fromFileSystem(error: unknown): ServiceError | undefined {
  if (!(error instanceof Error) || !('code' in error && 'path' in error && 'syscall' in error)) return undefined;
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  const meaning = meanings[code ?? ''];
  if (meaning === undefined) return undefined;
  const [why, remedy] = meaning;
  return new ServiceError({
    code: code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'unreadable',
    message: `${path} can't be used (${syscall}: ${code}): ${why}`,
    remedy,
    cause: error,
  });
}
