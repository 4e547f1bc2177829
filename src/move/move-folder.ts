import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { replacePrivateFile } from '../private-file.ts';

/** The part of an exported folder that is one store's. Of a dry run it takes everything, and keeps nothing. */
export interface MoveFolder {
  readonly path: string;
  has(name: string): boolean;
  names(): readonly string[];
  write(name: string, content: unknown): void;
  /** Copies a file in, mode 0600; whole or not at all. */
  take(file: string, name: string): void;
  /** Throws `unreadable`. */
  read<Content>(name: string, schema: z.ZodType<Content>): Content;
}

export function openMoveFolder(path: string, { dryRun }: { readonly dryRun: boolean }): MoveFolder {
  const at = (name: string) => join(path, name);
  return {
    path,
    has: (name) => existsSync(at(name)),
    names: () => (existsSync(path) ? readdirSync(path).filter((name) => !name.endsWith('.tmp')) : []),
    write(name, content) {
      if (!dryRun) replacePrivateFile(at(name), `${JSON.stringify(content)}\n`);
    },
    take(file, name) {
      if (dryRun) return;
      makePrivateFolder(path);
      copyPrivate(file, at(name));
    },
    read(name, schema) {
      const parsed = schema.safeParse(parse(at(name)));
      if (parsed.success) return parsed.data;
      throw new ServiceError({
        code: 'unreadable',
        message: `${at(name)} is not what move export writes`,
        remedy: 'Export anew, with the same version of the service on both sides, and copy the whole folder.',
      });
    },
  };
}

/** Under another name first, so that a copy that is cut off is none. */
export function copyPrivate(from: string, to: string): void {
  const draft = `${to}.tmp`;
  copyFileSync(from, draft);
  chmodSync(draft, 0o600);
  own(draft);
  renameSync(draft, to);
}

/** Root brings it, and the service reads it as a user of its own: it is whose the folder is that it is put into. */
function own(path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  chownSync(path, uid, gid);
}

/** A folder of mode 0700, unless it is there. */
export function makePrivateFolder(path: string): void {
  if (existsSync(path)) return;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  own(path);
}

/** Nobody else may read what is in it, nor have put it there. Throws `configuration`. */
export function requirePrivate(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || (stat.mode & 0o077) === 0) return;
  throw new ServiceError({
    code: 'configuration',
    message: `${path} may be read or written by other users, and what is in it lets people in`,
    remedy: `If nobody else has been on this machine run: chmod 700 ${path}`,
  });
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
