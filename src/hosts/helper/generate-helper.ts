import type { HostLayout } from '../../config.ts';
import type { CommandEntry, SharedFunction } from '../commands/entry.ts';
import { table } from '../commands/table.ts';
import { jobs } from './helper-jobs.ts';
import { checks, fence } from './helper-runtime.ts';
import { quote } from './quote.ts';
import { type Parameter, type ResolvedEntry, resolveEntry } from './resolve.ts';

export interface HelperOptions {
  /** Home folder of the commands. Default `/root`; for a helper that runs without sudo, its user's own. */
  readonly home?: string;
  /** Default: the privilege table. Tests give their own. */
  readonly entries?: Readonly<Record<string, CommandEntry>>;
}

/** The entries that the helper knows, with the layout put in, in the table's order. */
export function helperEntries(
  layout: HostLayout,
  entries: Readonly<Record<string, CommandEntry>> = table,
): readonly ResolvedEntry[] {
  return Object.entries(entries)
    .filter(([, entry]) => entry.as === 'root')
    .map(([name, entry]) => resolveEntry(name, entry, layout));
}

/**
 * The host helper: the one program that the service runs as root on a host. A POSIX shell script; the environment is
 * emptied before the shell starts. Install it owned by root, mode 0755, at `layout.helper`.
 */
export function generateHelper(layout: HostLayout, options: HelperOptions = {}): string {
  const entries = helperEntries(layout, options.entries);
  return [
    `#!/usr/bin/env -iS PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=${homeWord(options.home)} /bin/sh`,
    banner,
    '\nset -efu\numask 077\ncd /\nunset OLDPWD\nexec </dev/null\n',
    "# This host's layout.",
    `readonly _self=${quote(layout.helper)}`,
    ...Object.entries(layout).map(([name, value]) => `readonly ${name}=${quote(asWords(value))}`),
    ...decisions(entries),
    fence.trimEnd(),
    jobs.trimEnd(),
    '\n# 5. The commands, each with its checked arguments as $1, $2 …\n',
    ...sharedOf(entries).flatMap(shellFunction),
    ...entries.flatMap((entry) => shellFunction(commandFunction(entry))),
    main.trim(),
    '',
  ].join('\n');
}

/** The argument checks alone, for tests that try very many vectors: the same text as in the helper. */
export function generateChecker(layout: HostLayout, options: HelperOptions = {}): string {
  return decisions(helperEntries(layout, options.entries)).join('\n');
}

function decisions(entries: readonly ResolvedEntry[]): string[] {
  return [checks.trimEnd(), checkTable(entries), decide.trimEnd()];
}

const banner = `# proxmox-mcp-helper: the one program that Proxmox MCP runs as root on this host. It executes the commands below and
# nothing else; docs/privileges.md lists them. Made by \`npm run generate\` from src/hosts/commands: don't edit.
#
#   helper VERB ARGUMENTS            a command that only looks
#   helper VERB TOKEN ARGUMENTS      one that changes something; TOKEN is the fencing token of the host's lease
#   helper job-start ID RUN VERB …   the same as a job of a run, which outlives the connection; executed once per ID
#   helper job-status ID OUT ERR     its state, and its output from these offsets (base64)
#   helper job-cancel ID [TOKEN] | job-list | job-clean DAYS
#
# Its own exit codes, each with a line on standard error: 64 refused, 70 failed, 75 fenced out, 76 busy.
#
# To read it: the last part, 6, is where it begins. Before anything is done, all arguments pass \`decide\` (2), whose
# \`check\` is the table of all verbs; it rests on the checks of part 1. What changes something passes the fence (3). What
# may last is a job (4). Part 5 is what the verbs do: one function each.`;

const decide = `
# decide VERB ARGUMENTS: refuses everything that isn't to be. Only after it is anything done.
decide() {
  [ "$#" -ge 1 ] || refuse 'expected a verb'
  _verb=$1; shift
  case $_verb in
    job-start)
      [ "$#" -ge 3 ] || refuse 'job-start takes an id, a run and a verb'
      job_id "$1"; is run 200 '-|[A-Za-z0-9][A-Za-z0-9/_.:-]*' "$2"; shift 2; check job "$@"
      ;;
    job-status) takes 3 "$@"; job_id "$1"; number offset 12 "$2"; number offset 12 "$3" ;;
    job-cancel) if [ "$#" = 2 ]; then token "$2"; else takes 1 "$@"; fi; job_id "$1" ;;
    job-list) takes 0 "$@" ;;
    job-clean) takes 1 "$@"; number days 3 "$1" ;;
    *) check now "$_verb" "$@" ;;
  esac
}
`;

