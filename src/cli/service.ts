import { type Command, Option } from 'commander';
import type { Reader } from '../config/key.ts';
import type { LoadedConfig } from '../config/load.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Starter, starters } from '../service/record.ts';
import { createReloader, type Reloader } from '../service/reload.ts';
import { type Scope, scopes } from '../tokens/token.ts';
import { configurationFiles } from './configuration-files.ts';
import { type CliContext, noteWarnings } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { requester } from './temporal.ts';
import { note, print } from './terminal.ts';

/** `start`, `stop`, `reload`, `service install|uninstall`, `serve`, `worker`, `stdio`. */
export function serviceCommands(program: Command, context: CliContext): void {
  program
    .command('start')
    .summary('Run the whole service until Ctrl-C: Temporal, worker, MCP server')
    .description(
      'Run the whole service until Ctrl-C: the Temporal server (unless TEMPORAL_ADDRESS names one), the worker and the MCP server, each started again when it dies. Nothing configured: a demo on this machine. It ends as a whole when its terminal is closed or its output reaches nobody any more; with --keep it runs on.',
    )
    .option('--keep', 'Return as soon as it is ready, and keep it running without this terminal')
    .addOption(new Option('--by <starter>').choices(starters).default('terminal').hideHelp())
    .action(async ({ keep, by }: { keep?: boolean; by: Starter }) => {
      const config = await context.config();
      if (keep) {
        const { startKept } = await import('../service/keep.ts');
        await startKept(config, print);
        return;
      }
      const { start } = await import('../service/start.ts');
      await start(config, { print, by, whenOutputLost: context.whenOutputLost, reloads: context.reloads });
    });

  program
    .command('stop')
    .summary('Stop the running service in order')
    .description(
      'Stop the start that runs on the data folder, however it was started, wait until all of it has ended, and say what was done. Runs go on where they were when it is started again.',
    )
    .action(async () => {
      const { stopService } = await import('../service/stop.ts');
      await stopService(await context.config(), print);
    });

  program
    .command('reload')
    .summary('Have the running service read its configuration again')
    .description(
      'Have worker and MCP server of this data folder read .env, hosts.yaml, policy, tokens and people again, without ending a run, and say what each has found: what changed, what is wrong (then nothing changes), and which keys count only after a restart. In a container it tells the process of that container.',
    )
    .action(async () => {
      const { config } = context.inspect();
      const { reloadedLines, reloadProcesses } = await import('../service/reload.ts');
      const answers = await reloadProcesses(config.dataDir);
      if (answers.length === 0) {
        throw new ServiceError({
          code: 'unavailable',
          message: `No process of the service that could read it again runs here on ${config.dataDir}`,
          remedy:
            'Start it: npm start. Where DATA_DIR was changed, restart what runs on the old one; a process in a container is told there',
        });
      }
      for (const line of reloadedLines(answers)) print(line);
      if (answers.some(({ answer }) => answer?.outcome !== 'taken')) context.exitWith(exitCodes.failed);
    });

  const service = program.command('service').description("Have systemd keep it running, as this user's service");
  service
    .command('install')
    .description(
      "Write a unit of the user's systemd that runs this service, start it, and have it started again after a restart of the machine. Needs no root.",
    )
    .action(async () => {
      const { folder, settings } = context.load();
      const config = await context.config();
      const lost = [...settings.values()].filter(({ source }) => /^(the environment|--set)/.test(source));
      if (lost.length > 0) {
        throw new ServiceError({
          code: 'configuration',
          message: `The unit would not have what only this command has: ${lost.map(({ key }) => key).join(', ')}`,
          remedy: `Write it into ${folder}/.env, and run this again without it.`,
        });
      }
      const { installUnit } = await import('../service/user-unit.ts');
      await installUnit(config, folder, print);
      print(
        'See how it is: npx proxmox-mcp status. Stop it: npx proxmox-mcp stop. Remove it: npx proxmox-mcp service uninstall',
      );
    });
  service
    .command('uninstall')
    .description('Stop it and remove the unit. What the service keeps stays.')
    .action(async () => {
      const { uninstallUnit } = await import('../service/user-unit.ts');
      note((await uninstallUnit()) ? 'Stopped, and removed.' : 'There is no unit of this service.');
    });

  program
    .command('serve')
    .summary('Run only the MCP server (HTTP); `start` does this and more')
    .description(
      'Run only the MCP server, at /api/mcp on MCP_HOST and MCP_PORT, until Ctrl-C. Temporal and the worker run elsewhere.',
    )
    .action(async () => {
      const loaded = context.load('mcp-server');
      noteWarnings(loaded.warnings);
      const { serveUntilStopped } = await import('../mcp/process.ts');
      await serveUntilStopped(loaded.config, (log) => reloaderOf(context, 'mcp-server', loaded, log));
    });

  program
    .command('worker')
    .summary('Run only the worker; `start` does this and more')
    .description(
      'Run only the worker until Ctrl-C: it does what runs need done. It makes the namespace of TEMPORAL_ADDRESS fit, waits for a server that is not there yet, and may run on several machines at once (WORKER_HOSTS, WORKER_LEDGER).',
    )
    .option('--promote', 'Where WORKER_VERSIONING is on: have this build take over new runs as soon as it takes work')
    .action(async ({ promote: promotes = false }: { promote?: boolean }) => {
      const loaded = context.load('worker');
      noteWarnings(loaded.warnings);
      const reader = loaded.config.worker.ledger === 'only' ? 'ledger' : 'worker';
      const { runWorker } = await import('../worker/run-worker.ts');
      await runWorker(loaded, (log) => reloaderOf(context, reader, loaded, log), { prepare: true, promotes });
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
      const config = await context.config('mcp-server');
      const { serveStdioUntilClosed } = await import('../mcp/process.ts');
      await serveStdioUntilClosed(config, { name: requester().name, scope });
    });
}

/** What reads this command's configuration again when its process is told to. */
function reloaderOf(context: CliContext, reader: Reader, loaded: LoadedConfig, log: Log): Reloader {
  const options = context.loadOptions(reader === 'mcp-server' ? reader : 'worker');
  return createReloader({ reader, loaded, options, files: configurationFiles, requests: context.reloads, log });
}
