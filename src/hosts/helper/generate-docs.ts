import type { HostLayout } from '../../config.ts';
import { table } from '../commands/table.ts';
import { defaultLayout } from './default-layout.ts';
import { sharedOf, shellFunction } from './generate-helper.ts';
import { type Parameter, type ResolvedEntry, resolveEntry } from './resolve.ts';

/** `docs/privileges.md`: every command of the table with its vector, its risk and who runs it. */
export function generatePrivilegeDocs(layout: HostLayout = defaultLayout): string {
  const entries = Object.entries(table).map(([name, entry]) => resolveEntry(name, entry, layout));
  const ofRoot = entries.filter(({ entry }) => entry.as === 'root');
  return [
    introduction(layout),
    '## Commands as root\n',
    ...ofRoot.map((entry) => describe(entry, layout)),
    '### What several scripts share\n',
    '```sh',
    sharedOf(ofRoot).flatMap(shellFunction).join('\n').trimEnd(),
    '```\n',
    `## Commands as ${layout.user}\n`,
    'They need no privilege and go without sudo and helper.\n',
    ...entries.filter(({ entry }) => entry.as === 'user').map((entry) => describe(entry, layout)),
    '## Placeholders\n',
    '| name | form | at most | for example | what |',
    '| --- | --- | --- | --- | --- |',
    ...placeholders(entries).map(
      ({ name, pattern, choices, maxLength, examples, description }) =>
        `| \`${name}\` | ${choices ? 'one of the examples' : `\`${pattern.replaceAll('|', '\\|')}\``} | ${maxLength} | ${examples.map((e) => `\`${e}\``).join(', ')} | ${description} |`,
    ),
    '',
  ].join('\n');
}

function introduction(layout: HostLayout): string {
  return `<!-- Made by \`npm run generate\` from src/hosts/commands. Don't edit. -->
# What the service may do on a host

This is all. Every command is an entry of one table in the code (\`src/hosts/commands\`); the host helper, the
sudoers policy, this page and the tests are made from it, and no other command can be asked for, by construction of the
types. The service logs in as \`${layout.user}\`, without a password and without any other right. Commands as root go

1. through sudo, whose policy (\`${layout.sudoersFile}\`) admits one program, by its SHA-256 digest, with arguments that
   match one of the anchored regular expressions, logs input and output, and executes nothing that it can't log;
2. through that program, the helper (\`${layout.helper}\`), which counts and checks the arguments again, empties the
   environment, and executes one constant argument vector or one short script that is part of it.

Where sudo is older than 1.9.10 it knows no regular expressions: the policy then admits the helper by its digest, and the
helper's own check is the only one. sudo-rs (0.2.5 or newer) has neither digests nor logs of input and output either: there
the policy admits the helper by its path, which only root can write to, and syslog notes each command. \`host install\`
chooses the form; the tests try all three on real hosts.

sudo keeps the last 20,000 recordings and writes over the oldest; its log is rotated weekly, or at 20 MB. For a copy that
root on the host can't change, send them to a log server by a file of your own, for example \`/etc/sudoers.d/log-server\`
with \`Defaults:${layout.user} log_servers=logs.example.com\` (see sudoers(5) for its TLS settings): what that server
does not take is then not executed either.

Commands that change something carry the **fencing token** of the host's lease: the helper keeps the greatest one it
has seen, refuses smaller ones, and lets a greater one begin only when nothing of an older one is still at work. A **job** outlives the
connection that started it: it is executed once for its id, in its own systemd unit (or process group), with a
deadline, bounded output and an exit code that is on disk before anyone is told. Its record names its run: a job that is
at work though its run has ended is a warning of the health check; \`proxmox-mcp host jobs NAME\` lists them all and stops
one with \`--cancel\`. A run stops another run's job only while it holds the newest token.
`;
}

function describe({ verb, entry, parameters, vector }: ResolvedEntry, layout: HostLayout): string {
  const given = parameters.map(({ name }) => `<${name}>`);
  const call = [...(entry.risk === 'read' ? [] : ['<token>']), ...given];
  const kind = [`risk: ${entry.risk}`, ...(entry.job ? ['job'] : []), `deadline: ${duration(entry.timeoutMs)}`].join(
    ', ',
  );
  const words = (vector ?? []).map((pieces) =>
    pieces.map((piece) => ('text' in piece ? piece.text : `<${parameters[piece.parameter]?.name}>`)).join(''),
  );
  const script = entry.as === 'root' && entry.script ? entry.script.body.trim() : undefined;
  return [
    `### ${verb}\n`,
    `${entry.summary}. (${kind})\n`,
    ...(entry.as === 'root'
      ? [
          `Asked for as \`${[layout.helper, ...(entry.job ? ['job-start <id> <run>'] : []), verb, ...call].join(' ')}\`.\n`,
        ]
      : []),
    script === undefined ? 'The vector:\n' : 'The script, part of the helper:\n',
    '```sh',
    script ??
      words.map((word) => (/[\s{}"'$*|&;<>()]/.test(word) && !/^<[a-z]+>$/.test(word) ? `'${word}'` : word)).join(' '),
    '```\n',
  ].join('\n');
}

function placeholders(entries: readonly ResolvedEntry[]): readonly Parameter[] {
  const known = new Map<string, Parameter>();
  for (const { parameters } of entries) for (const parameter of parameters) known.set(parameter.name, parameter);
  return [...known.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function duration(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
