import type { Command } from 'commander';
import type { Requester } from '../operations/run.ts';
import type { SwitchState } from '../operations/switch.ts';
import { switchWords, toldLines } from '../reports/switch.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { allowOnHosts, describeHosts, lookAtHosts } from './host-switches.ts';
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
    .summary('Say whether changes are allowed now')
    .description(
      'Say whether changes are allowed now: by the service, and by each host that is reached by commands, which is asked itself.',
    )
    .option('--no-hosts', "Don't ask the hosts")
    .option('--json', 'Print it as JSON')
    .action(async ({ hosts: asksHosts, json }: Json & { hosts: boolean }) => {
      const state = await withTemporal(context, ({ changeSwitch }) => changeSwitch.get());
      const hosts = asksHosts ? await lookAtHosts(context) : [];
      if (json) return printJson({ ...state, ...(asksHosts && { asked: hosts }) });
      print([describe(state), ...toldLines(state, ownTimeZone()), ...describeHosts(hosts)].join('\n'));
    });

  changes
    .command('stop')
    .summary('Stop all changes until an administrator allows them again; anybody may')
    .description(
      'Stop all changes until an administrator allows them again; anybody may. Every host that is reached by commands is told, so that it refuses them itself; one that is away is told again until it has it. Run once more, it tells those at once.',
    )
    .option('--reason <text>', 'Why, for the record', 'asked for on the command line')
    .option('--json', 'Print it as JSON')
    .action(async ({ reason, json }: Json & { reason: string }) => {
      const state = await withTemporal(context, async ({ changeSwitch, ledger }) => {
        const by = requester();
        const before = await changeSwitch.get();
        const stopped = await changeSwitch.stop({ by, why: reason });
        if (!before.on) await remember(ledger, stopped, by, reason);
        if (!stopped.isSeen) return stopped;
        return { ...(await changeSwitch.whenTold(tellMs)), isSeen: true };
      });
      if (json) return printJson(state);
      print([describe(state), ...toldLines(state, ownTimeZone())].join('\n'));
      if (!state.isSeen) note('No worker has said so yet; one that starts does nothing until it is allowed.');
      note('Changes that run stop at their next step, and take back what they did.');
    });

  changes
    .command('allow')
    .summary('Allow changes again; an administrator signs in')
    .description(
      'Allow changes again; an administrator signs in. Each host that was stopped stays so until one of its own administrators lifts that there too: by their signature (--sign), or over their own login (host allow-changes).',
    )
    .requiredOption('--reason <text>', 'Why, for the record')
    .option(
      '--sign <keyfile>',
      'Also sign, with this SSH key of yours, that changes go on on each host where they are stopped; it asks for the passphrase, or for a touch',
    )
    .option('--json', 'Print it as JSON')
    .action(async ({ reason, sign, json }: Json & { reason: string; sign?: string }) => {
      const state = await withTemporal(context, async ({ changeSwitch, ledger }) => {
        const now = await changeSwitch.get();
        note(describe(now));
        if (!now.on) return now;
        const person = await provePerson(context, { doing: 'allow changes again', role: 'administrator' });
        const by: Requester = { kind: 'person', name: person.name };
        const allowed = await changeSwitch.allow({ number: now.number, by, role: person.role, why: reason });
        await remember(ledger, allowed, by, reason);
        (json ? note : print)(describe(allowed));
        return allowed;
      });
      const hosts = await allowOnHosts(context, sign);
      if (json) printJson({ ...state, asked: hosts });
      else for (const line of describeHosts(hosts)) print(line);
      const isLeft = hosts.some(({ state: found }) => found === undefined || found.on);
      if (sign !== undefined && isLeft) context.exitWith(exitCodes.failed);
    });
}

/** How long hosts are waited for that are told. */
const tellMs = 10_000;

async function remember(ledger: LedgerClient, state: SwitchState, by: Requester, why: string): Promise<void> {
  const { recordSwitch } = await import('../runs/switch.ts');
  if (await recordSwitch(ledger, state, by, why)) return;
  note('It could not be written into the ledger, because no worker answers.');
}

/** In a sentence. */
export function describe(state: SwitchState): string {
  return switchWords(state, ownTimeZone());
}
