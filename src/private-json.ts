import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { ServiceError } from './errors.ts';
import { withFileLock } from './file-lock.ts';
import { replacePrivateFile } from './private-file.ts';

/**
 * A JSON file of mode 0600 that several processes of this machine read and change. Where its folder has mode 2750, its
 * group may read it, too (0640): so a process that runs as another user can read what it can't change.
 */
export interface PrivateJson<Content> {
  /**
   * The content; the empty one when there is no file. Costs one stat as long as the file is the same, and is then the same
   * object. Throws `configuration` or `unreadable` when the file can't be trusted.
   */
  read(): Content;
  /** Replaces the content by what `work` makes of it, alone among all processes, and hands on the result. */
  change<Result>(work: (content: Content) => { readonly content: Content; readonly result: Result }): Promise<Result>;
}

export interface PrivateJsonOptions<Content> {
  readonly path: string;
  readonly schema: z.ZodType<Content>;
  readonly empty: Content;
  /** For errors: "so that its tokens can't be trusted"; "it isn't a file of tokens". */
  readonly of: string;
  /** What a damaged file leads to: "no token is accepted". */
  readonly consequence: string;
  /** What to do instead of restoring it: "make new tokens with …". */
  readonly anew: string;
}

export function createPrivateJson<Content>(options: PrivateJsonOptions<Content>): PrivateJson<Content> {
  const { path, empty } = options;
  let loaded = { stamp: absent, content: empty };

  function current(): Content {
    const stamp = stampOf(path);
    if (stamp !== loaded.stamp) loaded = { stamp, content: stamp === absent ? empty : load(options) };
    return loaded.content;
  }

  return {
    read: current,
    async change(work) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      return withFileLock(path, () => {
        const before = current();
        const { content, result } = work(before);
        if (content === before) return result;
        replacePrivateFile(path, `${JSON.stringify(content, null, 2)}\n`, undefined, sharedMode(path));
        return result;
      });
    },
  };
}

/** Of a file in a folder that a group shares; undefined: it is its owner's alone. */
export function sharedMode(path: string): 0o640 | undefined {
  return groupOf(dirname(path)) === undefined ? undefined : 0o640;
}

const absent = 'absent';

/** Every replacement is a new inode, so that even two within one tick of the clock are told apart. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? absent : `${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size} ${stat.mode}`;
}

function load<Content>({ path, schema, of, consequence, anew }: PrivateJsonOptions<Content>): Content {
  const { mode = 0, gid } = statSync(path, { throwIfNoEntry: false }) ?? {};
  const isShared = gid !== undefined && groupOf(dirname(path)) === gid;
  if ((mode & (isShared ? 0o037 : 0o077)) !== 0) {
    throw new ServiceError({
      code: 'configuration',
      message: `${path} may be read or written by other users, so that its ${of} can't be trusted`,
      remedy: `If nobody else has been on this machine run: chmod 600 ${path}. Else remove the file and ${anew}.`,
    });
  }
  const parsed = schema.safeParse(parseJson(path));
  if (parsed.success) return parsed.data;
  throw new ServiceError({
    code: 'unreadable',
    message: `${path} is damaged: it isn't a file of ${of}. It was left as it is, and ${consequence}`,
    remedy: `Restore it from a backup, or move it away and ${anew}.`,
  });
}

/** The group that a folder is opened to, to read: what is made in it belongs to that one (setgid). */
function groupOf(folder: string): number | undefined {
  const { mode, gid } = statSync(folder);
  return (mode & 0o7777) === 0o2750 ? gid : undefined;
}

function parseJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${path} can't be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`,
      remedy: 'Run the service as the user that owns the data folder.',
      cause: error,
    });
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
