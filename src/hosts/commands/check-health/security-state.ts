import { z } from 'zod';
import { count, keyValues, many, one, optional } from '../answer.ts';
import { defineCommand } from '../command.ts';

/** A file as it is; a link is not followed. Of one that isn't there, or can't be looked at: what `stat` said. */
export type FileState =
  | {
      readonly kind: 'there';
      readonly mode: number;
      readonly uid: number;
      readonly owner: string;
      /** As `stat` says it: `regular file`, `symbolic link`. */
      readonly type: string;
    }
  | { readonly kind: 'absent' | 'unknown'; readonly words: string };

/** `is 600 0 root regular file`, with the type's words last; or `no` and why. */
const file = z
  .string()
  .regex(/^(is [0-7]{1,4} \d{1,10} \S+ .+|no .+)$/)
  .transform((text): FileState => {
    const [, mode, uid, owner = '', type = ''] = /^is ([0-7]+) (\d+) (\S+) (.+)$/.exec(text) ?? [];
    if (mode !== undefined) return { kind: 'there', mode: Number.parseInt(mode, 8), uid: Number(uid), owner, type };
    const words = text.slice('no '.length);
    return { kind: words.endsWith('No such file or directory') ? 'absent' : 'unknown', words };
  });

export const securityState = defineCommand({
  name: 'security-state',
  summary: "The sudoers file's syntax, and mode and owner of it and of the SSH key",
  doing: 'Looking at the security files',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./security-state.sh', import.meta.url),
  timeoutMs: 10_000,
  answer: keyValues({
    uid: one(count),
    sudoers: one(file),
    key: one(file),
    'key-lines': optional(count),
    visudo: optional(z.union([count, z.literal('absent')])),
    'visudo-said': many(z.string()),
  }).transform((state) => ({
    /** Who looked: 0, or the service's own user where it has no root. */
    uid: state.uid,
    sudoers: state.sudoers,
    key: state.key,
    /** The first and last lines of private keys in the key's file; undefined where it can't be read. */
    keyLines: state['key-lines'],
    /** What visudo says of the sudoers file, its exit code included; undefined where there is no visudo, or no file. */
    syntax:
      typeof state.visudo === 'number' ? { code: state.visudo, words: state['visudo-said'].join('\n') } : undefined,
  })),
});

/** Of {@link securityState}. */
export type Syntax = NonNullable<z.output<typeof securityState.answer>['syntax']>;
