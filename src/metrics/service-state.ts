import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { cleanLine } from '../reports/clean.ts';
import { createChangeSwitch } from '../runs/switch.ts';
import { readNotices } from '../runs/watch.ts';
import { strandedRuns } from '../runs/worker-versions.ts';
import { createEndedRuns, type EndedRun } from './ended-runs.ts';
import { createHostState, type HostState } from './hosts.ts';
import { serviceInstruments } from './instruments.ts';
import { readLockWaiters, readOpenRuns } from './open-runs.ts';
import { readQueues } from './queues.ts';
import { readMissed, readSchedules } from './schedules.ts';

/** Between two looks; Prometheus scrapes every 15 s. */
const everyMs = 15_000;
/** Between two looks at what costs a call for each queue, lock or schedule. */
const seldomMs = 60_000;
const mostSeldomMs = 10 * 60_000;
/** A look that hangs is given up, and the next one is made. */
const looksWithinMs = 30_000;

export interface ServiceStateOptions {
  /** What the process works with now: another one once the configuration was read again. */
  readonly current: () => { readonly client: Client; readonly config: Config };
  readonly log: Pick<Log, 'warn' | 'info'>;
  readonly registry: Registry;
  /** Where it keeps which runs it has counted. */
  readonly file: string;
  /** Milliseconds; for tests. */
  readonly everyMs?: number;
}

/**
 * Keeps the metrics of the whole service, read from its Temporal server: what runs and ran, what waits for whom, how the hosts
 * were found, and who serves which queue. To be called in one process only. Each part says when it was last read: one that
 * can't be read keeps its last values and gets old.
 */
export function startServiceState(options: ServiceStateOptions): { readonly stop: () => Promise<void> } {
  const { current, log, registry } = options;
  const every = options.everyMs ?? everyMs;
  const instruments = serviceInstruments(registry);
  const { host, backupVerified, backupBytes, backupDuration, copiesMade, copies, copiesMissing } = instruments;
  const { healthVerdict, healthChecked, blockedCommands, failedLogins } = instruments;
  const hostInstruments = {
    ...{ host, backupVerified, backupBytes, backupDuration, copiesMade, copies, copiesMissing },
    ...{ healthVerdict, healthChecked, blockedCommands, failedLogins },
  };
  const ended: EndedRun[] = [];
  const runs = createEndedRuns({ current, instruments, file: options.file, onEnd: (run) => ended.push(run) });
  let schedules: readonly string[] = [];
  let hosts: { readonly of: Config; readonly state: HostState } | undefined;

  const parts: readonly Part[] = [
    { name: 'ended-runs', everyMs: every, read: () => runs.count() },
    { name: 'open-runs', everyMs: every, read: ({ client, config }) => readOpenRuns(client, config, instruments) },
    { name: 'hosts', everyMs: every, read: readHosts },
    {
      name: 'switch',
      everyMs: every,
      read: async ({ client }) => instruments.changesStopped.set((await createChangeSwitch(client).get()).on ? 1 : 0),
    },
    {
      name: 'schedules',
      everyMs: seldomMs,
      read: async ({ client }) => {
        schedules = await readSchedules(client, instruments);
      },
    },
    { name: 'missed', everyMs: mostSeldomMs, read: ({ client }) => readMissed(client, schedules, instruments) },
    { name: 'notices', everyMs: seldomMs, read: readUndelivered },
    { name: 'locks', everyMs: seldomMs, read: ({ client }) => readLockWaiters(client, instruments) },
    {
      name: 'queues',
      everyMs: seldomMs,
      read: async ({ client, config }) => {
        const hosts = config.hosts.map(({ name }) => name);
        await readQueues(client, hosts, instruments);
        const stranded = await strandedRuns(client);
        const open = stranded.reduce((sum, { runs }) => sum + runs, 0);
        instruments.withoutWorker.set({ runs: 'open' }, open);
        instruments.withoutWorker.set({ runs: 'new' }, stranded.some(({ isCurrent }) => isCurrent) ? 1 : 0);
      },
    },
  ];

  const stopping = new AbortController();
  const reading = readOn();
  return {
    async stop() {
      stopping.abort();
      await reading;
    },
  };

  async function readOn(): Promise<void> {
    const due = new Map<Part, number>();
    const failing = new Set<Part>();
    while (!stopping.signal.aborted) {
      for (const part of parts) {
        const now = Date.now();
        if (stopping.signal.aborted || now < (due.get(part) ?? 0)) continue;
        due.set(part, now + part.everyMs);
        try {
          const { client, config } = current();
          await client.withDeadline(now + looksWithinMs, () => part.read({ client, config }));
          instruments.stateRead.set({ part: part.name }, Date.now() / 1_000);
          if (failing.delete(part)) log.info({ part: part.name }, 'the metrics know it again');
        } catch (error) {
          // Once for each time that it can't be read, and again soon.
          due.set(part, now + every);
          if (!failing.has(part)) log.warn({ part: part.name, why: whyOf(error) }, 'the metrics could not read it');
          failing.add(part);
        }
      }
      await sleep(every, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
    }
  }

  async function readHosts({ client, config }: Current): Promise<void> {
    if (hosts?.of !== config) {
      const state = createHostState({ client, config, instruments: hostInstruments });
      await state.readAll();
      hosts = { of: config, state };
    }
    for (let run = ended[0]; run !== undefined; run = ended[0]) {
      await hosts.state.readEnded(run);
      ended.shift();
    }
  }

  async function readUndelivered({ client }: Current): Promise<void> {
    const notices = await readNotices(client);
    if (notices === 'silent') throw new Error('no worker answers for the watch over the scheduled runs');
    const { pending, dropped, unsent } =
      notices === 'absent' ? { pending: [], dropped: 0, unsent: undefined } : notices;
    instruments.undelivered.set(unsent === undefined ? 0 : pending.length + dropped);
    instruments.oldestUndelivered.set(unsent === undefined ? 0 : (Date.now() - Date.parse(unsent.since)) / 1_000);
  }
}

function whyOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return cleanLine(cause instanceof Error ? `${message}: ${cause.message}` : message, 300);
}

type Current = ReturnType<ServiceStateOptions['current']>;

interface Part {
  readonly name: string;
  readonly everyMs: number;
  readonly read: (current: Current) => Promise<unknown>;
}
