import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { runProgram } from './programs.ts';
import type { Copy, CopyOptions } from './store.ts';

// Further places for encrypted copies, by programs that sign in with files of their own.

/**
 * Brings a copy to a further place, and reads it back from there: only what has the digest that was recorded when it was written
 * lies there, too. May be done again at any time. Throws `command-failed` with the program's last words, `verification-failed`.
 *
 * @param place - `rclone:REMOTE:PATH` or `restic:REPOSITORY`
 */
export async function bringTo(place: string, copy: Copy, options: CopyOptions = {}): Promise<void> {
  const { send, read } = callsOf(place, copy);
  await runProgram(send, options.signal);
  const hash = createHash('sha256');
  await runProgram(read, options.signal, (chunk) => {
    hash.update(chunk);
    options.onBytes?.(chunk.length);
  });
  if (hash.digest('hex') === copy.sha256) return;
  throw new ServiceError({
    code: 'verification-failed',
    message: `What lies in ${place} is not the copy of ${copy.backup} of ${copy.host} that was brought there`,
    remedy: 'Look at that place; the next run brings it again.',
    details: { host: copy.host },
  });
}

/**
 * How many bytes a further place has of each of these copies of a host, as that place says; those that it doesn't have are left out.
 * Nothing is read back. Throws `command-failed` with the program's last words, `unexpected-answer`.
 */
export async function sizesIn(
  place: string,
  copies: readonly Copy[],
  options: CopyOptions = {},
): Promise<ReadonlyMap<string, number>> {
  const { kind, where } = partsOf(place);
  const sizes = new Map<string, number>();
  const [first] = copies;
  if (first === undefined) return sizes;
  if (kind === 'rclone') {
    const folder = there(where, first.host);
    const listed = await answerOf(place, ['rclone', 'lsjson', '--files-only', '--', folder], files, options, noFolder);
    const found = new Map(listed?.map(({ Name, Size }) => [Name, Size]));
    for (const { backup } of copies) {
      const size = found.get(`${backup}.age`);
      if (size !== undefined) sizes.set(backup, size);
    }
    return sizes;
  }
  const restic = ['restic', '--quiet', '--repo', where] as const;
  const snapshots = await answerOf(
    place,
    [...restic, 'snapshots', '--json', '--host', first.host],
    snapshotList,
    options,
  );
  for (const { backup, path } of copies) {
    // The newest one counts, which is listed last.
    const newest = snapshots?.findLast(({ tags, paths }) => tags?.includes(backup) && paths.includes(path));
    if (newest === undefined) continue;
    const nodes = await answerOf(place, [...restic, 'ls', '--json', newest.id, path], nodeLines, options);
    const size = nodes?.find((node) => node.path === path)?.size;
    if (size !== undefined) sizes.set(backup, size);
  }
  return sizes;
}

/** How rclone ends where there is no such folder, by its own list of exit codes. */
const noFolder = 3;

const json = (text: string, context: z.RefinementCtx): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue('is no JSON');
    return z.NEVER;
  }
};
const parsed = z.string().transform(json);
const files = parsed.pipe(z.array(z.object({ Name: z.string(), Size: z.int() })));
const snapshotList = parsed.pipe(
  z
    .array(
      z.object({
        id: z.string().regex(/^[0-9a-f]{64}$/),
        tags: z.array(z.string()).nullish(),
        paths: z.array(z.string()),
      }),
    )
    .nullable()
    .transform((list) => list ?? []),
);
/** A line for the snapshot, and one for each of its files. */
const nodeLines = z
  .string()
  .transform((text) => text.split('\n').filter((line) => line !== ''))
  .pipe(z.array(parsed.pipe(z.object({ path: z.string().optional(), size: z.int().optional() }))));

/** What a program answers; undefined where it ends as it does when there is nothing. */
async function answerOf<T>(
  place: string,
  call: Call,
  schema: z.ZodType<T>,
  { signal }: CopyOptions,
  nothing = 0,
): Promise<T | undefined> {
  const said: Buffer[] = [];
  const code = await runProgram(call, signal, (chunk) => void said.push(chunk), [0, nothing]);
  if (code !== 0) return undefined;
  const answer = schema.safeParse(Buffer.concat(said).toString('utf8'));
  if (answer.success) return answer.data;
  throw new ServiceError({
    code: 'unexpected-answer',
    message: `What ${call[0]} says that ${place} holds is not understood`,
    remedy: `Try it on the machine of the worker, as its user; it may be a version of ${call[0]} that answers otherwise.`,
  });
}

type Call = readonly [program: 'rclone' | 'restic', ...args: string[]];

function callsOf(place: string, { host, backup, path }: Copy): { readonly send: Call; readonly read: Call } {
  const { kind, where } = partsOf(place);
  if (kind === 'rclone') {
    const file = `${there(where, host)}/${backup}.age`;
    // Else what has the same size and time there is taken for the same, and one that was found damaged stays so.
    return { send: ['rclone', 'copyto', '--ignore-times', '--', path, file], read: ['rclone', 'cat', '--', file] };
  }
  // Of a copy that was made anew the newest snapshot counts.
  const of = ['--host', host, '--tag', backup] as const;
  return {
    send: ['restic', '--quiet', '--repo', where, 'backup', ...of, '--', path],
    read: ['restic', '--quiet', '--repo', where, 'dump', ...of, '--', 'latest', path],
  };
}

function partsOf(place: string): { readonly kind: string; readonly where: string } {
  const kind = place.slice(0, place.indexOf(':'));
  return { kind, where: place.slice(kind.length + 1) };
}

/** A host's folder in a place of rclone. */
function there(where: string, host: string): string {
  return `${where}${/[:/]$/.test(where) ? '' : '/'}${host}`;
}
