import type { Command } from 'commander';
import { principalText, type Requester } from '../operations/run.ts';
import type { SwitchState } from '../operations/switch.ts';
import { readableTime } from '../reports/units.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import type { CliContext } from './context.ts';
import { byDefault } from './parse.ts';
import { provePerson } from './prove.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, ownTimeZone, print, printJson } from './terminal.ts';

interface Json {
  readonly json?: boolean;
}

/** `changes show|stop|allow`: the kill switch. */
export function changesCommands(program: Command, context: CliContext): void {
  const changes = program.command('changes').description('The kill switch: stop everything that changes something');

  byDefault(changes.command('show', { isDefault: true }))
    .description('Say whether changes are allowed now')
    .option('--json', 'Print it as JSON')
    .action(async ({ json }: Json) => {
      const state = await withTemporal(context, ({ changeSwitch }) => changeSwitch.get());
      if (json) printJson(state);
      else print(describe(state));
    });

  changes
    .command('stop')
    .description('Stop all changes until an administrator allows them again; anybody may')
    .option('--reason <text>', 'Why, for the record', 'asked for on the command line')
    .option('--json', 'Print it as JSON')
    .action(async ({ reason, json }: Json & { reason: string }) => {
      const state = await withTemporal(context, async ({ changeSwitch, ledger }) => {
        const by = requester();
        const stopped = await changeSwitch.stop({ by, why: reason });
        await remember(ledger, stopped, by, reason);
        return stopped;
      });
      if (json) return printJson(state);
      print(describe(state));
      if (!state.isSeen) note('No worker has said so yet; one that starts does nothing until it is allowed.');
      note('Changes that run stop at their next step, and take back what they did.');
    });

  changes
    .command('allow')
    .description('Allow changes again; an administrator signs in')
    .requiredOption('--reason <text>', 'Why, for the record')
    .option('--json', 'Print it as JSON')
    .action(async ({ reason, json }: Json & { reason: string }) => {
      const state = await withTemporal(context, async ({ changeSwitch, ledger }) => {
        const now = await changeSwitch.get();
        note(describe(now));
        if (!now.on) return now;
        const person = await provePerson(context, { doing: 'allow changes again', role: 'administrator' });
        const by: Requester = { kind: 'person', name: person.name };
        const allowed = await changeSwitch.allow({ number: now.number, by, role: person.role, why: reason });
        await remember(ledger, allowed, by, reason);
        print(describe(allowed));
        return allowed;
      });
      if (json) printJson(state);
    });
}

/** Where no worker answers it is written down by nobody: the switch itself counts all the same. */
async function remember(ledger: LedgerClient, state: SwitchState, by: Requester, why: string): Promise<void> {
  const said = state.on ? 'All changes were stopped' : 'Changes were allowed again';
  try {
    await ledger.record([
      {
        key: `switch/${state.number}/${state.on ? 'on' : 'off'}`,
        kind: 'switch',
        by: principalText(by),
        text: `${said}: ${why}`.slice(0, 1_000),
        data: { ...state },
      },
    ]);
  } catch {
    note('It could not be written into the ledger, because no worker answers.');
  }
}

/** In a sentence. */
export function describe({ on, since, by, why }: SwitchState): string {
  if (since === undefined) return 'Changes are allowed.';
  const who = by === undefined ? '' : ` by ${by.name}`;
  const reason = why ? `: ${why}` : '';
  const words = on ? 'All changes are stopped' : 'Changes are allowed';
  return `${words} since ${readableTime(since, ownTimeZone())}${who}${reason}`;
}
