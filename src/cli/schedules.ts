import { type Command, Option } from 'commander';
import { ServiceError } from '../errors.ts';
import type { OperationDefinition } from '../operations/definition.ts';
import { type RunCondition, runCondition } from '../operations/run.ts';
import { textTable } from '../reports/table.ts';
import { operations } from '../runs/find-operation.ts';
import { inputFields, readField } from '../runs/input-fields.ts';
import { nextRun, scheduleText, waitsFor } from '../runs/schedule-text.ts';
import type { ScheduleSummary, Schedules } from '../runs/schedules.ts';
import { aheadForm, everyForm } from '../runs/when.ts';
import type { CliContext } from './context.ts';
import { byDefault } from './parse.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';
import { writeDown } from './write-down.ts';

interface Json {
  readonly json?: boolean;
}

interface AddOptions extends Json {
  readonly at?: string;
  readonly every?: string;
  readonly if?: RunCondition;
  readonly name?: string;
}

/** `schedules list|add|remove|pause|resume|trigger|change`. */
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
      for (const one of all) {
        const waits = one.paused ? [] : waitsFor(one);
        if (waits.length > 0) print(`\n${one.id}: ${waits.join(' ')}`);
      }
      for (const { id, problem } of all) if (problem !== undefined) print(`\n${id} is not as configured: ${problem}`);
    });

  const reason = ['--reason <text>', 'Why, for the record', 'asked for on the command line'] as const;
  const change = (name: string, description: string) =>
    schedules.command(`${name} <schedule>`).description(description).option('--json', 'Print it as JSON');
  const run = async (
    json: boolean | undefined,
    text: string,
    work: (schedules: Schedules, by: string) => Promise<ScheduleSummary>,
  ) => {
    const by = requester();
    const changed = await withTemporal(context, (service) => work(service.schedules, `${by.kind}:${by.name}`));
    await writeDown(context, { kind: 'schedule', by, text });
    if (json) printJson(changed);
    else print(scheduleText(changed));
  };

  schedules
    .command('add <operation> [input...]')
    .description('Do any operation later or again and again; its input as field=value, as its own command takes it')
    .option('--at <time>', `Once: ${aheadForm}`)
    .option('--every <time>', `Again and again: ${everyForm}`)
    .addOption(
      new Option(
        '--if <condition>',
        "Only if its host's check says so right before; healthy: ok, not-failing: or a warning",
      ).choices(runCondition.options),
    )
    .option('--name <name>', 'The second part of its id; default: made of the time')
    .option('--json', 'Print it as JSON')
    .addHelpText(
      'after',
      '\nExample: npx proxmox-mcp schedules add control-guest host=pve2 vmid=100 action=reboot --at "sun 23:00" --if healthy',
    )
    .action(async (operation: string, fields: string[], options: AddOptions) => {
      const { at, every, if: condition, name, json } = options;
      const definition = operations[operation];
      const input = inputOfFields(definition, fields);
      const request = { operation, input, at, every, condition, name };
      const { existing, ...made } = await withTemporal(context, (service) =>
        service.schedules.add(request, requester()),
      );
      if (json) printJson(made);
      else print(`${existing ? 'It was scheduled already' : 'Scheduled'}. ${scheduleText(made)}`);
    });
  schedules
    .command('remove <schedule>')
    .description('Remove one that was added; a run of it that only waits for its time is cancelled')
    .option('--json', 'Print it as JSON')
    .action(async (id: string, { json }: Json) => {
      const removed = await withTemporal(context, (service) => service.schedules.remove(id, requester()));
      if (json) return printJson(removed);
      print(`Removed ${id}.`);
      for (const run of removed.cancelled) print(`Cancelled, which waited for its time: ${run}`);
    });
  change('pause', 'Stop it from firing until it is resumed')
    .option(...reason)
    .action((id: string, options: Json & { reason: string }) =>
      run(options.json, `Paused the schedule ${id}: ${options.reason}`, (all, by) => all.pause(id, options.reason, by)),
    );
  change('resume', 'Let a paused one fire again')
    .option(...reason)
    .action((id: string, options: Json & { reason: string }) =>
      run(options.json, `Resumed the schedule ${id}: ${options.reason}`, (all, by) =>
        all.resume(id, options.reason, by),
      ),
    );
  change('trigger', 'Fire it now, under its own overlap policy').action(async (id: string, options: Json) => {
    const lastRun = (one: ScheduleSummary | undefined) => one?.lastRuns.at(-1)?.runId;
    await run(options.json, `Fired the schedule ${id}`, async (all, by) => {
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
      const to = reset ? 'back to the time of the catalogue' : Object.values(wanted).join(', ');
      await run(options.json, `Changed the schedule ${id}: ${to}`, (all, by) => all.change(id, wanted, by));
    });
}

/** `host=pve2 vmid=100`, each as its field's type; the schema itself is checked later. */
function inputOfFields(operation: OperationDefinition | undefined, fields: readonly string[]): Record<string, unknown> {
  const known = operation === undefined ? [] : inputFields(operation);
  const pairs = fields.map((text) => {
    const [, name, value] = /^([A-Za-z]\w*)=(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      throw new ServiceError({
        code: 'invalid-input',
        message: `"${text}" is no field of an input, and nothing was scheduled`,
        remedy: 'Write each as field=value, e.g. host=pve1.',
      });
    }
    const field = known.find((one) => one.name === name);
    return [name, readField(field, value)] as const;
  });
  return Object.fromEntries(pairs);
}
