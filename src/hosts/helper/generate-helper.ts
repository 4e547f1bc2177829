import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { HostLayout } from '../../config.ts';
import { type AdministratorCommand, type Command, type RootCommand, vmid } from '../commands/command.ts';
import { table } from '../commands/table.generated.ts';
import { quote } from './quote.ts';
import { namesRun, type ResolvedCommand, type ResolvedParameter, resolveCommand } from './resolve.ts';

export interface HelperOptions {
  /** Home folder of the commands. Default `/root`; for a helper that runs without sudo, its user's own. */
  readonly home?: string;
  /** Default: the table of commands. Tests give their own. */
  readonly commands?: readonly Command[];
}

/** The commands that the helper knows, with the layout put in, in the table's order. */
export function helperCommands(layout: HostLayout, commands: readonly Command[] = table): readonly ResolvedCommand[] {
  return commands.filter(({ as }) => as === 'root').map((command) => resolveCommand(command, layout));
}

/**
 * The host helper: the one program that the service runs as root on a host. A POSIX shell script, put together from the
 * files beside this one and those of the commands; the environment is emptied before the shell starts. Install it owned
 * by root, mode 0755, at `layout.helper`.
 */
export function generateHelper(layout: HostLayout, options: HelperOptions = {}): string {
  const body = bodyOf(layout, options);
  const version = createHash('sha256').update(body).digest('hex').slice(0, 16);
  const shebang = `#!/usr/bin/env -iS PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=${homeWord(options.home)} /bin/sh`;
  return `${shebang}\n${body.replace(unversioned, versionLine(version))}`;
}

/** In place of the version while the text is made that the version is a digest of. */
const unversioned = versionLine('');

function versionLine(version: string): string {
  return `  readonly _version=${version}`;
}

/** The lines with which a helper says what it was made for; see `state.ts`. */
export function statedLines(helper: string): string {
  return helper.slice(helper.indexOf("# This host's layout."), helper.indexOf('# 1. What is refused.'));
}

function bodyOf(layout: HostLayout, options: HelperOptions): string {
  const commands = helperCommands(layout, options.commands);
  return [
    ourPart('header'),
    ...variablesOf(layout, [unversioned]),
    `readonly _self=${quote(layout.helper)}\n`,
    ...decisions(commands),
    ourPart('fence'),
    ourPart('permit'),
    ourPart('vouch'),
    ourPart('jobs'),
    '# 6. The commands, each with its checked arguments as $1, $2 …\n',
    ...sharedFunctions(commands),
    ...commands.flatMap(commandFunction),
    ourPart('main'),
  ].join('\n');
}

/** A command that can be brought to a host: it needs neither a lock nor a job. */
export type BroughtCommand = (RootCommand | AdministratorCommand) & {
  readonly job: false;
  readonly lock?: never;
  readonly script: URL;
};

/**
 * One command as a script of its own, for `sh -s -- VERB ARGUMENTS`: what an administrator executes as root without
 * leaving it on the host. The same parts as in the helper.
 */
export function generateBrought(layout: HostLayout, command: BroughtCommand): string {
  const commands = [resolveCommand(command, layout)];
  return [
    '# shellcheck shell=sh disable=SC2317 # Parts of the helper, of which one command needs a few.',
    ...variablesOf(layout),
    ...decisions(commands),
    ourPart('fence'),
    ourPart('vouch'),
    ...sharedFunctions(commands),
    ...commands.flatMap(commandFunction),
    ourPart('brought'),
  ].join('\n');
}

/** The argument checks alone, for tests that try very many vectors: the same text as in the helper. */
export function generateChecker(layout: HostLayout, options: HelperOptions = {}): string {
  return decisions(helperCommands(layout, options.commands)).join('\n');
}

/** What the scripts of these commands call, once, as the helper has it. */
export function sharedFunctions(commands: readonly ResolvedCommand[]): readonly string[] {
  const files = commands.flatMap(({ command }) => (command.script === undefined ? [] : (command.uses ?? [])));
  return [...new Map(files.map((file) => [file.href, file])).values()].map(readShell);
}

