import type { HostLayout } from '../../config.ts';
import { table } from '../commands/table.generated.ts';
import { defaultLayout } from './default-layout.ts';
import { readShell, sharedFunctions } from './generate-helper.ts';
import { namesRun, type ResolvedCommand, type ResolvedParameter, resolveCommand } from './resolve.ts';

/** `docs/privileges.md`: every command of the table with its vector, its risk and who runs it. */
export function generatePrivilegeDocs(layout: HostLayout = defaultLayout): string {
  const commands = table.map((command) => resolveCommand(command, layout));
  const ofRoot = commands.filter(({ command }) => command.as === 'root');
  const ofAdministrators = commands.filter(({ command }) => command.as === 'administrator');
  return [
    introduction(layout),
    signing(layout, ofRoot),
    stopping(layout, ofRoot),
    '## Commands as root\n',
    ...ofRoot.map((command) => describe(command, layout)),
    '### What several scripts share\n',
    '```sh',
    sharedFunctions(ofRoot).join('\n').trimEnd(),
    '```\n',
    `## Commands as ${layout.user}\n`,
    'They need no privilege and go without sudo and helper.\n',
    ...commands.filter(({ command }) => command.as === 'user').map((command) => describe(command, layout)),
    '## Commands of administrators\n',
    ofAdministratorsAlone,
    ...ofAdministrators.map((command) => describe(command, layout)),
    '## Parameters\n',
    '| name | form | at most | for example | what |',
    '| --- | --- | --- | --- | --- |',
    ...parametersOf(commands).map(
      ({ name, pattern, choices, maxLength, examples, description }) =>
        `| \`${name}\` | ${choices ? 'one of the examples' : `\`${pattern.replaceAll('|', '\\|')}\``} | ${maxLength} | ${examples.map((e) => `\`${e}\``).join(', ')} | ${description} |`,
    ),
    '',
  ].join('\n');
}

function introduction(layout: HostLayout): string {
  return `<!-- Made by \`npm run generate\` from src/hosts/commands. Don't edit. -->
# What the service may do on a host

This is all. Every command is a value in the code (\`src/hosts/commands\`), with its script in a file beside it; the host
helper, the sudoers policy, this page and the tests are made from them, and no other command can be asked for, by
construction of the types. The service logs in as \`${layout.user}\`, without a password and without any other right. Commands as root go

1. through sudo, whose policy (\`${layout.sudoersFile}\`) admits one program, by its SHA-256 digest, with arguments that
   match one of the anchored regular expressions, logs each command, of changes with input and output, and executes nothing
   that it can't log;
   What else the host's own rules say by default (\`requiretty\`, \`noexec\`, \`targetpw\`, \`runas_default\` …) doesn't hold for
   these commands, also where it is read after this policy;
2. through that program, the helper (\`${layout.helper}\`), which counts and checks the arguments again, empties the
   environment, and executes one constant argument vector or one short script that is part of it.

Where sudo is older than 1.9.10 it knows no regular expressions: the policy then admits the helper by its digest, and the
helper's own check is the only one. sudo-rs (0.2.5 or newer) has neither digests nor logs of input and output either: there
the policy admits the helper by its path, which only root can write to, and syslog notes each command. \`host install\`
chooses the form; the tests try all three on real hosts.

What changes nothing is logged without its output: that can be a whole archive (\`send-backup\`), and of more than 64 KiB that it
records sudo 1.9.13 loses the end when whoever reads is slow.
sudo keeps the last 20,000 recordings and writes over the oldest; its log is rotated weekly, or at 20 MB. For a copy that
root on the host can't change, send them to a log server by a file of your own, for example \`/etc/sudoers.d/log-server\`
with \`Defaults:${layout.user} log_servers=logs.example.com\` (see sudoers(5) for its TLS settings): what that server
does not take is then not executed either.

What sudo refuses is counted by the health check, from its own log and from the journal, where only lines count of which
the journal itself knows that sudo or sshd sent them; on a host that has only \`auth.log\`, which any program can write to,
the finding says so. The refusals that the service asks for itself, to see that sudo refuses (\`src/hosts/self-tests.ts\`), are
counted in a line of their own: whole lines of exactly those commands, from the journal and from the log of a sudo that
writes each event on one line (1.9.13 or newer), and more than 60 a day are a warning. Three refusals leave no line: sudo-rs 0.2.5 logs none; a process with \`ulimit -f 0\` ends sudo at its
first write, where sudo may not lift the limit (containers without CAP_SYS_RESOURCE); and of a sender that has ended at
once the journal may not know who it was. Nothing is executed then either. To see every attempt, have the kernel note it before
sudo does anything: with auditd, a watch on sudo's own file (\`-w\` with its path, \`-p x -k sudo\`) in a file of
\`/etc/audit/rules.d\`, then \`ausearch -k sudo -ua ${layout.user}\`.

Commands that change something carry a **fence**: the number that goes with the lock of who asks, and that grows with each
holder. The helper keeps the greatest one it has seen for each lock (the host's and each guest's), refuses smaller ones,
and lets a greater one begin only when nothing of an older one is still at work. A command for a guest carries two: its
caller holds the guest alone and shares the host, so it is refused after a newer holder of the whole host, but not after
another guest's; a command for the host is compared with all.

Fences are times: milliseconds since the epoch by the service's clock. The helper refuses one that is more than five minutes
ahead of the host's clock, so that nobody who has the service's key can keep its runs out for longer than that. A fence that
is kept and is further ahead nevertheless (an earlier helper took any; the host's clock was set back) counts as one of five
minutes ago, as does one that can't be read: the next run goes on, and nothing has to be removed by hand. If the clocks of
service and host differ by more than five minutes, changes are refused with both times; an undo waits for some minutes
before it asks a person.

A **job** outlives the connection that started it: it is executed once for its id, in its own systemd unit (or process
group), with a deadline, bounded output and an exit code that is on disk before anyone is told. Its record names its run:
a job that is at work though its run has ended is a warning of the health check; \`npx proxmox-mcp host jobs NAME\` lists them
all and stops one with \`--cancel\`. A run stops another run's job only with the newest fence.
`;
}

function signing({ state, user }: HostLayout, ofRoot: readonly ResolvedCommand[]): string {
  const vouched = ofRoot.flatMap(({ command }) =>
    command.as === 'root' && command.becomesRoot !== 'no'
      ? [`- \`${command.name}\` (${command.becomesRoot.unless}): it ${command.becomesRoot.because}`]
      : [],
  );
  const vouchedText =
    vouched.length === 0
      ? `By none of the commands below can its caller become root, whatever arguments and files they bring: none unpacks files, installs
a policy, starts a container from a given file or image, or runs a free vector on the host: \`exec-in-container\` runs
one only in an unprivileged container, whose root is nobody on the host, and looks at the mapping of what runs there.`
      : `Commands by which a caller could become root, and what vouches for what they are given:\n\n${vouched.join('\n')}`;
  return `## What an administrator signs

A host can be told to execute something only when one of its administrators has signed it: then it isn't enough to have the
service's user, its key and all its files. What is signed is a text, with the administrator's own SSH key, also one on a
security key (what it is worth beside everything else: [security](security.md)):

\`\`\`text
proxmox-mcp plan 1
host: pve1 4f1c0e9be3a14f0c8f0a4b1f2a6d9c3e
run: control-service/pve1
digest: the SHA-256 of the whole plan
nonce: 32 hexadecimal digits, never used before
expires: seconds since 1970, at most seven days ahead
call: change-unit restart nginx
\`\`\`

\`ssh-keygen -Y sign -n proxmox-mcp-approval -f KEY FILE\` makes the signature. \`host\` is what the host calls itself: its name and
its machine id. Each \`call\` is a verb below with its arguments, without fences, exactly as it is executed. \`admit-plan\` reads text
and signature from its standard input into a file of root's own before it looks at either, verifies them (\`ssh-keygen -Y verify\`;
OpenSSH 8.2 or newer, so Debian 11), the host, the time, and that the nonce wasn't used, and keeps the plan.

From then until it expires, each of its calls is executed once, in its order: one may be left out, and then can't be executed any
more. A job's run has to be the plan's. A job that is asked for again under its id is found, not executed a second time; a job
that the host lost needs another signature. Before each call the signature is verified again, so that an administrator who is taken
off the list has signed nothing.

- **Who may sign** is in \`${state}/administrators\`, in the form of allowed_signers of ssh-keygen(1). Only root can read or write it;
  \`npx proxmox-mcp host administrators NAME list|add KEYFILE --name WHO|remove WHO\` changes it over an administrator's own login.
  A key by which ${user} logs in counts for nothing.
- **What has to be signed** is, whatever anybody configures, what its caller could become root by (below); and each verb that
  root writes into \`${state}/signed-commands\`, one a line, or \`all-dangerous\` for all of that risk. It holds for commands that change
  something. Where others than root could write the list, all of those have to be signed. The file is made by hand, as root:
  neither the service nor MCP can make it shorter. \`undo-restore\` of a restore that isn't done, by the host's own record, is never asked
  for one on that list: it leads to what was there, and a restore that stopped in the middle could go nowhere else.

${vouchedText}

What it doesn't do: it says nothing about what isn't on the list, and a host without machine id, or without ssh-keygen, executes
nothing that has to be signed. Where the helper runs without sudo, as the service's own user, that user can write the lists.
`;
}

function stopping({ state }: HostLayout, ofRoot: readonly ResolvedCommand[]): string {
  const undos = ofRoot.flatMap(({ command }) => (command.undo ? [`\`${command.name}\``] : []));
  return `## Stopping changes

\`stop-changes\` is the kill switch: whoever may call the helper may set it. It is \`${state}/changes-stopped\`: since when, by whom and
why, a nonce, and which runs had jobs at work that change something, or had begun one in the seven days before, with what each
executes. While it is there, the helper begins nothing that changes something, for nobody and by no form of its calls (exit code
77, the error \`changes-stopped\`), a record that can't be read included. What only looks goes on, and so does \`job-cancel\`.

- What is at work goes on to its end: that is its safe point. \`job-cancel\` stops it.
- An undo (${undos.join(', ')}) goes on for a run that is in the record, about what that run had worked on there: its first argument has
  to be one of the arguments of the run's calls. Whoever has the service's key can name such a run too, and so take back what it did.
- Who stops them again changes nothing: the first record stays.

\`allow-changes\` lifts it, with an administrator's signature of \`proxmox-mcp allow-changes\`, \`host: …\` and \`nonce: …\` as three lines. The nonce
is the one in the record, made anew each time, so that an old signature lifts no later stop. Without a signature at hand, root
lifts it: \`npx proxmox-mcp host allow-changes NAME\`, or by removing the file.
`;
}

const ofAdministratorsAlone = `The helper doesn't know these and the policy admits none of them, in no form of it: what an administrator decides, neither
the service nor who has its key can. \`npx proxmox-mcp host accept-backup\`, \`host administrators\` and \`host allow-changes\` execute them
as root over the administrator's own login, each as a script that is read from standard input and of which nothing stays on the host. They take no fence, no
operation asks for them, and MCP has no tool for them.
`;

const fences = { none: [], host: ['<fence>'], guest: ['<fence>', '<guest fence>'] };

function describe({ command, parameters, vector = [] }: ResolvedCommand, layout: HostLayout): string {
  const given = parameters.map(({ name }) => `<${name}>`);
  const facts = [
    `risk: ${command.risk}`,
    ...(command.lock === undefined ? [] : [`lock: ${command.lock}`]),
    ...(command.own ? ["the helper's own records"] : []),
    ...(command.undo ? ['undo'] : []),
    ...(command.job ? ['job'] : []),
    ...(command.readsInput ? ['reads standard input'] : []),
    ...(command.as === 'root' && command.becomesRoot !== 'no' ? [`has to be ${command.becomesRoot.unless}`] : []),
    `deadline: ${duration(command.timeoutMs)}`,
  ];
  const words = vector.map((part) => ('text' in part ? part.text : `<${parameters[part.parameter]?.name}>`));
  const script = command.script === undefined ? undefined : readShell(command.script).trim();
  const call = [layout.helper, ...(command.job ? ['job-start <id> <run>'] : []), command.name];
  return [
    `### ${command.name}\n`,
    `${command.summary}. (${facts.join(', ')})\n`,
    ...(command.as === 'root'
      ? [
          `Asked for as \`${[...call, ...fences[command.lock ?? 'none'], ...(namesRun(command) ? ['<run>'] : []), ...given].join(' ')}\`.\n`,
        ]
      : []),
    script === undefined
      ? 'The vector:\n'
      : command.as === 'administrator'
        ? 'The script:\n'
        : 'The script, part of the helper:\n',
    '```sh',
    script ??
      words.map((word) => (/[\s{}"'$*|&;<>()]/.test(word) && !/^<[a-z]+>$/.test(word) ? `'${word}'` : word)).join(' '),
    '```\n',
  ].join('\n');
}

function parametersOf(commands: readonly ResolvedCommand[]): readonly ResolvedParameter[] {
  const known = new Map<string, ResolvedParameter>();
  for (const { parameters } of commands) for (const parameter of parameters) known.set(parameter.name, parameter);
  return [...known.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function duration(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
