import type { Command } from 'commander';
import { defaultKeep, type KeepOfKinds, type KeptBackup } from '../backups/plan-retention.ts';
import { keepText, parseKeep } from '../backups/retention.ts';
import { type SimulatedEnd, simulateRetention } from '../backups/simulate.ts';
import { keep as keepType, oneOf } from '../config/value-types.ts';
import { momentOf } from '../moment.ts';
import { backUp } from '../operations/back-up.ts';
import { type BackupKind, backupKinds } from '../operations/backup-id.ts';
import { textTable } from '../reports/table.ts';
import { readableDuration, readableTime } from '../reports/units.ts';
import { occurrences } from '../runs/occurrences.ts';
import { backupsFetchCommand } from './backups-fetch.ts';
import type { CliContext } from './context.ts';
import { typed, whole } from './parse.ts';
import { note, print, printJson } from './terminal.ts';

interface SimulateOptions {
  readonly kind: BackupKind;
  readonly keep?: string;
  readonly schedule?: string;
  readonly from: string;
  readonly days: number;
  readonly host?: string;
  readonly json?: boolean;
}

/** When one of the kind is made, unless somebody has changed that. */
function scheduleOf(kind: BackupKind): string {
  const schedule = backUp.schedules.find(({ input }) => input.kind === kind);
  if (schedule === undefined) throw new Error(`no schedule makes ${kind} backups`);
  return schedule.cron;
}

const dayMs = 86_400_000;

/** `backups simulate` and `backups fetch`. */
export function backupsCommands(program: Command, context: CliContext): void {
  const backups = program.command('backups').description('See what becomes of backups, and take files out of them');
  backupsFetchCommand(backups, context);
  backups
    .command('simulate')
    .summary('What would be left after a year of these rules')
    .description(
      "What would be left of the backups of a host after a year, with which rule keeps each. Nothing is made or removed. With --host it begins with the archives that are there, and takes that host's rules and time zone.",
    )
    .option(
      '--keep <rules>',
      "Proxmox's rules: keep-last=3,keep-weekly=4 (default: those that are configured)",
      typed(keepType),
    )
    .option('--kind <kind>', `${backupKinds.join(', ')}`, typed(oneOf(...backupKinds)), 'daily' as const)
    .option('--schedule <cron>', 'When one is made: minute hour day month weekday (default: as the guide)')
    .option('--from <time>', 'When it begins: now, or a date', 'now')
    .option('--days <number>', 'For how many days', whole('--days', 1, 3_660), 365)
    .option('--host <name>', 'Begin with what is on this host')
    .option('--json', 'Print it as JSON')
    .action(async (options: SimulateOptions) => {
      const { kind, host } = options;
      const begun = host === undefined ? nowhere : await archivesOn(context, host);
      const keep = (options.keep === undefined ? undefined : parseKeep(options.keep)) ?? begun.keep[kind];
      const cron = options.schedule ?? scheduleOf(kind);
      const from = Date.parse(momentOf(options.from, '--from', begun.timeZone));
      const until = from + options.days * dayMs;
      const times = [...occurrences(cron, begun.timeZone, from, until)];
      const end = simulateRetention({ kind, keep, timeZone: begun.timeZone, times, before: begun.backups });
      if (options.json) return printJson({ keep: keepText(keep), schedule: cron, ...end });
      const head = `${kind} backups, made at "${cron}" (${begun.timeZone}), kept by ${keepText(keep)}`;
      print(
        [
          `${head}; what would be left at ${readableTime(new Date(until).toISOString(), begun.timeZone)}:`,
          '',
          table(end, until, begun.timeZone),
        ].join('\n'),
      );
      note(summaryOf(end, until));
    });
}

interface Begun {
  readonly backups: readonly KeptBackup[];
  readonly keep: KeepOfKinds;
  readonly timeZone: string;
}

const nowhere: Begun = { backups: [], keep: defaultKeep, timeZone: 'UTC' };

async function archivesOn(context: CliContext, name: string): Promise<Begun> {
  const config = await context.config();
  const [
    { connectHosts },
    { createLogger },
    { createRedact },
    { secretsOf },
    { keptBackups, keepOf },
    { listBackups },
  ] = await Promise.all([
    import('../hosts/connect-hosts.ts'),
    import('../logger.ts'),
    import('../secret.ts'),
    import('../config/secrets.ts'),
    import('../hosts/commands/back-up/kept-backups.ts'),
    import('../hosts/commands/back-up/archives.ts'),
  ]);
  const log = createLogger({ level: 'error', name: 'cli' });
  const hosts = connectHosts(config, { log, redact: createRedact(secretsOf(config)) });
  try {
    const host = hosts.get(name);
    const { backups } = keptBackups(await host.run(listBackups, {}));
    return { backups, keep: keepOf(host.config), timeZone: host.config.timeZone };
  } finally {
    await hosts.close();
  }
}

function table({ left }: SimulatedEnd, until: number, timeZone: string): string {
  const rows = left.map(({ id, time, why }) => [
    id,
    readableTime(new Date(time).toISOString(), timeZone),
    readableDuration(until - time),
    why,
  ]);
  return textTable(['BACKUP', 'TAKEN', 'AGE', 'STAYS BY'], rows);
}

function summaryOf({ left, made, most, refused }: SimulatedEnd, until: number): string {
  const oldest = left.at(-1);
  return [
    `${made} made, ${left.length} left, ${most} at once at most`,
    oldest === undefined ? '' : `; the oldest is ${readableDuration(until - oldest.time)} old`,
    refused === undefined ? '.' : `. Old ones stay: ${refused}.`,
  ].join('');
}
