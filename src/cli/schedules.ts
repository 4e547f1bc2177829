import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { textTable } from '../reports/table.ts';
import { readableTime, relativeTime } from '../reports/units.ts';
import type { ScheduleSummary, Schedules } from '../runs/schedules.ts';
import type { CliContext } from './context.ts';
import { byDefault } from './parse.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

interface Json {
  readonly json?: boolean;
}

/** `schedules list|pause|resume|trigger|change`. */
export function scheduleCommands(program: Command, context: CliContext): void {
  const schedules = program.command('schedules').description('See when operations run by themselves, and change it');

  byDefault(schedules.command('list', { isDefault: true }))
    .description('List the schedules with their next runs')
    .option('--json', 'Print them as JSON')
    .action(async ({ json }: Json) => {
      const all = await withTemporal(context, (service) => service.schedules.list());
      if (json) return printJson(all);
      if (all.length === 0) return note('There are no schedules; the service makes them when it starts.');
      const rows = all.map((one) => [
        one.id,
        one.cron,
        one.timeZone,
        one.paused ? 'paused' : nextRun(one),
        one.clockChange ?? '-',
      ]);
      print(textTable(['SCHEDULE', 'CRON', 'TIME ZONE', 'NEXT RUN', 'CLOCK CHANGE'], rows));
      if (all.some(({ clockChange }) => clockChange !== undefined)) {
        print('\nA time that a clock change skips or repeats runs once, when that time is over.');
      }
      for (const { id, problem } of all) if (problem !== undefined) print(`\n${id} is not as configured: ${problem}`);
    });

  const reason = ['--reason <text>', 'Why, for the record', 'asked for on the command line'] as const;
  const change = (name: string, description: string) =>
    schedules.command(`${name} <schedule>`).description(description).option('--json', 'Print it as JSON');
  const run = async (
    json: boolean | undefined,
    work: (schedules: Schedules, by: string) => Promise<ScheduleSummary>,
  ) => {
    const by = requester();
    const changed = await withTemporal(context, (service) => work(service.schedules, `${by.kind}:${by.name}`));
    if (json) printJson(changed);
    else print(describe(changed));
  };

  change('pause', 'Stop it from firing until it is resumed')
    .option(...reason)
    .action((id: string, options: Json & { reason: string }) =>
      run(options.json, (all, by) => all.pause(id, options.reason, by)),
    );
  change('resume', 'Let a paused one fire again')
    .option(...reason)
    .action((id: string, options: Json & { reason: string }) =>
      run(options.json, (all, by) => all.resume(id, options.reason, by)),
    );
  change('trigger', 'Fire it now, under its own overlap policy').action(async (id: string, options: Json) => {
    const lastRun = (one: ScheduleSummary | undefined) => one?.lastRuns.at(-1)?.runId;
    await run(options.json, async (all, by) => {
      const before = lastRun((await all.list()).find((one) => one.id === id));
      const fired = await all.trigger(id, by);
      const started = lastRun(fired);
      note(
        started === undefined || started === before
          ? 'Fired. Its run will show in: npx proxmox-mcp runs'
          : `Started run ${started}\nFollow it with: npx proxmox-mcp runs wait ${started}`,
      );
      return fired;
    });
  });
  change('change', 'Change its time')
    .option('--cron <expression>', 'Five fields: minute hour day month weekday, e.g. "30 4 * * *"')
    .option('--time-zone <zone>', 'IANA time zone, e.g. Europe/Berlin')
    .option('--reset', 'Back to the time of the catalogue')
    .action(async (id: string, options: Json & { cron?: string; timeZone?: string; reset?: boolean }) => {
      const { cron, timeZone, reset } = options;
      if ((cron === undefined && timeZone === undefined) === !reset) {
        throw new ServiceError({
          code: 'invalid-input',
          message: reset
            ? 'A new time and --reset were given, so it is not clear which one is wanted'
            : 'No new time was given, so there is nothing to change',
          remedy: 'Give --cron, --time-zone or both; or --reset alone.',
        });
      }
      const wanted = {
        ...(reset ? { cron: null } : cron !== undefined && { cron }),
        ...(timeZone !== undefined && { timeZone }),
      };
      await run(options.json, (all, by) => all.change(id, wanted, by));
    });
}

/** By the clock of its own time zone. */
function nextRun({ nextRuns: [next], timeZone }: ScheduleSummary): string {
  return next === undefined ? 'never' : `${readableTime(next, timeZone)}, ${relativeTime(next)}`;
}

function describe(one: ScheduleSummary): string {
  const next = one.nextRuns[0] === undefined ? 'never runs: the calendar has no such day' : `next run ${nextRun(one)}`;
  return `${one.id}: ${one.cron} (${one.timeZone}), ${one.paused ? 'paused' : next}${one.clockChange ? `; where the clock changes: ${one.clockChange}` : ''}${one.note ? `. Note: ${one.note}` : ''}`;
}
