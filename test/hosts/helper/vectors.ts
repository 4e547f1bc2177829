import type { HostLayout } from '../../../src/config.ts';
import type { Command } from '../../../src/hosts/commands/command.ts';
import { helperCommands } from '../../../src/hosts/helper/generate-helper.ts';
import { namesRun, type ResolvedCommand } from '../../../src/hosts/helper/resolve.ts';

/** How many fences a command takes. */
const fences = { none: 0, host: 1, guest: 2 };
const fencesOf = ({ lock = 'none' }: { readonly lock?: keyof typeof fences }) => fences[lock];

/** Vectors of the helper that must be allowed: every example of every parameter of every command, and the job verbs. */
export function legitimateVectors(layout: HostLayout, commands?: readonly Command[]): string[][] {
  const ofCommands = helperCommands(layout, commands).flatMap(({ command, parameters }) => {
    const rows = Math.max(1, ...parameters.map(({ examples }) => examples.length));
    return Array.from({ length: rows }, (_, row) => [
      ...(command.job ? ['job-start', `job-${row}-${command.name}`.slice(0, 100), runs[row % runs.length] ?? ''] : []),
      command.name,
      ...Array.from({ length: fencesOf(command) }, (_, index) => String(row + 1 + index)),
      ...(namesRun(command) ? [runs[row % runs.length] ?? ''] : []),
      ...parameters.map(({ examples }) => examples[row % examples.length] ?? ''),
    ]);
  });
  return [
    ...ofCommands,
    ['job-status', 'a', '0', '0'],
    ['job-status', 'a-1', '49152', '999999999999'],
    ['job-list'],
    ['job-cancel', 'a-1'],
    ['job-cancel', 'a-1', '1763863200000'],
    ['job-cancel', 'a-1', '1763863200000', '1763863200000', '100'],
    ['job-clean', '7'],
  ];
}

const runs = ['back-up/pve1/daily-2026-11-23T02:00:00Z', '-'];
const run = /^(-|[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199})$/;

/** The same vector with this fence, in the place of all that it takes. */
export function withFence(vector: readonly string[], fence: number, commands: readonly Command[]): string[] {
  const at = vector[0] === 'job-start' ? 3 : 0;
  const command = commands.find(({ name }) => name === vector[at]);
  const last = at + (command ? fencesOf(command) : 0);
  return vector.map((word, index) => (index > at && index <= last ? String(fence) : word));
}

const jobId = /^[a-z0-9][a-z0-9-]{0,99}$/;
const fence = /^[1-9][0-9]{0,14}$/;
const vmid = /^[1-9][0-9]{2,8}$/;
const offset = /^(0|[1-9][0-9]{0,11})$/;

/** Whether a vector is one of the helper's, worked out from the table alone, without shell or sudo. */
export function legitimacy(layout: HostLayout, commands?: readonly Command[]): (vector: readonly string[]) => boolean {
  const byVerb = new Map(helperCommands(layout, commands).map((command) => [command.command.name, command]));
  return ([verb = '', ...args]) => {
    const [first = '', second = '', third = ''] = args;
    if (verb === 'job-list') return args.length === 0;
    if (verb === 'job-cancel') {
      if (!jobId.test(first) || (args.length > 1 && !fence.test(second))) return false;
      const [, , , number = ''] = args;
      return args.length === 1 || args.length === 2 || (args.length === 4 && fence.test(third) && vmid.test(number));
    }
    if (verb === 'job-clean') return args.length === 1 && /^(0|[1-9][0-9]{0,2})$/.test(first);
    if (verb === 'job-status')
      return args.length === 3 && jobId.test(first) && offset.test(second) && offset.test(third);
    const isJob = verb === 'job-start';
    if (isJob && (args.length < 3 || !jobId.test(first) || !run.test(second))) return false;
    const known = byVerb.get(isJob ? third : verb);
    return known !== undefined && known.command.job === isJob && fits(known, isJob ? args.slice(3) : args);
  };
}

function fits({ command, parameters }: ResolvedCommand, args: readonly string[]): boolean {
  const taken = fencesOf(command);
  const values = args.slice(namesRun(command) ? taken + 1 : taken);
  if (args.length < taken || !args.slice(0, taken).every((number) => fence.test(number))) return false;
  if (namesRun(command) && !run.test(args[taken] ?? '')) return false;
  return (
    values.length === parameters.length &&
    parameters.every(({ pattern, maxLength, choices }, index) => {
      const value = values[index] ?? '';
      if (choices) return choices.includes(value);
      return value.length <= maxLength && new RegExp(`^(?:${pattern})$`).test(value);
    })
  );
}

/** A generator of numbers that gives the same ones for the same seed (mulberry32). */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const characters = [
  ...' \t\n\r\v\f\x01\x1b\x7f\u00a0\u2028\u200b',
  ...'/.-_~*?[]{}()<>|&;!$`\'"\\#%^=+,:@',
  ...'0189azAZ\u0660\uff11\u0430\u00e9\u0131\u212a\u017f\u0301',
];
const words = [
  ...[
    '',
    ' ',
    '-',
    '--',
    '-h',
    '--help',
    '-rf',
    '.',
    '..',
    '/',
    '/etc/shadow',
    '*',
    '$(id)',
    '`id`',
    '~',
    '\n',
    '\0'.slice(1),
  ],
  ...['0', '1', '100', '01', '-1', '1e3', 'x', 'true', 'job-run', 'now', 'execute', 'sh', 'root', 'a'.repeat(200)],
];

/** Bends a vector in one of many ways: characters, arguments, boundaries between them, other vectors' parts. */
export function mutate(
  vector: readonly string[],
  vectors: readonly string[][],
  next: (below: number) => number,
): string[] {
  const args = [...vector];
  const pick = <T>(list: readonly T[]): T => list[next(list.length)] as T;
  const at = next(args.length);
  const value = args[at] ?? '';
  const position = next(value.length + 1);
  switch (next(18)) {
    case 0:
      args.splice(at, 1);
      break;
    case 1:
      args.splice(next(args.length + 1), 0, pick(words));
      break;
    case 2:
      args.splice(at, 0, value);
      break;
    case 3:
      args.splice(at, 2, args.slice(at, at + 2).join(pick([' ', ' ', '\t', '\n', '', '  ', '\u00a0', ','])));
      break;
    case 4:
      args.splice(at, 1, value.slice(0, position), value.slice(position));
      break;
    case 5:
      args.splice(at, 1, pick(words));
      break;
    case 6:
      args.splice(at, 1, pick(pick(vectors)));
      break;
    case 7:
      args.reverse();
      break;
    case 8:
      args.push(...pick(vectors));
      break;
    case 9:
      args[at] = value.slice(0, position);
      break;
    case 10:
      args[at] = value + pick([value, ' ', '\n', '\t', '.', '-', '/', ...characters]);
      break;
    case 11:
      args[at] = pick([value.toUpperCase(), value.charAt(0).toUpperCase() + value.slice(1), value.normalize('NFD')]);
      break;
    case 12:
      args[at] = pick([
        `--${value}`,
        `-${value}`,
        `${value}=${value}`,
        `'${value}'`,
        `"${value}"`,
        `$(${value})`,
        `(${value})`,
      ]);
      break;
    case 13:
      args[at] = value.slice(0, position) + value.slice(position + 1);
      break;
    case 14:
      args[at] = [...value].reverse().join('');
      break;
    default:
      args[at] = value.slice(0, position) + pick(characters) + value.slice(position + next(2));
  }
  return next(4) === 0 ? mutate(args.length > 0 ? args : [''], vectors, next) : args;
}
