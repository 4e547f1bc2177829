import { type Command, Option } from 'commander';
import { cleanLine } from '../reports/clean.ts';
import { textTable } from '../reports/table.ts';
import type { CliContext } from './context.ts';
import { byDefault, whole } from './parse.ts';
import { followRun, showRun } from './show-run.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

const statuses = ['running', 'completed', 'failed', 'cancelled', 'terminated', 'timed-out'] as const;

interface ListOptions {
  readonly operation?: string;
  readonly host?: string;
  readonly status?: (typeof statuses)[number];
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: boolean;
}

/** `runs list|get|wait|cancel|log`. */
export function runCommands(program: Command, context: CliContext): void {
  const runs = program.command('runs').description('Look at runs, wait for them, stop them');

  byDefault(runs.command('list', { isDefault: true }))
    .description('List runs, the newest first')
    .option('--operation <name>', 'Only of this operation')
    .option('--host <name>', 'Only of this host')
    .addOption(new Option('--status <status>', 'Only in this state').choices(statuses))
    .option('--limit <number>', 'At most so many', whole('--limit', 1, 200), 20)
    .option('--cursor <cursor>', 'Go on where an earlier list ended')
    .option('--json', 'Print them as JSON')
    .action(async ({ json, ...filter }: ListOptions) => {
      const found = await withTemporal(context, (service) => service.runs.list(filter));
      if (json) return printJson(found);
      if (found.runs.length === 0) return note('There are no such runs.');
      const rows = found.runs.map((run) => [run.startedAt, run.outcome ?? run.status, run.requestedBy ?? '', run.id]);
      print(textTable(['STARTED', 'STATE', 'ASKED BY', 'RUN'], rows));
      if (found.cursor !== undefined) note(`There are more: add --cursor ${found.cursor}`);
    });

  runs
    .command('get <run>')
    .description('Show one run: its steps, its report, or why it failed')
    .option('--json', 'Print it as JSON')
    .action(async (id: string, { json = false }: { json?: boolean }) => {
      showRun(context, await withTemporal(context, (service) => service.runs.get(id)), json);
    });

  runs
    .command('wait <run>')
    .description('Follow a run to its end and print its report')
    .option('--timeout <seconds>', 'How long to wait at most', whole('--timeout', 1, 604_800), 86_400)
    .option('--json', 'Print it as JSON')
    .action(async (id: string, { timeout, json = false }: { timeout: number; json?: boolean }) => {
      await withTemporal(context, async (service) => {
        const run = await service.runs.get(id);
        await followRun(context, service.runs, run, { timeoutMs: timeout * 1_000, json });
      });
    });

  runs
    .command('cancel <run>')
    .description('Ask a run to stop and to undo what it did')
    .option('--reason <text>', 'Why, for the record', 'asked for on the command line')
    .option('--json', 'Print it as JSON')
    .action(async (id: string, { reason, json = false }: { reason: string; json?: boolean }) => {
      const run = await withTemporal(context, (service) => service.runs.cancel(id, reason, requester()));
      if (json) printJson(run);
      else if (run.status === 'running') note(`Asked it to stop. See how it ends with: proxmox-mcp runs wait ${id}`);
      else note(`It has ended: ${run.outcome ?? run.status}.`);
    });

  runs
    .command('decide <run> <choice>')
    .description('Answer what a paused run asks; `runs get` shows its question and the choices')
    .option('--reason <text>', 'Why, for the record')
    .option('--json', 'Print the run as JSON')
    .action(async (id: string, choice: string, { reason, json }: { reason?: string; json?: boolean }) => {
      const answer = { choice, ...(reason === undefined ? {} : { reason }) };
      const run = await withTemporal(context, (service) => service.runs.decide(id, answer, requester()));
      if (json) printJson(run);
      else note(`Answered "${choice}". See how it goes on with: proxmox-mcp runs wait ${id}`);
    });

  runs
    .command('log <run>')
    .description('Print what happened in a run, step by step')
    .option('--json', 'Print it as JSON')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const lines = await withTemporal(context, (service) => service.runs.log(id));
      if (json) printJson(lines);
      else
        print(lines.map(({ at, event, text }) => `${at}  ${event.padEnd(24)}  ${cleanLine(text, 2_000)}`).join('\n'));
    });
}
