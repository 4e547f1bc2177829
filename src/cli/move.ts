import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { splitAddress } from '../address.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { principalText } from '../operations/run.ts';
import type { connectTemporal } from '../runs/temporal-client.ts';
import type { CliContext } from './context.ts';
import { tcp } from './tcp.ts';
import { requester } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

/** A server learns of a namespace that was just made some seconds later. */
const namespaceMs = 30_000;

type Client = Awaited<ReturnType<typeof connectTemporal>>;

interface MoveOptions {
  readonly dryRun?: boolean;
  readonly skip?: string[];
  readonly only?: string[];
  readonly json?: boolean;
}

/** `move export|import|cancel`: to another Temporal server, or to another machine. */
export function moveCommands(program: Command, context: CliContext): void {
  const move = program
    .command('move')
    .description('Move the service to another Temporal server or machine, with all that it knows');

  move
    .command('export <folder>')
    .summary('Read all that comes along into a folder, and stop the service')
    .description(
      'Read all that comes along into a folder, which is as secret as the data folder: schedules with their changes, pauses and those that people made, ended runs, fences, kill switch, notices, ledger, tokens, people, pinned host keys, policy.yaml. Refuses while something is changed or asked. Pauses the schedules, waits for runs that only look, and stops the service, unless that runs in containers: then it is stopped with systemctl, and the ledger is exported after that. Cut off anywhere, it goes on when it is run again; move cancel takes it back.',
    )
    .option('--dry-run', 'Say what would come along, and change nothing')
    .option('--skip <stores...>', 'Leave these behind')
    .option('--only <stores...>', 'Only these, where the ledger lies in another place than the rest')
    .option('--json', 'Print what was done as JSON')
    .action(async (folder: string, { dryRun = false, skip = [], only, json }: MoveOptions) => {
      const { config, configFolder } = await loaded(context);
      let stopped = false;
      const [{ exportService, restOf }, { ledgerCommand }, { stopService }, { createLedgerClient }] = await Promise.all(
        [
          import('../move/export.ts'),
          import('../move/ledger.ts'),
          import('../service/stop.ts'),
          import('../runs/ledger.ts'),
        ],
      );
      const done = await withClient(config, (client) =>
        exportService({
          folder: resolve(folder),
          config,
          configFolder,
          dryRun,
          skip,
          ...(only && { only }),
          say: note,
          connect: async () => client,
          async stop() {
            // What runs in other containers can't be stopped from this one.
            stopped = config.compose === undefined && (await stopService(config, note));
          },
          async paused(server) {
            const by = principalText(requester());
            const text = 'Paused all schedules: the service moves to another server';
            const key = `move/${resolve(folder)}/${new Date().toISOString()}`;
            await createLedgerClient(server)
              .record([{ key, kind: 'schedule', by, text }])
              .catch(() => note('That the schedules were paused could not be written into the ledger.'));
          },
        }),
      );
      show(done, json);
      if (dryRun) return note('Nothing was changed.');
      const rest = restOf(resolve(folder));
      const withServer = done.some(({ store }) => store === 'schedules');
      if (stopped) note(`The service is stopped${withServer ? ', and its schedules are paused' : ''}.`);
      else {
        if (withServer) note('The schedules are paused, and nothing begins by itself any more.');
        note(
          config.compose === undefined
            ? 'Nothing of the service ran on this data folder, so that nothing was stopped: stop every worker and MCP server that runs elsewhere.'
            : 'Stop the service now, unless it is: systemctl stop proxmox-mcp. The database and Temporal stop with it, and are not needed any more.',
        );
      }
      if (config.compose !== undefined && rest.includes('ledger')) {
        note(`Then the ledger, in /opt/proxmox-mcp: ${ledgerCommand(`move export ${resolve(folder)}`)}`);
      }
      note(
        `Bring ${resolve(folder)} to the new place, and there: npx proxmox-mcp move import FOLDER\nTo stay here instead: start the service, then npx proxmox-mcp move cancel ${resolve(folder)}`,
      );
    });

  move
    .command('import <folder>')
    .summary('Bring what was exported to the server and the data folder of this configuration')
    .description(
      'Bring what was exported to the Temporal server (TEMPORAL_ADDRESS) and the data folder of this configuration, before the service is started there. Cut off anywhere, it goes on when it is run again; what was brought once is not brought twice.',
    )
    .option('--dry-run', 'Say what would be brought, and change nothing')
    .option('--skip <stores...>', 'Leave these out')
    .option('--only <stores...>', 'Only these, where the ledger lies in another place than the rest')
    .option('--json', 'Print what was done as JSON')
    .action(async (folder: string, { dryRun = false, skip = [], only, json }: MoveOptions) => {
      const { config, configFolder } = await loaded(context);
      const { importService } = await import('../move/import.ts');
      const clients: Client[] = [];
      try {
        const done = await importService({
          folder: resolve(folder),
          config,
          configFolder,
          dryRun,
          skip,
          ...(only && { only }),
          say: note,
          async connect() {
            const client = await newServer(config, dryRun);
            clients.push(client);
            return client;
          },
        });
        show(done, json);
      } finally {
        await Promise.all(clients.map((client) => client.connection.close()));
      }
      note(
        dryRun ? 'Nothing was changed.' : 'Start the service here now; `npx proxmox-mcp doctor` looks at everything.',
      );
    });

  move
    .command('cancel <folder>')
    .description('The service stays: let the schedules that the export into this folder paused fire again')
    .action(async (folder: string) => {
      const { config } = await loaded(context);
      const { cancelExport } = await import('../move/export.ts');
      const resumed = await withClient(config, async (client) => {
        if (client === undefined) throw away();
        return cancelExport(client, resolve(folder));
      });
      print(resumed.length === 0 ? 'No schedule was paused by an export.' : `Fire again: ${resumed.join(', ')}`);
    });
}

