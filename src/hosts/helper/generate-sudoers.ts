import type { HostLayout } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { type Command, vmid } from '../commands/command.ts';
import { helperCommands } from './generate-helper.ts';
import { namesRun, type ResolvedCommand, type ResolvedParameter } from './resolve.ts';

export interface SudoersOptions {
  /**
   * What `sudo --version` says: `1.9.13p3` or `sudo-rs 0.2.5`. From 1.9.10 the policy holds every argument by a regular
   * expression.
   */
  readonly sudoVersion: string;
  /** SHA-256 of the installed helper in hexadecimal: sudo executes no other file. */
  readonly helperDigest: string;
  /** Default: the table of commands. */
  readonly commands?: readonly Command[];
}

const jobId = '[a-z0-9][a-z0-9-]{0,99}';
const offset = '(0|[1-9][0-9]{0,11})';
const fence = '[1-9][0-9]{0,14}';
const run = '(-|[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199})';

/** How many recordings of one user sudo keeps before it writes over the oldest: 32 KiB each at the least, so 640 MB. */
const recordings = 20_000;

/**
 * The sudoers policy for one host. With sudo 1.9.10 or newer: one anchored regular expression for each verb of the
 * helper. Older ones and sudo-rs can't do that; there the policy admits the helper, which makes the same checks itself.
 * Install it owned by root, mode 0440, at `layout.sudoersFile`, whose name must hold no `.` or `~`.
 */
export function generateSudoers(layout: HostLayout, options: SudoersOptions): string {
  const { isRs, isAtLeast } = parseVersion(options.sudoVersion);
  if (!/^[0-9a-f]{64}$/.test(options.helperDigest)) throw unfit('helper digest', options.helperDigest);
  for (const path of [layout.helper, layout.sudoLog])
    if (!/^(\/[A-Za-z0-9_.@+-]+)+$/.test(path)) throw unfit('path', path);
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(layout.user)) throw unfit('user', layout.user);

  const commands = helperCommands(layout, options.commands);
  const helper = isRs ? layout.helper : `sha256:${options.helperDigest} ${layout.helper}`;
  const rules = !isRs && isAtLeast(1, 9, 10) ? verbRules(commands) : [];
  const looks = rules.filter((rule) => !rule.isChange);
  const changes = rules.filter((rule) => rule.isChange);
  const aliases = [...(looks.length > 0 ? ['PMX_LOOK'] : []), 'PMX_CHANGE', 'PMX_WATCH'];
  return [
    `# What Proxmox MCP may run as root on this host: the host helper, which executes the commands listed in`,
    "# docs/privileges.md and nothing else. Made by `npm run generate` from src/hosts: don't edit.",
    `# For sudo ${options.sudoVersion} and newer ones of its kind.`,
    '',
    ...(isRs ? rsDefaults(layout) : defaults(layout, commands, isAtLeast)),
    '',
    ...(rules.length === 0
      ? [
          '# This sudo knows no regular expressions: the helper alone checks its arguments.',
          `Cmnd_Alias PMX_HELPER = ${helper}`,
          ...(isRs ? [] : [...lookNames(layout.helper, commands), ...settled(['PMX_HELPER'])]),
        ]
      : [
          ...alias('PMX_LOOK', helper, looks),
          '',
          ...alias('PMX_CHANGE', helper, changes),
          '',
          ...alias('PMX_WATCH', helper, watch),
          '',
          ...settled(aliases),
        ]),
    '',
    ...(rules.length === 0
      ? [
          ...(isRs ? [] : ['Defaults!PMX_LOOK !log_output', '']),
          `${layout.user} ALL = (root) NOPASSWD: NOSETENV: PMX_HELPER`,
        ]
      : [
          ...unrecorded,
          `Defaults!${['PMX_WATCH', ...(looks.length > 0 ? ['PMX_LOOK'] : [])].join(',')} !log_output`,
          "# A job is looked at every other second, and what it says is in the host's job folder already.",
          'Defaults!PMX_WATCH !log_input',
          '',
          `${layout.user} ALL = (root) NOPASSWD: NOSETENV: ${aliases.join(', ')}`,
        ]),
    '',
  ].join('\n');
}

const unrecorded = [
  '# What changes nothing is logged without its output. That can be whole archives, and it comes to its end: sudo (1.9.13) loses the',
  '# last of more than 64 KiB that it records when whoever reads is slow.',
];

/**
 * The looks by name, for a sudo that can't tell them by regular expressions: only for how they are logged, so that the wildcard
 * admits nothing.
 */
function lookNames(helper: string, commands: readonly ResolvedCommand[]): string[] {
  const looks = commands.filter(({ command }) => command.risk === 'read' && !command.job);
  const names = [
    ...looks.map(({ command, parameters }) => `${command.name}${parameters.length > 0 ? ' *' : ''}`),
    ...['job-status *', 'job-list'],
  ];
  return [...unrecorded, 'Cmnd_Alias PMX_LOOK = \\', names.map((name) => `    ${helper} ${name}`).join(', \\\n'), ''];
}

/**
 * What a host's own defaults may say otherwise, so that nothing is executed, or with other effects. Of the kind that sudo
 * reads last, so that neither a line for all users nor a file that is read after this one changes it.
 */
function settled(aliases: readonly string[]): string[] {
  const forThese = `Defaults!${aliases.join(',')}`;
  return [
    '# Whatever the host says for others, also in files that are read after this one.',
    `${forThese} !requiretty, !noexec, !targetpw, !rootpw, !runaspw, runas_default=root, !lecture`,
    `${forThese} env_reset, !setenv, use_pty, !stay_setuid, syslog=authpriv`,
  ];
}

