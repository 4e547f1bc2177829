import { type Command, Option } from 'commander';
import { type Scope, scopes } from '../tokens/token.ts';
import type { CliContext } from './context.ts';
import { requester } from './temporal.ts';
import { print } from './terminal.ts';

/** `start`, `serve`, `stdio`. */
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

  program
    .command('serve')
    .summary('Run only the MCP server (HTTP); `start` does this and more')
    .description(
      'Run only the MCP server, at /api/mcp on MCP_HOST and MCP_PORT, until Ctrl-C. Temporal and the worker run elsewhere.',
    )
    .action(async () => {
      const config = await context.config();
      const { serveUntilStopped } = await import('../mcp/process.ts');
      await serveUntilStopped(config);
    });

  program
    .command('stdio')
    .summary('Serve MCP on standard input and output, for a client that starts this program')
    .description(
      'Serve MCP on standard input and output until the client closes them. The service itself must be running.',
    )
    .addOption(
      new Option('--scope <scope>', 'What the client may do: read looks; operate also starts changes; admin everything')
        .choices(scopes)
        .default('operate'),
    )
    .action(async ({ scope }: { scope: Scope }) => {
      const config = await context.config();
      const { serveStdioUntilClosed } = await import('../mcp/process.ts');
      await serveStdioUntilClosed(config, { name: requester().name, scope });
    });
}
