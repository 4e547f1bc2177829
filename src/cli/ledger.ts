import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../config.ts';
import { momentForm } from '../moment.ts';
import { type LedgerAnchor, type LedgerRecord, type LedgerVerification, recordKind } from '../operations/ledger.ts';
import { cleanLine } from '../reports/clean.ts';
import { ledgerColumns, ledgerRow, verificationLines } from '../reports/ledger.ts';
import { textTable } from '../reports/table.ts';
import { readableTime } from '../reports/units.ts';
import { runUrl } from '../run-url.ts';
import { anchorsIn, mostAnchors } from '../runs/anchors.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { byDefault, whole } from './parse.ts';
import { withTemporal } from './temporal.ts';
import { note, ownTimeZone, print, printJson } from './terminal.ts';

interface FilterOptions {
  readonly run?: string;
  readonly kind?: LedgerRecord['kind'];
  readonly by?: string;
  readonly operation?: string;
  readonly target?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: boolean;
}

interface VerifyOptions {
  readonly anchors?: string;
  readonly from?: string;
  readonly folder?: string;
  readonly json?: boolean;
}

/** `ledger list|search|show|verify`. */
export function ledgerCommands(program: Command, context: CliContext): void {
  const ledger = program.command('ledger').description('What was asked for, decided and done, for good');

  filtered(byDefault(ledger.command('list', { isDefault: true })))
    .description('List records, the newest first')
    .action((options: FilterOptions) => list(context, undefined, options));

  filtered(ledger.command('search <words...>'))
    .description('List records that hold all these words; nginx* is what begins so')
    .action((words: string[], options: FilterOptions) => list(context, words.join(' '), options));

  ledger
    .command('show <number>')
    .description('Show one record with everything that it holds')
    .option('--json', 'Print it as JSON')
    .action(async (number: string, { json }: { json?: boolean }) => {
      const seq = whole('The number of a record', 1, 999_999_999_999)(number);
      const record = await withTemporal(context, (service) => service.ledger.get(seq));
      if (json) printJson(record);
      else print(describe(record, await context.config()));
    });

  ledger
    .command('verify')
    .description('Look whether every record is as it was written, and none is away')
    .option('--anchors <file>', 'Compare with heads that were written down elsewhere: lines that end with NUMBER HASH')
    .option('--from <host>', 'Compare with the heads in the journal of this host')
    .option('--folder <folder>', 'Verify this copy of a ledger, whether the service runs or not')
    .option('--json', 'Print what was found as JSON')
    .action(async (options: VerifyOptions) => {
      const anchors = [
        ...(options.anchors === undefined ? [] : anchorsIn(readFileSync(options.anchors, 'utf8'), options.anchors)),
        ...(options.from === undefined ? [] : await anchorsOf(context, options.from)),
      ];
      const found = await verify(context, anchors, options.folder);
      if (options.json) printJson(found);
      else print(verificationLines(found, ownTimeZone()).join('\n'));
      if (found.verdict === 'broken') context.exitWith(exitCodes.failed);
    });
}

function filtered(command: Command): Command {
  return command
    .option('--run <run>', 'Only of this run')
    .addOption(new Option('--kind <kind>', 'Only of this kind').choices(recordKind.options))
    .option('--by <who>', 'Only by this one: person:anna, mcp:claude, cli:root')
    .option('--operation <name>', 'Only of this operation')
    .option('--target <target>', 'Only of this host, or host/VMID')
    .option('--since <time>', `Only since then: ${momentForm}`)
    .option('--until <time>', 'Only before then')
    .option('--limit <number>', 'At most so many', whole('--limit', 1, 200), 20)
    .option('--cursor <cursor>', 'Go on where an earlier list ended')
    .option('--json', 'Print them as JSON');
}

async function list(context: CliContext, text: string | undefined, { json, ...filter }: FilterOptions): Promise<void> {
  const page = await withTemporal(context, ({ ledger }) =>
    ledger.search({ ...filter, ...(text !== undefined && { text }) }, ownTimeZone()),
  );
  if (json) return printJson(page);
  for (const segment of page.missing) note(`Segment ${segment} of the ledger is away: nothing was looked for in it.`);
  if (page.records.length === 0) return note('There are no such records.');
  print(
    textTable(
      ledgerColumns,
      page.records.map((record) => ledgerRow(record, ownTimeZone())),
    ),
  );
  if (page.cursor !== undefined) note(`There are more: add --cursor ${page.cursor}`);
}

function describe(record: LedgerRecord, config: Config): string {
  const { seq, at, kind, by, operation, target, run, attempt, text, data, key, previous, hash } = record;
  const line = (name: string, value: string | undefined) =>
    value === undefined ? [] : [`${`${name}:`.padEnd(11)}${cleanLine(value, 600)}`];
  return [
    cleanLine(text, 2_000),
    '',
    ...line('Number', String(seq)),
    ...line('When', readableTime(at, ownTimeZone())),
    ...line('What', kind),
    ...line('By', by),
    ...line('Operation', operation),
    ...line('Target', target),
    ...line('Run', run),
    ...line('Execution', attempt),
    ...(run === undefined ? [] : line('Temporal', runUrl(config, run))),
    ...line('Key', key),
    ...line('Previous', previous),
    ...line('Hash', hash),
    ...(data === undefined ? [] : ['', JSON.stringify(data, null, 2)]),
  ].join('\n');
}

/** Through the worker that has it open; by itself where none has, and of a copy. */
async function verify(
  context: CliContext,
  anchors: readonly LedgerAnchor[],
  copy: string | undefined,
): Promise<LedgerVerification> {
  // SQLite takes longer to load than most commands to run.
  const [{ verifyFolder }, { ledgerPaths }, { acquireKernelLock }] = await Promise.all([
    import('../ledger/verify-folder.ts'),
    import('../ledger/paths.ts'),
    import('../service/kernel-lock.ts'),
  ]);
  if (copy !== undefined) return verifyFolder(resolve(copy), anchors);
  const folder = join((await context.config()).dataDir, 'ledger');
  const throughService = () => withTemporal(context, ({ ledger }) => ledger.verify(anchors.slice(-mostAnchors)));
  // Where there is no file the worker is on another machine.
  if (!existsSync(folder)) return throughService();
  const claim = acquireKernelLock(ledgerPaths(folder).claim);
  if (!claim.held) return throughService();
  try {
    note('The service does not run: its files are looked at.');
    return await verifyFolder(folder, anchors);
  } finally {
    claim.release();
  }
}

/** What this host's journal holds. */
export async function anchorsOf(context: CliContext, name: string): Promise<readonly LedgerAnchor[]> {
  const config = await context.config();
  const [{ connectHosts }, { readAnchors }, { createLogger }, { createRedact }, { secretsOf }] = await Promise.all([
    import('../hosts/connect-hosts.ts'),
    import('../hosts/commands/anchor-ledger/journal.ts'),
    import('../logger.ts'),
    import('../secret.ts'),
    import('../config/secrets.ts'),
  ]);
  const log = createLogger({ level: 'error', name: 'cli' });
  const hosts = connectHosts(config, { log, redact: createRedact(secretsOf(config)) });
  try {
    return anchorsIn(
      await hosts.get(name).run(readAnchors, {}),
      `the journal of ${name} that the service's user may read`,
    );
  } finally {
    await hosts.close();
  }
}
