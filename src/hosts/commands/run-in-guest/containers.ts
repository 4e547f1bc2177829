import { z } from 'zod';
import { count, flag, keyValues, many, one } from '../answer.ts';
import { defineCommand, type ExitMeaning, type PatternParameter, vmid } from '../command.ts';
import { stop } from '../shared/functions.ts';

// There is no API for commands in a container: the node itself executes them there (pct exec), in unprivileged ones only.

const functions = new URL('./functions.sh', import.meta.url);

const limit = {
  name: 'limit',
  pattern: '([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)',
  maxLength: 4,
  examples: ['1', '60', '3600'],
  description: 'Seconds that a command has, 1 to 3600',
} as const satisfies PatternParameter;

const words = {
  name: 'words',
  // sudo repeats at most 255 times; and it builds repetitions out, so that much more of it makes every call slow.
  pattern: 'w([A-Za-z0-9._-]{1,100}){1,7}',
  maxLength: 701,
  examples: ['w.bHM', 'w.bHM.LWw', 'w.ZWNobw.'],
  description: "The command's words, each in base64url behind a point",
} as const satisfies PatternParameter;

const exits = {
  10: {
    code: 'forbidden',
    remedy:
      'Commands are run in unprivileged containers only: in a privileged one an administrator runs it on the node (pct exec).',
  },
  11: { code: 'not-found', remedy: 'It may have moved to another node meanwhile: start it again, which looks for it.' },
  12: { code: 'conflict', remedy: 'Put that right on the host first.' },
  13: { code: 'conflict', remedy: 'Start it first (control-guest).' },
} as const satisfies Readonly<Record<number, ExitMeaning>>;

export const containerAllows = defineCommand({
  name: 'container-allows',
  summary: 'Whether commands may be run in a container: it runs, and it is unprivileged',
  doing: 'Looking at a container',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [vmid],
  script: new URL('./container-allows.sh', import.meta.url),
  uses: [stop, functions],
  timeoutMs: 15_000,
  answer: keyValues({ runs: one(count) }),
  exits,
});

const text = z.base64().transform((encoded) => Buffer.from(encoded, 'base64').toString('utf8'));

export const execInContainer = defineCommand({
  name: 'exec-in-container',
  summary: 'Run a command in an unprivileged container that runs, and keep the start of its output',
  doing: 'Running a command in a container',
  as: 'root',
  risk: 'dangerous',
  lock: 'guest',
  job: true,
  becomesRoot: 'no',
  parameters: [limit, words],
  script: new URL('./exec-in-container.sh', import.meta.url),
  uses: [stop, functions],
  timeoutMs: 3_700_000,
  maxOutputBytes: 128 * 1024,
  answer: keyValues({
    exit: one(count),
    late: flag,
    out: one(text),
    err: one(text),
    cut: many(z.enum(['out', 'err'])),
  }),
  exits,
});

/** What {@link execInContainer} takes at most, of what {@link wordsOf} makes: about 500 bytes of a command. */
export const longestWords = words.maxLength;

/** A command's words as {@link execInContainer} takes them. */
export function wordsOf(command: readonly string[]): string {
  return `w${command.map((word) => `.${Buffer.from(word).toString('base64url')}`).join('')}`;
}
