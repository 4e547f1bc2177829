import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { print } from './terminal.ts';

/** `start`. */
export function serviceCommands(program: Command, context: CliContext): void {
  program
    .command('start')
    .summary('Run the whole service until Ctrl-C: Temporal, worker, MCP server')
    .description(
      'Run the whole service until Ctrl-C: the Temporal server (unless TEMPORAL_ADDRESS names one), the worker and the MCP server, each started again when it dies. Nothing configured: a demo on this machine.',
    )
    .action(async () => {
      const config = await context.config();
      const { start } = await import('../service/start.ts');
      await start(config, print);
    });
}
