import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import type { Doubtful } from '../hosts/install/accept-backup.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableBytes, readableTime } from '../reports/units.ts';
import type { CliContext } from './context.ts';
import { type AgreeOptions, askToAgree, type LoginOptions, reach, withLogin } from './host-login.ts';
import { print } from './terminal.ts';

/** `host accept-backup`: an administrator's word that an archive which holds less than the last good one is as it should be. */
export function acceptBackupCommand(host: Command, context: CliContext): void {
  withLogin(host.command('accept-backup <name> [backup]'))
    .summary('See which archives a host doubts, and let one count')
    .description(
      "Without a backup's id: list the archives on a host that hold less than the last good one did, with what they lack. Such an archive is kept, but counts neither as verified nor for retention. With its id: show that, ask, and let it count, over an administrator's own login as root.",
    )
    .option('--yes', "Don't ask; only with the backup's id")
    .action(async (name: string, backup: string | undefined, options: LoginOptions & Pick<AgreeOptions, 'yes'>) => {
      if (backup === undefined && options.yes) throw nothingNamed(name);
      const { acceptDoubted, findDoubted } = await import('../hosts/install/accept-backup.ts');
      const { config, ...access } = await reach(context, name, options);
      if (backup === undefined) {
        const found = await findDoubted(config, access);
        if (found.doubted.length === 0) return print(`No archive on ${name} is doubted.`);
        const how = `To let one count, if it is as it should be: npx proxmox-mcp host accept-backup ${name} ID`;
        return print([...describe(found), how].join('\n'));
      }
      const agree = askToAgree(`let it count on ${name}`, options);
      const outcome = await acceptDoubted(config, backup, { ...access, agree: (found) => agree(describe(found)) });
      if (outcome === 'counts-already') print(`${backup} on ${name} counts already: nothing to do.`);
      if (outcome === 'accepted') print(`${backup} on ${name} counts from now on.`);
    });
}

function describe({ doubted, lastGood }: Doubtful): readonly string[] {
  return [
    ...doubted.flatMap(({ doubts, ...archive }) => [
      `${nameAndAge(archive)} is doubted:`,
      ...doubts.map((doubt) => `  - ${cleanLine(doubt, 300)}`),
    ]),
    lastGood === undefined ? 'There is no archive that counts.' : `The last good one: ${nameAndAge(lastGood)}`,
  ];
}

function nameAndAge({ id, bytes, publishedAt }: Omit<Doubtful['doubted'][number], 'doubts'>): string {
  const when = publishedAt === undefined ? '' : `, ${readableTime(publishedAt)}`;
  return `${id} (${readableBytes(bytes)}${when})`;
}

function nothingNamed(name: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: '--yes says yes to one archive, and none is named',
    remedy: `See which are doubted: npx proxmox-mcp host accept-backup ${name}; then give its id and --yes.`,
  });
}