/** A file of shell without its first lines for shellcheck, which are about the file alone. */
export function readShell(file: URL): string {
  return readFileSync(file, 'utf8').replace(/^(# shellcheck [^\n]*\n)+/, '');
}

function variablesOf(layout: HostLayout, more: readonly string[] = []): string[] {
  return [
    "# This host's layout.",
    '# shellcheck disable=SC2034 # For whichever command needs it.',
    '{',
    ...Object.entries(layout).map(([name, value]) => `  readonly ${name}=${quote(asWords(value))}`),
    ...more,
    '}',
  ];
}

function ourPart(name: 'header' | 'checks' | 'fence' | 'permit' | 'vouch' | 'jobs' | 'main' | 'brought'): string {
  const file = new URL(`./${name}.sh`, import.meta.url);
  return name === 'header' ? readFileSync(file, 'utf8') : readShell(file);
}

function decisions(commands: readonly ResolvedCommand[]): string[] {
  return [ourPart('checks'), checkTable(commands)];
}

function checkTable(commands: readonly ResolvedCommand[]): string {
  return [
    '# 2. What may be asked for.\n',
    '# The forms of values.',
    ...formsOf(commands).map(([name, pattern]) => `readonly ${formName(name)}=${quote(pattern)}`),
    '\n# check now|job VERB ARGUMENTS: refuses everything that is not one of these.',
    'check() {',
    '  _mode=$1 _verb=$2; shift 2',
    '  case $_verb in',
    ...commands.map((command) => `    ${command.command.name}) ${checkLine(command)} ;;`),
    "    *) refuse 'unknown verb' ;;",
    '  esac',
    '  [ "$_mode" = "$_when" ] || refuse "$_verb is not to be used like this: a job is started by job-start"',
    '}\n',
  ].join('\n');
}

const takeFences = { none: [], host: ['fence "$@"; shift'], guest: ['fence "$@"; shift', 'guest_fence "$@"; shift'] };

function checkLine({ command, parameters }: ResolvedCommand): string {
  const lock = command.lock ?? 'none';
  const seconds = Math.ceil(command.timeoutMs / 1000);
  return [
    ['kind', lock, command.job ? 'job' : 'now', seconds, functionOf(command), ...traitsOf(command)].join(' '),
    ...takeFences[lock],
    ...(namesRun(command) ? ['run_of "$@"; shift; _skip=$((_skip + 1))'] : []),
    `takes ${parameters.length} "$@"`,
    ...parameters.map((parameter, index) => checkOf(parameter, `"$${index + 1}"`)),
    ...(lock === 'guest' ? ['_vmid=$1'] : []),
  ].join('; ');
}

/** What the helper has to know of a command beside who may ask for it. */
function traitsOf(command: Command): readonly string[] {
  if (command.as !== 'root') return [command.risk];
  const { own, undo, becomesRoot, readsInput, risk } = command;
  const isSigned = becomesRoot !== 'no' && becomesRoot.unless === 'signed';
  return [
    own ? 'own' : risk,
    ...(undo ? ['undo'] : []),
    ...(isSigned ? ['signed'] : []),
    ...(readsInput ? ['input'] : []),
  ];
}

function checkOf({ name, maxLength, choices }: ResolvedParameter, value: string): string {
  if (choices) return `among ${quote(name)} ${value} ${choices.map(quote).join(' ')}`.trimEnd();
  return `is ${quote(name)} ${maxLength} "$${formName(name)}" ${value}`;
}

/**
 * The pattern of each parameter that isn't a choice, and of those that scripts use, by name. Two patterns of one name would
 * let the later one decide for both commands.
 */
function formsOf(commands: readonly ResolvedCommand[]): readonly (readonly [name: string, pattern: string])[] {
  const used = commands.flatMap(({ command }) => (command.script === undefined ? [] : (command.forms ?? [])));
  const checked = commands.flatMap(({ parameters }) => parameters.filter(({ choices }) => choices === undefined));
  const forms = new Map<string, string>();
  for (const { name, pattern } of [vmid, ...used, ...checked]) {
    if ((forms.get(name) ?? pattern) !== pattern) throw new Error(`two commands have other forms of "${name}"`);
    forms.set(name, pattern);
  }
  return [...forms];
}

function formName(parameter: string): string {
  return `form_${parameter.replaceAll('-', '_')}`;
}

function commandFunction({ command, vector = [] }: ResolvedCommand): string[] {
  const words = vector.map((part) => ('text' in part ? quote(part.text) : `"$${part.parameter + 1}"`));
  const body = command.script === undefined ? `exec ${words.join(' ')}` : readShell(command.script).trimEnd();
  return [`# ${command.summary}`, `${functionOf(command)}() {`, body.replaceAll(/^(?=.)/gm, '  '), '}\n'];
}

function functionOf({ name }: Command): string {
  return `do_${name.replaceAll('-', '_')}`;
}

function asWords(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : value.join(' ');
}

/** `env -S` knows its own quoting; a home folder that needs it is left out, so that no rule of it matters. */
function homeWord(home = '/root'): string {
  return /^\/[A-Za-z0-9_/.@+-]*$/.test(home) ? home : '/nonexistent';
}
