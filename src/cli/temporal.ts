import { userInfo } from 'node:os';
import { splitAddress } from '../address.ts';
import type { Config } from '../config.ts';
import type { Requester } from '../operations/run.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import type { GuestFinders } from '../runs/name-guest.ts';
import type { Runs } from '../runs/runs.ts';
import type { Schedules } from '../runs/schedules.ts';
import type { ChangeSwitch } from '../runs/switch.ts';
import type { TemporalClient } from '../runs/temporal-client.ts';
import type { readNotices } from '../runs/watch.ts';
import type { CliContext } from './context.ts';
import { tcp } from './tcp.ts';

/** Runs `work` with a connection to Temporal that is closed afterwards. */
export async function withTemporal<Result>(
  context: CliContext,
  work: (service: {
    readonly runs: Runs;
    readonly schedules: Schedules;
    readonly ledger: LedgerClient;
    readonly changeSwitch: ChangeSwitch;
    readonly notices: () => ReturnType<typeof readNotices>;
  }) => Promise<Result>,
): Promise<Result> {
  return withClient(context, async (client, config) => {
    const [{ createRuns }, { createSchedules }, { createLedgerClient }, { createChangeSwitch }, watch] =
      await Promise.all([
        import('../runs/create-runs.ts'),
        import('../runs/create-schedules.ts'),
        import('../runs/ledger.ts'),
        import('../runs/switch.ts'),
        import('../runs/watch.ts'),
      ]);
    const guests = lazyGuests(config);
    const service = { client, config, ...guests.finders };
    try {
      return await work({
        runs: createRuns(service),
        schedules: createSchedules(service),
        ledger: createLedgerClient(client),
        changeSwitch: createChangeSwitch(client),
        notices: () => watch.readNotices(client),
      });
    } finally {
      await guests.close();
    }
  });
}

/** The Temporal server itself, for one command. */
export async function withClient<Result>(
  context: CliContext,
  work: (client: TemporalClient, config: Config) => Promise<Result>,
): Promise<Result> {
  const config = await context.config();
  // Loaded here, because Temporal's client takes longer to load than most commands to run.
  const [{ connectTemporal }, { temporalAddress }] = await Promise.all([
    import('../runs/temporal-client.ts'),
    import('../runs/temporal-endpoint.ts'),
  ]);
  // gRPC tries a refused port again until its deadline; a person is told at once.
  const refused = await tcp(...splitAddress(temporalAddress(config)), AbortSignal.timeout(10_000));
  const client = await connectTemporal(config, refused === undefined ? 10_000 : 1);
  try {
    return await work(client, config);
  } finally {
    await client.connection.close();
  }
}

/** The APIs are connected, and loaded, when the first guest is looked up. */
function lazyGuests(config: Config): { readonly finders: GuestFinders; readonly close: () => Promise<void> } {
  let opened: ReturnType<typeof openReads> | undefined;
  const load = async () => {
    opened ??= openReads(config);
    const [{ inventory }, find] = await Promise.all([opened, import('../proxmox/find-guests.ts')]);
    return { inventory, ...find };
  };
  return {
    finders: {
      async findGuest(wanted) {
        const { inventory, findGuest } = await load();
        return await findGuest(inventory, wanted);
      },
      async findHost(of) {
        const { inventory, findHost } = await load();
        return await findHost(inventory, of);
      },
    },
    close: async () => await (await opened)?.close(),
  };
}

/** Plain reads of the Proxmox APIs, for one command; close them. */
export async function openReads(config: Config) {
  const [{ createReads }, { createLogger }] = await Promise.all([
    import('../proxmox/reads.ts'),
    import('../logger.ts'),
  ]);
  return createReads(config, createLogger({ level: 'error', name: 'cli' }));
}

/** Who this person is, in the records of runs. */
export function requester(): Requester {
  return { kind: 'cli', name: loginName() };
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
