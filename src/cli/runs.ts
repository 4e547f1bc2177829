import { type Command, Option } from 'commander';
import { momentForm } from '../moment.ts';
import { type Verdict, verdict } from '../operations/finding.ts';
import { cleanLine } from '../reports/clean.ts';
import { textTable } from '../reports/table.ts';
import { readableTime, relativeTime } from '../reports/units.ts';
import { verdictWords } from '../reports/verdicts.ts';
import type { RunSummary } from '../runs/runs.ts';
import { runState } from '../runs/schema.ts';
import type { CliContext } from './context.ts';
import { decideCommands } from './decide.ts';
import { byDefault, whole } from './parse.ts';
import { followRun, showRun } from './show-run.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, ownTimeZone, print, printJson } from './terminal.ts';
import { undoCommand } from './undo.ts';

interface ListOptions {
  readonly operation?: string;
  readonly host?: string;
  readonly state?: RunSummary['state'];
  readonly verdict?: Verdict;
  readonly since?: string;
  readonly until?: string;
  readonly by?: string;
  readonly undoable?: boolean;
  readonly dryRuns?: boolean;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: boolean;
}

/** `runs list|get|wait|cancel|undo|decide|log`. */
export function runCommands(program: Command, context: CliContext): void {
  const runs = program.command('runs').description('Look at runs, wait for them, stop them');

  byDefault(runs.command('list', { isDefault: true }))
    .description('List runs, the newest first')
    .option('--operation <name>', 'Only of this operation')
    .option('--host <name>', 'Only of this host')
    .addOption(new Option('--state <state>', 'Only in this state; running: all that go on').choices(runState.options))
    .addOption(new Option('--verdict <verdict>', 'Only whose report says this').choices(verdict.options))
    .option('--since <time>', `Only those that started since then: ${momentForm}`)
    .option('--until <time>', 'Only those that started before then')
    .option('--by <who>', 'Only those that they asked for: mcp:claude, claude, schedule')
    .option('--undoable', 'Only changes that runs undo can take back now')
    .option('--dry-runs', 'Also those that only planned')
    .option('--limit <number>', 'At most so many', whole('--limit', 1, 200), 20)
    .option('--cursor <cursor>', 'Go on where an earlier list ended')
    .option('--json', 'Print them as JSON')
    .action(async ({ json, by, ...filter }: ListOptions) => {
      const asked = { ...filter, ...(by === undefined ? {} : { requestedBy: by }), timeZone: ownTimeZone() };
      const found = await withTemporal(context, ({ runs: all }) => all.list(asked));
      if (json) return printJson(found);
      if (found.runs.length === 0) return note('There are no such runs.');
      print(textTable(['STARTED', '', 'STATE', 'VERDICT', 'ASKED BY', 'UNDO', 'RUN'], found.runs.map(rowOf)));
      for (const { id, undo } of filter.undoable ? found.runs : []) {
        if (undo !== undefined) print(`\n${undo.text}\nUndo it with: npx proxmox-mcp runs undo ${id}`);
      }
      for (const { id, question } of found.runs) {
        if (question !== undefined)
          print(`\n${id} waits for a person: ${question.text}\nSee: npx proxmox-mcp runs get ${id}`);
      }
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
      else if (run.closedAt === undefined)
        note(`Asked it to stop. See how it ends with: npx proxmox-mcp runs wait ${run.id}`);
      else note(`It has ended: ${run.state}.`);
    });

  undoCommand(runs, context);
  decideCommands(runs, context);

  runs
    .command('log <run>')
    .description('Print what happened in a run, step by step')
    .option('--json', 'Print it as JSON')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const lines = await withTemporal(context, (service) => service.runs.log(id));
      if (json) printJson(lines);
      else
        print(lines.map(({ at, text }) => `${readableTime(at, ownTimeZone())}  ${cleanLine(text, 2_000)}`).join('\n'));
    });
}

/** Its day on the wall of who reads it. */
function day(iso: string): string {
  return readableTime(iso, ownTimeZone()).slice(0, 10);
}

/** What is not as it should be is in capitals, as in reports. */
function rowOf({ startedAt, state, verdict, dryRun, requestedBy = '', undo, id }: RunSummary): readonly string[] {
  const shown = dryRun && state !== 'planned' ? `${state} (dry run)` : state;
  return [
    readableTime(startedAt, ownTimeZone()),
    relativeTime(startedAt),
    shown,
    verdict === undefined ? '' : verdictWords[verdict],
    requestedBy,
    undo?.until === undefined ? (undo?.by === undefined ? '' : 'asked for') : `until ${day(undo.until)}`,
    id,
  ];
}
