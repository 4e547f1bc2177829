import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { asCalledHere } from '../command-name.ts';
import { explain, ServiceError } from '../errors.ts';
import { packageVersion } from '../package.ts';
import { noReloadRequests, type ReloadRequests } from '../service/reload-requests.ts';
import { backupsCommands } from './backups.ts';
import { changesCommands } from './changes.ts';
import { configCommands } from './config.ts';
import { type CommandGroup, type ContextEdge, createContext, type GlobalOptions, inheritOptions } from './context.ts';
import { copiesCommands } from './copies.ts';
import { doctorCommand } from './doctor.ts';
import { exitCodes } from './exit-codes.ts';
import { guestCommands } from './guests.ts';
import { hostCommands } from './host.ts';
import { ledgerCommands } from './ledger.ts';
import { mcpClientCommands } from './mcp-client.ts';
import { moveCommands } from './move.ts';
import { operationCommands } from './operations.ts';
import { peopleCommands } from './people.ts';
import { policyCommands } from './policy.ts';
import { restoredCommand, restoreServiceCommand } from './restored.ts';
import { runCommands } from './runs.ts';
import { scheduleCommands } from './schedules.ts';
import { serviceCommands } from './service.ts';
import { statusCommand } from './status.ts';
import { fromFileSystem } from './system-error.ts';
import { note } from './terminal.ts';
import { tokenCommands } from './token.ts';
import { workersCommands } from './workers.ts';

const groups: readonly (readonly [heading: string, group: CommandGroup])[] = [
  ['Service:', serviceCommands],
  ['Service:', statusCommand],
  ['Service:', restoredCommand],
  ['Service:', restoreServiceCommand],
  ['Guests:', guestCommands],
  ['Operations:', operationCommands],
  ['Runs and schedules:', runCommands],
  ['Runs and schedules:', scheduleCommands],
  ['Runs and schedules:', changesCommands],
  ['Runs and schedules:', ledgerCommands],
  ['Backups:', backupsCommands],
  ['Service:', workersCommands],
  ['Runs and schedules:', copiesCommands],
  ['Set-up:', configCommands],
  ['Set-up:', doctorCommand],
  ['Set-up:', hostCommands],
  ['Set-up:', tokenCommands],
  ['Set-up:', peopleCommands],
  ['Set-up:', policyCommands],
  ['Set-up:', moveCommands],
  ['MCP client:', mcpClientCommands],
];

/**
 * Runs one command line (without node and script); resolves with the exit code, never rejects.
 *
 * @param reloads for commands that run on; default: nobody asks
 */
export async function runCli(args: readonly string[], reloads: ReloadRequests = noReloadRequests): Promise<number> {
  let exitCode: number = exitCodes.ok;
  let outputLost: (() => void) | undefined;
  const { program, options } = createProgram({
    reloads,
    exitWith(code) {
      exitCode = code;
    },
    whenOutputLost(handler) {
      outputLost = handler;
    },
  });
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Who must end something first does that.
    if (outputLost) return outputLost();
    // `proxmox-mcp runs list | head` closes the pipe early: that is no error.
    if (error.code === 'EPIPE') process.exit(exitCodes.ok);
    note(`The output can't be written (${error.code}).`);
    process.exit(exitCodes.failed);
  });
  process.stderr.on('error', () => outputLost?.());
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return reportError(error, options().debug === true);
  } finally {
    outputLost = undefined;
  }
}

/** The commander program with every command. */
export function createProgram(edge: ContextEdge): {
  readonly program: Command;
  readonly options: () => GlobalOptions;
} {
  const program = new Command('proxmox-mcp');
  const options = () => program.opts<GlobalOptions>();
  program
    .description('Durable automation for Proxmox VE hosts: health checks, backups and more as Temporal workflows.')
    .version(packageVersion(), '-V, --version', 'Print the version')
    .helpOption('-h, --help', 'Explain the command')
    .helpCommand(false)
    .option('--config-dir <folder>', "Folder of .env and hosts.yaml (default: the project's own)", (path) =>
      resolve(path),
    )
    .option('--set <KEY=value>', 'Set a key of .env for this command; repeatable', collect)
    .option('--debug', 'Print where an error came from')
    .addHelpText('after', helpEnd)
    .showHelpAfterError('Add --help to see what it takes.')
    .exitOverride()
    // Its errors repeat what was typed, which may be what somebody else wrote.
    .configureOutput({ writeErr: note, writeOut: (text) => process.stdout.write(asCalledHere(text)) })
    .hook('preAction', () => inheritOptions(options()));
  const context = createContext(options, edge);
  for (const [heading, group] of groups) {
    program.commandsGroup(heading);
    group(program, context);
  }
  return { program, options };
}

const helpEnd = `
Examples:
  npx proxmox-mcp start                          the service, as npm start does
  npx proxmox-mcp check-health --host pve1       a host's report, now
  npx proxmox-mcp back-up --host pve1 --dry-run  what a backup would do
  npx proxmox-mcp doctor                         why something doesn't work
  npx proxmox-mcp token create claude --scope operate

Exit codes: 0 done; 1 it failed, or a run that was waited for isn't done yet;
2 wrong input or configuration, nothing was done; 130 interrupted (a run that
was being waited for goes on).
The configuration is described in docs/configuration.md.`;

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** The one place where errors become text for the terminal. */
function reportError(thrown: unknown, debug: boolean): number {
  const error = fromFileSystem(thrown) ?? thrown;
  // Commander has printed what was wrong, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.invalid;
  if (debug && thrown instanceof Error) note(thrown.stack ?? thrown.message);
  if (error instanceof ServiceError) {
    note(explain(error));
    if (error.code === 'cancelled') return exitCodes.interrupted;
    return error.code === 'invalid-input' || error.code === 'configuration' ? exitCodes.invalid : exitCodes.failed;
  }
  const text = error instanceof Error ? error.message : String(error);
  note(
    `Something unexpected happened: ${text}. ${debug ? 'Please report it with the lines above.' : 'Run it again with --debug to see where.'}`,
  );
  return exitCodes.failed;
}
