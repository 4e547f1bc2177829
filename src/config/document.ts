import { groups, type Key } from './key.ts';
import { keys } from './keys.ts';

const intros: Readonly<Partial<Record<(typeof groups)[number], string>>> = {
  Host: 'One host is described by the keys of this and the next groups; several by `hosts.yaml`.',
  'Deployment with Docker Compose':
    'What is published, and where: [access from elsewhere](external-access.md). `config check` looks at them together.',
  'Layout of a host': "Only for an installation that is not where the administrator's guide has it.",
};

function inGroup(group: (typeof groups)[number]): [string, Key][] {
  return Object.entries(keys).filter(([, key]) => key.group === group);
}

function textOf({ what, atStart }: Key): string {
  return atStart ? `${what} A change counts after a restart.` : what;
}

/** docs/configuration.md */
export function renderConfigurationDocs(): string {
  const sections = groups.flatMap((group) => [
    `## ${group}`,
    '',
    ...(intros[group] === undefined ? [] : [intros[group], '']),
    '| key | default | what | example |',
    '| --- | --- | --- | --- |',
    ...inGroup(group).map(([name, key]) => {
      const value = key.defaultText ?? (key.default === undefined ? 'none' : `\`${key.default}\``);
      const what = `${textOf(key)}${key.secret ? ` Secret: better in a file of mode 0600, named by \`${name}_FILE\`.` : ''}`;
      return `| \`${name}\` | ${value} | ${what} | ${key.example === '' ? '' : `\`${key.example}\``} |`;
    }),
    '',
  ]);
  return `# Configuration

Made from the table of keys in \`src/config\` by \`npm run generate\`. Don't edit.

The service reads \`.env\` and \`hosts.yaml\` in the project's folder (another one: \`--config-dir\` or the variable
\`PROXMOX_MCP_CONFIG_DIR\`), then the environment, then \`--set KEY=value\` of the command line; later ones win. Relative
paths are resolved against the folder of \`.env\`; \`~\` and \`$HOME\` are refused, because they are another folder for each
user. With nothing configured it runs a demo on this machine. Who may do what stands in \`policy.yaml\` beside them: [policy](policy.md).

- \`npx proxmox-mcp config check\` lists every problem at once, in the order of the lines: key, line, what was expected,
  what was found, what to do. It also looks at the SSH keys, as a login does.
- \`npx proxmox-mcp config show\` shows every value and where it was written, without secrets.
- \`npx proxmox-mcp doctor\` tries everything that the configuration names.

The service reads it when it starts, and again when it is told to: \`npx proxmox-mcp reload\` ([reloading](reloading.md)). No run
ends by that; a few keys, named below, count only after a restart. \`npx proxmox-mcp status\`, \`doctor\` and the health check say
which keys have changed since. What is about places and names on a host is in its helper too: \`npx proxmox-mcp host install NAME\` again.

A key that isn't known is a problem, not a comment: a mistyped \`ENABLE_DANGEROUS_COMANDS=false\` must not be ignored.
Files with secrets need mode 0600 (\`chmod 600 .env\`). \`npx proxmox-mcp config move-secrets\` moves each one that stands in \`.env\` or
\`hosts.yaml\` itself into a file of its own beside them, and names that there: with Docker Compose every container of ours reads
these two. The MCP server opens the file of no secret that it doesn't need ([which](security.md#who-may-do-what-to-you)).

In \`.env\` each line is \`KEY=value\`, with blanks around the \`=\` or without:

| written | read as |
| --- | --- |
| \`value # comment\` | \`value\`, as it stands up to the \`#\` after a blank |
| \`'value'\` | \`value\`, as it stands: for passwords |
| \`"value"\` | \`value\`, with \`\\"\`, \`\\\\\`, \`\\n\`, \`\\r\` and \`\\t\` for a quotation mark, a backslash, ends of lines and a tab |

Nothing is expanded, and nothing is cut: a \`#\` that may belong to the value, text after the closing quotation mark and a
variable in braces are problems. An empty value is one too where something else is the default; in the environment it counts as
not written. Flags are \`true\` or \`false\`; \`yes\`/\`no\`, \`on\`/\`off\` and \`1\`/\`0\` mean the same, in upper or lower case.

## Several hosts

\`hosts.yaml\` (see \`hosts.example.yaml\`) has one entry per host. Its keys mean the same as in \`.env\`. What an entry
doesn't say it takes from \`.env\`, except for what belongs to one machine:
${Object.entries(keys)
  .filter(([, key]) => key.host === 'own')
  .map(([name]) => `\`${name}\``)
  .join(', ')}.

A key stands in an entry once, with one value (lists only for what is several), and without YAML tags. Two entries can't be
reached at the same place: one host would have two locks ([how else it is found](installing-a-host.md#one-machine-one-name)).
Installations side by side on one machine need a \`STATE_DIR\` each.

${sections.join('\n').trimEnd()}
`;
}

/** .env.example */
export function renderEnvExample(): string {
  const sections = groups.flatMap((group) => [
    `# --- ${group}`,
    '',
    ...inGroup(group).flatMap(([name, key]) => {
      const value = key.defaultText ?? key.default;
      return [
        ...wrap(`${textOf(key)}${value === undefined ? '' : ` Default: ${value}.`}`),
        `#${key.secret ? `${name}_FILE=` : `${name}=${needsQuotes(key.example) ? JSON.stringify(key.example) : key.example}`}`,
        '',
      ];
    }),
  ]);
  return `# For hosts that \`npx proxmox-mcp host add NAME --address ADDRESS\` has written to hosts.yaml only what is for all of them need
# stand here: mail (SMTP_HOST, MAIL_FROM, MAIL_TO), TIME_ZONE. One host can be described here instead: SSH_HOST, or
# PROXMOX_HOST with its token. Copy this file to .env (mode 0600), take the # from the lines you need, and run:
# npx proxmox-mcp config check. After a change: npx proxmox-mcp reload.
# Made by \`npm run generate\`; docs/configuration.md says more.

${sections.join('\n').trimEnd()}
`;
}

function needsQuotes(value: string): boolean {
  return /[\s#<>]/.test(value);
}

function wrap(text: string, width = 110): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > width) lines.push(`# ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
