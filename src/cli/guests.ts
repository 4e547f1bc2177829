import { type Command, Option } from 'commander';
import { ServiceError } from '../errors.ts';
import { clusterNamed, type GuestOrder, guestOrders, listGuests, notesOf } from '../proxmox/guest-list.ts';
import { type Timeframe, timeframes } from '../proxmox/metrics.ts';
import { type GuestSection, guestSections, type Part } from '../proxmox/read-guest.ts';
import { textTable } from '../reports/table.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { whole } from './parse.ts';
import { openReads } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

interface ListOptions {
  readonly host?: string;
  readonly node?: string;
  readonly state?: string;
  readonly kind?: 'vm' | 'container';
  readonly tag?: string;
  readonly pool?: string;
  readonly name?: string;
  readonly sort: GuestOrder;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: boolean;
}

/** `guests` and `guest`: what runs where, asked of the Proxmox APIs of all clusters. The service need not run for it. */
export function guestCommands(program: Command, context: CliContext): void {
  program
    .command('guests')
    .summary('List the guests (VMs and containers) of all clusters')
    .description(
      'List the guests (VMs and containers) of all clusters, as their Proxmox VE APIs have them now. All filters hold together. A cluster that does not answer is named, and the rest is shown.',
    )
    .option('--host <name>', "Only of this host's cluster, or of a cluster of this name")
    .option('--node <name>', 'Only on this node')
    .option('--state <state>', 'Only these: running, stopped, paused, template …')
    .addOption(new Option('--kind <kind>', 'Only these').choices(['vm', 'container']))
    .option('--tag <tag>', 'Only with this tag')
    .option('--pool <pool>', 'Only in this pool')
    .option('--name <pattern>', 'Only whose name has this in it; or a whole name with * and ?')
    .addOption(
      new Option('--sort <field>', 'By number, name, or what uses the most').choices([...guestOrders]).default('vmid'),
    )
    .option('--limit <number>', 'At most so many', whole('--limit', 1, 2_000), 500)
    .option('--cursor <cursor>', 'Go on where an earlier list ended')
    .option('--json', 'Print them as JSON')
    .action(async ({ host, sort, limit, cursor, json, ...filter }: ListOptions) => {
      const config = await context.config();
      const reads = await openReads(config);
      try {
        const names = config.hosts.map(({ name }) => name);
        const isHost = host !== undefined && names.includes(host);
        const inventory = await reads.inventory.read(isHost ? { host } : {});
        const cluster = host === undefined || isHost ? undefined : clusterNamed(inventory, host, names);
        const page = listGuests(inventory, { ...filter, cluster }, { limit, cursor, sort });
        const notes = notesOf(inventory.clusters);
        if (json) printJson({ ...page, notes });
        else {
          if (page.rows.length > 0) print(table(page));
          note(`${page.summary}.`);
          for (const said of notes) note(said);
          if (page.cursor !== undefined) note(`There are more: add --cursor ${page.cursor}`);
        }
        // What is missing is an error to a program that reads the list.
        if (inventory.clusters.some(({ problem }) => problem !== undefined)) context.exitWith(exitCodes.failed);
      } finally {
        await reads.close();
      }
    });

  program
    .command('guest <guest>')
    .summary('Show one guest, by its name, number or tag')
    .description(
      'Show one guest: by its name, its number (VMID), or a tag that only it has. Its state and configuration, and what --include names.',
    )
    .option('--host <name>', 'A host of its cluster, where several clusters have such a guest')
    .addOption(
      new Option('--include <parts...>', 'What to show beside its state')
        .choices([...guestSections])
        .default(['config']),
    )
    .addOption(new Option('--timeframe <time>', 'Of metrics').choices([...timeframes]).default('hour'))
    .option('--json', 'Print it as JSON')
    .action(
      async (
        guest: string,
        {
          host,
          include,
          timeframe,
          json,
        }: {
          readonly host?: string;
          readonly include: readonly GuestSection[];
          readonly timeframe: Timeframe;
          readonly json?: boolean;
        },
      ) => {
        const reads = await openReads(await context.config());
        try {
          const [{ findGuest }, { readGuest }] = await Promise.all([
            import('../proxmox/find-guests.ts'),
            import('../proxmox/read-guest.ts'),
          ]);
          const listed = await findGuest(reads.inventory, { guest, host });
          const { guest: now, parts } = await readGuest(reads.apis, listed, { include, timeframe });
          if (json) printJson({ ...now, ...parts });
          else print([facts(now), ...Object.entries(parts).map(([name, part]) => section(name, part))].join('\n\n'));
          const failed = Object.entries(parts).filter(([, part]) => 'problem' in part);
          if (failed.length > 0) context.exitWith(exitCodes.failed);
        } catch (error) {
          throw forPeople(error);
        } finally {
          await reads.close();
        }
      },
    );
}

function table({
  columns,
  rows,
}: {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}): string {
  return textTable(
    columns.map((column) => column.toUpperCase()),
    rows.map((row) => row.map(String)),
  );
}

function facts(values: Readonly<Record<string, unknown>>, indent = ''): string {
  const shown = Object.entries(values).filter(([, value]) => value !== undefined);
  const width = Math.min(24, Math.max(0, ...shown.map(([name]) => name.length)));
  return shown.map(([name, value]) => `${indent}${name.padEnd(width)}  ${inText(value)}`).join('\n');
}

function inText(value: unknown): string {
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.join(', ');
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

/** `SNAPSHOTS`, its facts, its table, its notes. */
function section(name: string, part: Part): string {
  const { columns, rows, options, notes, interfaces, ...rest } = part as Readonly<Record<string, unknown>>;
  const lines = [
    name.toUpperCase(),
    facts(rest, '  '),
    isRecord(options) ? facts(options, '  ') : '',
    Array.isArray(interfaces) ? interfaces.map((one) => `  ${interfaceLine(one)}`).join('\n') : '',
    Array.isArray(columns) && Array.isArray(rows) && rows.length > 0
      ? indented(table({ columns: columns as string[], rows: rows as (string | number)[][] }))
      : '',
    Array.isArray(notes) ? notes.map((line) => `  ${line}`).join('\n') : '',
  ];
  return lines.filter((line) => line !== '').join('\n');
}

function interfaceLine({
  name,
  mac,
  addresses,
}: {
  name?: string;
  mac?: string;
  addresses?: readonly string[];
}): string {
  return [name, mac, (addresses ?? []).join(' ') || '(no address)'].filter(Boolean).join('  ');
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a model is told to ask a user, a person is told to do. */
function forPeople(error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.code !== 'ambiguous') return error;
  const { code, message, details } = error;
  return new ServiceError({
    code,
    message: message.replace(/^guest: /, ''),
    remedy: 'Name the one that you mean by its number, and by --host where two clusters have that number.',
    details,
    cause: error,
  });
}