async function loaded(context: CliContext): Promise<{ readonly config: Config; readonly configFolder: string }> {
  const { folder: configFolder } = context.load();
  return { config: await context.config(), configFolder };
}

/** Undefined where nobody listens: the old server need not run any more once it was read. */
async function withClient<Result>(
  config: Config,
  work: (client: Client | undefined) => Promise<Result>,
): Promise<Result> {
  const [{ connectTemporal }, { temporalAddress }] = await Promise.all([
    import('../runs/temporal-client.ts'),
    import('../runs/temporal-endpoint.ts'),
  ]);
  const refused = await tcp(...splitAddress(temporalAddress(config)), AbortSignal.timeout(10_000));
  if (refused !== undefined) return work(undefined);
  const client = await connectTemporal(config);
  try {
    return await work(client);
  } finally {
    await client.connection.close();
  }
}

async function newServer(config: Config, dryRun: boolean): Promise<Client> {
  const [{ connectTemporal }, { temporalEndpoint }, { checkTemporalServer }] = await Promise.all([
    import('../runs/temporal-client.ts'),
    import('../runs/temporal-endpoint.ts'),
    import('../service/temporal-namespace.ts'),
  ]);
  // A run of a schedule that is brought could not start without the search attributes.
  if (!dryRun) {
    const deadline = Date.now() + namespaceMs;
    for (let isReady = false; !isReady; ) {
      try {
        await checkTemporalServer(temporalEndpoint(config), { say: note });
        isReady = true;
      } catch (error) {
        if (!(error instanceof ServiceError) || !error.retryable || Date.now() > deadline) throw error;
        await sleep(1_000);
      }
    }
  }
  return connectTemporal(config);
}

function show(
  done: readonly { readonly store: string; readonly text: string; readonly remarks?: readonly string[] }[],
  json: boolean | undefined,
): void {
  if (json) {
    printJson(done);
    return;
  }
  for (const { store, text, remarks = [] } of done) {
    print(`${store.padEnd(12)} ${text}`);
    for (const remark of remarks) print(`             ${remark}`);
  }
}

function away(): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: 'The Temporal server does not answer, so that its schedules stay paused',
    remedy: 'Start the service, then run this again.',
  });
}
