import { userInfo } from 'node:os';
import type { Requester } from '../operations/run.ts';
import type { LedgerClient } from '../runs/ledger.ts';
import type { Runs } from '../runs/runs.ts';
import type { Schedules } from '../runs/schedules.ts';
import type { ChangeSwitch } from '../runs/switch.ts';
import type { readNotices } from '../runs/watch.ts';
import type { CliContext } from './context.ts';
import { splitAddress, tcp } from './tcp.ts';

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
  const config = await context.config();
  // Loaded here, because Temporal's client takes longer to load than most commands to run.
  const [
    { connectTemporal, temporalAddress },
    { createRuns },
    { createSchedules },
    { createLedgerClient },
    { createChangeSwitch },
    watch,
  ] = await Promise.all([
    import('../runs/temporal-client.ts'),
    import('../runs/create-runs.ts'),
    import('../runs/create-schedules.ts'),
    import('../runs/ledger.ts'),
    import('../runs/switch.ts'),
    import('../runs/watch.ts'),
  ]);
  // gRPC tries a refused port again until its deadline; a person is told at once.
  const refused = await tcp(...splitAddress(temporalAddress(config)), AbortSignal.timeout(10_000));
  const client = await connectTemporal(config, refused === undefined ? 10_000 : 1);
  try {
    return await work({
      runs: createRuns({ client, config }),
      schedules: createSchedules({ client, config }),
      ledger: createLedgerClient(client),
      changeSwitch: createChangeSwitch(client),
      notices: () => watch.readNotices(client),
    });
  } finally {
    await client.connection.close();
  }
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