interface Rule {
  readonly about: string;
  readonly pattern: string;
  readonly isChange: boolean;
}

const watch: readonly Rule[] = [
  { about: "A job's state and output", pattern: `job-status ${jobId} ${offset} ${offset}`, isChange: false },
  { about: 'The jobs of this host', pattern: 'job-list', isChange: false },
];

/** How many fences a command takes before its arguments. */
const fences = { none: [], host: [fence], guest: [fence, fence] };

function verbRules(commands: readonly ResolvedCommand[]): readonly Rule[] {
  return [
    ...commands.map(({ command, parameters }) => ({
      about: command.summary,
      pattern: [
        ...(command.job ? ['job-start', jobId, run] : []),
        command.name,
        ...fences[command.lock ?? 'none'],
        ...(namesRun(command) ? [run] : []),
        ...parameters.map(grouped),
      ].join(' '),
      isChange: command.risk !== 'read',
    })),
    {
      about: 'Stop a job with all its processes',
      pattern: `job-cancel ${jobId}( ${fence}( ${fence} ${vmid.pattern})?)?`,
      isChange: true,
    },
    { about: 'Forget jobs that ended days ago', pattern: 'job-clean (0|[1-9][0-9]{0,2})', isChange: true },
  ];
}

function alias(name: string, helper: string, rules: readonly Rule[]): string[] {
  if (rules.length === 0) return [];
  // A comment can't stand between the lines of one alias, so what each rule is for comes first.
  return [
    ...rules.map(({ about, pattern }) => `# ${pattern.split(' ')[pattern.startsWith('job-start') ? 3 : 0]}: ${about}`),
    `Cmnd_Alias ${name} = \\`,
    rules.map(({ pattern }) => `    ${helper} ^${pattern}$`).join(', \\\n'),
  ];
}

function defaults(
  { user, sudoLog }: HostLayout,
  commands: readonly ResolvedCommand[],
  isAtLeast: (a: number, b: number, c: number) => boolean,
): string[] {
  const longestMs = Math.max(
    60_000,
    ...commands.filter(({ command }) => !command.job).map(({ command }) => command.timeoutMs),
  );
  return [
    '# Nothing of the caller reaches the helper but its arguments.',
    'env_reset, !setenv, !env_keep, !env_check',
    'secure_path=/usr/sbin:/usr/bin:/sbin:/bin',
    'umask=0077, umask_override, closefrom=3, use_pty',
    ...(isAtLeast(1, 9, 3) ? ['runcwd=/'] : []),
    'fdexec=digest_only',
    '# No password is ever asked for and nothing is remembered.',
    'passwd_tries=1, timestamp_timeout=0, !lecture, !requiretty, !noexec, !targetpw, !rootpw, !runaspw, runas_default=root',
    `command_timeout=${Math.ceil(longestMs / 1000) + 60}`,
    '# Everything is logged, changes with their input and output; what cannot be logged is not executed.',
    `logfile=${sudoLog}, log_year, loglinelen=0`,
    `log_input, log_output, iolog_dir=/var/log/sudo-io/%{user}, iolog_flush, maxseq=${recordings}`,
    '!ignore_iolog_errors, !ignore_logfile_errors, !ignore_audit_errors',
    `log_allowed, log_denied${isAtLeast(1, 9, 8) ? ', log_exit_status' : ''}`,
  ].map((line) => (line.startsWith('#') ? line : `Defaults:${user} ${line}`));
}

/** sudo-rs closes descriptors by itself, and knows nothing of the rest; it logs to syslog alone. */
function rsDefaults({ user }: HostLayout): string[] {
  return [
    '# Nothing of the caller reaches the helper but its arguments. sudo-rs has no digests and no logs of input and output:',
    '# that the helper is the right one rests on root alone being able to write it; syslog has each command.',
    'env_reset, !env_keep, !env_check',
    'secure_path=/usr/sbin:/usr/bin:/sbin:/bin',
    'use_pty',
    '# No password is ever asked for and nothing is remembered.',
    'passwd_tries=1, timestamp_timeout=0, !lecture',
  ].map((line) => (line.startsWith('#') ? line : `Defaults:${user} ${line}`));
}

function grouped({ pattern }: ResolvedParameter): string {
  return pattern.includes('|') && !/^\([^()]*\)$/.test(pattern) ? `(${pattern})` : pattern;
}

/** Whether a policy can be made for this sudo. */
export function supportsSudo(version: string): boolean {
  return readVersion(version) !== undefined;
}

interface Version {
  readonly isRs: boolean;
  readonly isAtLeast: (major: number, minor: number, patch: number) => boolean;
}

function readVersion(version: string): Version | undefined {
  const match = /^(sudo-rs )?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  const [major, minor, patch] = [Number(match?.[2]), Number(match?.[3]), Number(match?.[4] ?? 0)];
  const isAtLeast = (a: number, b: number, c: number) =>
    major !== a ? major > a : minor !== b ? minor > b : patch >= c;
  const isRs = match?.[1] !== undefined;
  // The oldest ones on which it was tried.
  return match && (isRs ? isAtLeast(0, 2, 5) : isAtLeast(1, 9, 0)) ? { isRs, isAtLeast } : undefined;
}

function parseVersion(version: string): Version {
  const known = readVersion(version);
  if (known) return known;
  throw new ServiceError({
    code: 'configuration',
    message: `${JSON.stringify(version)} is not a version of sudo that a policy can be made for`,
    remedy: 'Install sudo 1.9 or newer, or sudo-rs 0.2.5 or newer, on the host.',
  });
}

function unfit(what: string, value: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `The ${what} ${JSON.stringify(value)} doesn't fit into a sudoers policy`,
    remedy: 'Use only letters, digits and / . _ @ + - in it.',
  });
}