const main = `
# 6. Where it begins.

# execute VERB ARGUMENTS: only after check, which has set _do.
execute() {
  shift
  [ "$_risk" = read ] || shift
  "$_do" "$@"
}

case \${1-} in
  # Only for the helper itself: what is done at once is done by a second helper, so that timeout can end it, and a job
  # by what systemd or setsid starts. Each decides everything again.
  now)
    shift; [ "$#" -ge 1 ] || refuse 'expected a verb'
    check now "$@"
    [ "$_risk" = read ] || fence "$_token" || exit "$?"
    execute "$@"
    ;;
  job-run) shift; decide job-start "$@"; job_run "$@" ;;
  *)
    decide "$@"
    case $1 in
      job-start) shift; job_start "$@" ;;
      job-status) shift; job_status "$@" ;;
      job-cancel) shift; job_cancel "$@" ;;
      job-list) each_job list_job ;;
      job-clean) shift; job_clean "$@" ;;
      *) exec timeout -k 5 "$_seconds" "$_self" now "$@" ;;
    esac
    ;;
esac
`;

function checkTable(entries: readonly ResolvedEntry[]): string {
  const forms = repeatedForms(entries);
  return [
    '\n# 2. What may be asked for.\n',
    ...[...forms].map(([pattern, name]) => `readonly ${name}=${quote(pattern)}`),
    '\n# check now|job VERB ARGUMENTS: refuses everything that is not one of these.',
    'check() {',
    '  _mode=$1 _verb=$2; shift 2',
    '  case $_verb in',
    ...entries.map((entry) => `    ${entry.verb}) ${checkLine(entry, forms)} ;;`),
    "    *) refuse 'unknown verb' ;;",
    '  esac',
    '  [ "$_mode" = "$_when" ] || refuse "$_verb is not to be used like this: a job is started by job-start"',
    '}',
  ].join('\n');
}

function checkLine({ verb, entry, parameters }: ResolvedEntry, forms: ReadonlyMap<string, string>): string {
  const isRead = entry.risk === 'read';
  const seconds = Math.ceil(entry.timeoutMs / 1000);
  return [
    `kind ${isRead ? 'read' : 'change'} ${entry.job ? 'job' : 'now'} ${seconds} ${functionOf(verb)}`,
    ...(isRead ? [] : [`token "$@"; shift`]),
    `takes ${parameters.length} "$@"`,
    ...parameters.map((parameter, index) => checkOf(parameter, `"$${index + 1}"`, forms)),
  ].join('; ');
}

function checkOf(
  { name, pattern, maxLength, choices }: Parameter,
  value: string,
  forms: ReadonlyMap<string, string>,
): string {
  if (choices) return `among ${quote(name)} ${value} ${choices.map(quote).join(' ')}`.trimEnd();
  const form = forms.get(pattern);
  return `is ${quote(name)} ${maxLength} ${form === undefined ? quote(pattern) : `"$${form}"`} ${value}`;
}

/** The patterns that more than one command needs, each under the name of the placeholder that it is first needed for. */
function repeatedForms(entries: readonly ResolvedEntry[]): ReadonlyMap<string, string> {
  const first = new Map<string, string>();
  const repeated = new Map<string, string>();
  for (const { name, pattern, choices } of entries.flatMap(({ parameters }) => parameters)) {
    if (choices) continue;
    const known = first.get(pattern);
    if (known === undefined) first.set(pattern, `_form_${name.replaceAll(/[^A-Za-z0-9]/g, '_')}`);
    else repeated.set(pattern, known);
  }
  return repeated;
}

/** A function as the helper has it, in lines. */
export function shellFunction({ name, about, body }: SharedFunction): string[] {
  const lines = body.trim().split('\n');
  if (lines.length === 1) return [`# ${about}`, `${name}() { ${body.trim()}; }\n`];
  return [`# ${about}`, `${name}() {`, ...lines.map((line) => (line === '' ? '' : `  ${line}`)), '}\n'];
}

function commandFunction({ verb, entry, vector = [] }: ResolvedEntry): SharedFunction {
  const words = vector.map((pieces) =>
    pieces.map((piece) => ('text' in piece ? quote(piece.text) : `"$${piece.parameter + 1}"`)).join(''),
  );
  const script = entry.as === 'root' ? entry.script : undefined;
  return { name: functionOf(verb), about: entry.summary, body: script?.body ?? `exec ${words.join(' ')}` };
}

/** What the scripts of several commands share, once. */
export function sharedOf(entries: readonly ResolvedEntry[]): readonly SharedFunction[] {
  return [...new Set(entries.flatMap(({ entry }) => (entry.as === 'root' ? (entry.script?.uses ?? []) : [])))];
}

function functionOf(verb: string): string {
  return `do_${verb.replaceAll('-', '_')}`;
}

function asWords(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : value.join(' ');
}

/** `env -S` knows its own quoting; a home folder that needs it is left out, so that no rule of it matters. */
function homeWord(home = '/root'): string {
  return /^\/[A-Za-z0-9_/.@+-]*$/.test(home) ? home : '/nonexistent';
}
