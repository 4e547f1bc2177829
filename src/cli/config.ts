import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import {
  type ConfigFinding,
  configProblem,
  configurationError,
  configWarning,
  inLineOrder,
} from '../config/problems.ts';
import { settingRows } from '../config/show.ts';
import { textTable } from '../reports/table.ts';
import { inspectFile } from './approved-policy.ts';
import { type CliContext, noteWarnings } from './context.ts';
import { note, print, printJson } from './terminal.ts';

/** `config check|show|move-secrets`. */
export function configCommands(program: Command, context: CliContext): void {
  const config = program.command('config').description('Check and show the configuration');

  config
    .command('check')
    .description('Read .env, hosts.yaml, policy.yaml, the environment and the SSH keys, and list every problem at once')
    .action(async () => {
      const loaded = context.inspect();
      const { config: read, folder } = loaded;
      const keys = await keyFindings(loaded);
      const policy = inspectFile(loaded);
      const failed = keys.filter(({ verdict }) => verdict === 'failed');
      const problems = [...loaded.problems, ...failed, ...policy.problems];
      if (problems.length > 0) throw configurationError(inLineOrder(problems));
      noteWarnings(inLineOrder([...loaded.warnings, ...keys, ...policy.warnings]));
      const hosts = read.hosts.map(({ name }) => name).join(', ');
      print(
        read.demo
          ? `Nothing is configured in ${folder}: the service runs its demo.`
          : `The configuration in ${folder} is valid. Hosts: ${hosts}.`,
      );
      // Of the demo it is said with its token, when that is made.
      if (read.demo) return;
      const { claudeLines, trustLines } = await import('../service/summary.ts');
      print(`Claude Code: ${[...claudeLines(read), ...trustLines(read)].join('\n')}`);
    });

  config
    .command('move-secrets')
    .summary('Move the secrets in .env and hosts.yaml into files of their own')
    .description(
      'Move each secret that stands in .env or hosts.yaml itself into a file of its own beside them (mode 0600, in keys/ and secrets/), and name the file there instead. Comments stay. Refuses what would lose something, before it changes anything.',
    )
    .action(async () => {
      const { moveSecrets } = await import('../config/move-secrets.ts');
      const { folder, config: read } = context.inspect();
      const moved = moveSecrets(folder, { isCompose: read.compose !== undefined });
      if (moved.length === 0) return note('No secret stands in .env or hosts.yaml itself: nothing to move.');
      for (const { key, file } of moved) print(`${key}: ${file}`);
      note('Restart the service, so that it reads them there.');
    });

  config
    .command('show')
    .description('Show every key with its value and where it was written; secrets are not shown')
    .option('--all', 'Also the keys that have their default')
    .option('--json', 'Print it as JSON')
    .action(({ all = false, json = false }: { all?: boolean; json?: boolean }) => {
      const loaded = context.load();
      const rows = settingRows(loaded.settings, all);
      if (json)
        return printJson({ folder: loaded.folder, settings: rows, config: loaded.config, warnings: loaded.warnings });
      noteWarnings(loaded.warnings);
      if (rows.length === 0) return note(`Nothing is configured in ${loaded.folder}; add --all to see the defaults.`);
      print(
        textTable(
          ['KEY', 'VALUE', 'FROM'],
          rows.map(({ key, value, source }) => [key, value, source]),
        ),
      );
    });
}

/** What a login would say of the service's private keys. One that isn't there yet is made by `host install`. */
async function keyFindings({ config, settings }: LoadedConfig): Promise<ConfigFinding[]> {
  const { readKeyFile } = await import('../hosts/ssh/key-file.ts');
  const looked = new Set<string>();
  return config.hosts.flatMap(({ name, ssh }) => {
    if (ssh === undefined || looked.has(ssh.keyPath)) return [];
    looked.add(ssh.keyPath);
    const found = readKeyFile(ssh.keyPath);
    if (found.kind === 'usable') return [];
    const own = settings.get(`${name}.SSH_KEY_PATH`);
    const source = (own ?? settings.get('SSH_KEY_PATH'))?.source ?? 'the default';
    const place = { key: own === undefined ? 'SSH_KEY_PATH' : `${name}.SSH_KEY_PATH`, source };
    if (found.kind === 'missing') {
      const remedy = `Run: npx proxmox-mcp host install ${name}, which makes it; or name one that is there.`;
      return [configWarning({ ...place, summary: `${ssh.keyPath} isn't there.`, remedy })];
    }
    const expected = `a private key; ${ssh.keyPath} ${found.summary}`;
    return [configProblem({ ...place, expected, remedy: found.remedy })];
  });
}
