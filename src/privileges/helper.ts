import type { HostLayout } from '../config.ts';
import type { CommandEntry } from './entry.ts';
import { checks, fence, jobs } from './helper-runtime.ts';
import { type Parameter, type ResolvedEntry, resolveEntry } from './resolve.ts';
import { quote } from './shell.ts';
import { table } from './table.ts';

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
    checks.trimEnd(),
    fence.trimEnd(),
    jobs.trimEnd(),
    '',
    ...entries.flatMap(scriptFunction),
    checkTable(entries),
    executeTable(entries),
    scriptTable(entries),
    decide.trimEnd(),
    main.trim(),
    '',
  ].join('\n');
}

/** The argument checks alone, for tests that try very many vectors: the same text as in the helper. */
export function generateChecker(layout: HostLayout, options: HelperOptions = {}): string {
  return [checks.trimEnd(), checkTable(helperEntries(layout, options.entries)), decide].join('\n');
}

const banner = `# proxmox-mcp-helper: the one program that Proxmox MCP runs as root on this host. It executes the commands below and
# nothing else; docs/privileges.md lists them. Made by \`npm run generate\` from src/privileges: don't edit.
#
#   helper VERB ARGUMENTS            a command that only looks
#   helper VERB TOKEN ARGUMENTS      one that changes something; TOKEN is the fencing token of the host's lease
#   helper job-start ID VERB …       the same as a job, which outlives the connection; executed once per ID
#   helper job-status ID OUT ERR     its state, and its output from these offsets (base64)
#   helper job-cancel ID | job-list | job-clean DAYS
#
# Its own exit codes, each with a line on standard error: 64 refused, 70 failed, 75 fenced out, 76 busy.`;

const decide = `
# decide VERB ARGUMENTS: refuses everything that isn't to be. Only after it is anything done.
decide() {
  [ "$#" -ge 1 ] || refuse 'expected a verb'
  case $1 in
    job-start) [ "$#" -ge 3 ] || refuse 'job-start takes an id and a verb'; job_id "$2"; shift 2; check job "$@" ;;
    job-status) _verb=$1; shift; takes 3 "$@"; job_id "$1"; number offset 12 "$2"; number offset 12 "$3" ;;
    job-cancel) _verb=$1; shift; takes 1 "$@"; job_id "$1" ;;
    job-list) _verb=$1; shift; takes 0 "$@" ;;
    job-clean) _verb=$1; shift; takes 1 "$@"; number days 3 "$1" ;;
    *) check now "$@" ;;
  esac
}
job_id() {
  case $1 in '' | -* | *[!abcdefghijklmnopqrstuvwxyz0123456789-]*) refuse 'job id: expected a-z, 0-9 and -' ;; esac
  [ "\${#1}" -le 100 ] || refuse 'job id: expected at most 100 characters'
}
token() {
  number 'fencing token' 15 "\${1-}"
  [ "$1" != 0 ] || refuse 'fencing token: expected 1 or more'
  _token=$1
}
`;

const main = `
now() {
  [ "$_risk" = read ] || fence "$_token" || exit "$?"
  execute "$@"
}

case \${1-} in
  # Only for the helper itself: a script is run by a second helper, so that timeout can end it, and a job by systemd.
  # Each decides everything again.
  script) shift; [ "$#" -ge 1 ] || refuse 'expected a verb'; check now "$@"; now "$@" ;;
  job-run) shift; decide job-start "$@"; job_run "$@" ;;
  *)
    decide "$@"
    case $1 in
      job-start) shift; job_start "$@" ;;
      job-status) shift; job_status "$@" ;;
      job-cancel) shift; job_cancel "$@" ;;
      job-list) job_list ;;
      job-clean) shift; job_clean "$@" ;;
      *)
        if is_script "$1"; then exec timeout -k 5 "$_seconds" "$_self" script "$@"; fi
        now "$@"
        ;;
    esac
    ;;
esac
`;

function checkTable(entries: readonly ResolvedEntry[]): string {
  return [
    '\n# check now|job VERB ARGUMENTS: refuses everything that is not one of these.',
    'check() {',
    '  _mode=$1 _verb=$2; shift 2',
    '  case $_verb in',
    ...entries.map((entry) => `    ${entry.verb}) ${checkLine(entry)} ;;`),
    "    *) refuse 'unknown verb' ;;",
    '  esac',
    '  [ "$_mode" = "$_when" ] || refuse "$_verb is not to be used like this: a job is started by job-start"',
    '}',
  ].join('\n');
}

function checkLine({ entry, parameters }: ResolvedEntry): string {
  const isRead = entry.risk === 'read';
  return [
    `kind ${isRead ? 'read' : 'change'} ${entry.job ? 'job' : 'now'} ${Math.ceil(entry.timeoutMs / 1000)}`,
    ...(isRead ? [] : [`token "$@"; shift`]),
    `takes ${parameters.length} "$@"`,
    ...parameters.map((parameter, index) => checkOf(parameter, `"$${index + 1}"`)),
  ].join('; ');
}

function checkOf({ name, pattern, maxLength, choices }: Parameter, value: string): string {
  return choices
    ? `among ${quote(name)} ${value} ${choices.map(quote).join(' ')}`.trimEnd()
    : `is ${quote(name)} ${maxLength} ${quote(pattern)} ${value}`;
}

function executeTable(entries: readonly ResolvedEntry[]): string {
  return [
    '\n# execute VERB ARGUMENTS: the constant vectors. Only after check.',
    'execute() {',
    '  _verb=$1; shift',
    '  [ "$_risk" = read ] || shift',
    '  _limit=; [ "$_when" = job ] || _limit="timeout -k 5 $_seconds"',
    '  case $_verb in',
    ...entries.map((entry) => `    ${entry.verb}) ${executeLine(entry)} ;;`),
    '  esac',
    '}\n',
  ].join('\n');
}

function scriptTable(entries: readonly ResolvedEntry[]): string {
  const scripts = entries.filter(({ vector, entry }) => !vector && !entry.job).map(({ verb }) => verb);
  return scripts.length === 0
    ? 'is_script() { false; }'
    : ['is_script() {', `  case $1 in ${scripts.join(' | ')}) ;; *) false ;; esac`, '}'].join('\n');
}

function executeLine({ verb, vector }: ResolvedEntry): string {
  if (!vector) return `${functionOf(verb)} "$@"`;
  const words = vector.map((pieces) =>
    pieces.map((piece) => ('text' in piece ? quote(piece.text) : `"$${piece.parameter + 1}"`)).join(''),
  );
  return `exec $_limit ${words.join(' ')}`;
}

function scriptFunction({ verb, entry }: ResolvedEntry): string[] {
  if (entry.as !== 'root' || !entry.script) return [];
  const body = entry.script.body
    .trim()
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`));
  return [`# ${entry.summary}`, `${functionOf(verb)}() {`, ...body, '}\n'];
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
