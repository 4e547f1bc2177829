import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import { textTable } from '../reports/table.ts';
import { readableTime } from '../reports/units.ts';
import type { CliContext } from './context.ts';
import { type AgreeOptions, askToAgree, type LoginOptions, reach, withLogin } from './host-login.ts';
import { print } from './terminal.ts';

type Options = LoginOptions & Pick<AgreeOptions, 'yes'> & { readonly name?: string };

/** `host administrators` and `host allow-changes`: what a host does only when one of its administrators says so. */
export function hostAdministratorsCommands(host: Command, context: CliContext): void {
  withLogin(host.command('administrators <host> [action] [what]'))
    .summary('See, add or remove those whose signatures a host takes')
    .description(
      "list (the default): whose signatures this host takes for plans, and for letting changes go on. add KEYFILE --name NAME: put a public key on that list. remove NAME: take one off it, which counts at once. Over an administrator's own login as root: the service can't change the list.",
    )
    .option('--name <name>', 'With add: who the key is of')
    .option('--yes', "Don't ask")
    .action(async (name: string, action = 'list', what: string | undefined, options: Options) => {
      const on = await import('../hosts/install/host-administrators.ts');
      if (action === 'list' && what === undefined) {
        const { config, ...access } = await reach(context, name, options);
        const listed = await on.administratorsOf(config, access);
        if (listed.length === 0) return print(`${name} takes nobody's signature: its list is empty.`);
        return print(
          textTable(
            ['NAME', 'KEY', 'FINGERPRINT'],
            listed.map((one) => [one.name, cleanLine(one.type, 60), cleanLine(one.fingerprint, 60)]),
          ),
        );
      }
      if (action === 'add' && what !== undefined && options.name !== undefined) {
        const key = on.readPublicKey(what);
        const { config, ...access } = await reach(context, name, options);
        const agree = askToAgree(`add an administrator on ${name}`, options);
        const outcome = await on.addToHost(config, { name: options.name, key }, { ...access, agree });
        if (outcome === 'added') print(`${name} takes signatures of ${options.name} from now on.`);
        return;
      }
      if (action === 'remove' && what !== undefined) {
        const { config, ...access } = await reach(context, name, options);
        const agree = askToAgree(`remove an administrator on ${name}`, options);
        const outcome = await on.removeFromHost(config, what, { ...access, agree });
        if (outcome === 'removed') print(`${name} takes no signature of ${what} any more.`);
        return;
      }
      throw new ServiceError({
        code: 'invalid-input',
        message: `"${[action, what].filter(Boolean).join(' ')}" is nothing that can be done with the administrators of ${name}`,
        remedy: `Say: npx proxmox-mcp host administrators ${name} list, or add KEYFILE --name NAME, or remove NAME.`,
      });
    });

  withLogin(host.command('allow-changes <host>'))
    .summary('Let changes go on on a host where they are stopped')
    .description(
      "Lift the kill switch of a host by hand, over an administrator's own login as root: for when no signature is at hand, or the host's record of the switch is damaged.",
    )
    .option('--yes', "Don't ask")
    .action(async (name: string, options: Options) => {
      const { allowChangesOn } = await import('../hosts/install/host-administrators.ts');
      const { config, ...access } = await reach(context, name, options);
      const agree = askToAgree(`let changes go on on ${name}`, options);
      const outcome = await allowChangesOn(config, {
        ...access,
        agree: ({ since, by = 'somebody', why = 'nobody knows why' }) =>
          agree([
            `lift the stop${since === undefined ? '' : ` of ${readableTime(since, config.timeZone)}`}, by ${by}: ${why}`,
          ]),
      });
      if (outcome === 'not-stopped') print(`Changes aren't stopped on ${name}: nothing to do.`);
      if (outcome === 'allowed') print(`Changes go on on ${name}.`);
    });
}
