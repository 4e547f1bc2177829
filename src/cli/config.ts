import type { Command } from 'commander';
import { settingRows } from '../config/show.ts';
import { textTable } from '../reports/table.ts';
import { type CliContext, noteWarnings } from './context.ts';
import { note, print, printJson } from './terminal.ts';

/** `config check|show`. */
export function configCommands(program: Command, context: CliContext): void {
  const config = program.command('config').description('Check and show the configuration');

  config
    .command('check')
    .description('Read .env, hosts.yaml and the environment, and list every problem at once')
    .action(() => {
      const { config: read, warnings, folder } = context.load();
      noteWarnings(warnings);
      const hosts = read.hosts.map(({ name }) => name).join(', ');
      print(
        read.demo
          ? `Nothing is configured in ${folder}: the service runs its demo.`
          : `The configuration in ${folder} is valid. Hosts: ${hosts}.`,
      );
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
