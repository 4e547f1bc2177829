import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { type LoginOptions, reach, withLogin } from './host-login.ts';
import { print } from './terminal.ts';

/** `host protect-backup`: an administrator's word that an archive stays, whatever retention says. */
export function protectBackupCommand(host: Command, context: CliContext): void {
  withLogin(host.command('protect-backup <name> [backup]'))
    .summary('Keep an archive whatever retention says, or no longer')
    .description(
      "Without a backup's id: list the archives on a host that are protected. With its id: protect it, so that the host itself refuses to remove it, until it is lifted with --lift. Over an administrator's own login as root: the service and its tools can do neither.",
    )
    .option('--lift', 'It is no longer protected')
    .action(async (name: string, backup: string | undefined, options: LoginOptions & { readonly lift?: boolean }) => {
      const { findProtected, setProtection } = await import('../hosts/install/protect-backup.ts');
      const { config, ...access } = await reach(context, name, options);
      if (backup === undefined) {
        const found = await findProtected(config, access);
        return print(found.length === 0 ? `No archive on ${name} is protected.` : found.join('\n'));
      }
      const outcome = await setProtection(config, backup, options.lift ? 'lift' : 'set', access);
      const state = options.lift ? 'not protected' : 'protected';
      print(`${backup} on ${name} is ${state}${outcome === 'changed' ? ' from now on' : ' already: nothing to do'}.`);
    });
}
