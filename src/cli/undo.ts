import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { whole } from './parse.ts';
import { followRun } from './show-run.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

interface UndoOptions {
  readonly dryRun?: boolean;
  readonly wait: boolean;
  readonly timeout: number;
  readonly json?: boolean;
}

/** `runs undo`. */
export function undoCommand(runs: Command, context: CliContext): void {
  runs
    .command('undo <run>')
    .description('Take back what a finished run has changed, by a run of its own')
    .option('--dry-run', 'Only plan it; nothing is changed')
    .option('--no-wait', "Return as soon as the run is started; don't follow it")
    .option(
      '--timeout <seconds>',
      'How long to follow it at most; the run itself goes on',
      whole('--timeout', 1, 604_800),
      86_400,
    )
    .option('--json', 'Print the run as JSON')
    .action(async (id: string, { dryRun = false, wait, timeout, json = false }: UndoOptions) => {
      await withTemporal(context, async ({ runs: all }) => {
        const run = await all.undo(id, requester(), { dryRun });
        note(`${run.existing ? 'Found' : 'Started'} run ${run.id}\n${run.url}`);
        if (wait) await followRun(context, all, run, { timeoutMs: timeout * 1_000, json });
        else if (json) printJson(run);
        else print(run.id);
      });
    });
}
