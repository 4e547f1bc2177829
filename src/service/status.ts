import { localAddress, urlHost } from '../address.ts';
import { changedKeys, recordedConfiguration } from '../config/in-use.ts';
import type { Reader } from '../config/key.ts';
import type { Config } from '../config.ts';
import { explain } from '../errors.ts';
import type { Notices } from '../operations/notice.ts';
import { cleanLine } from '../reports/clean.ts';
import { noticesFinding } from '../reports/notices.ts';
import { readRestoredMark } from '../restored-mark.ts';
import { findRestored, restoredError } from '../runs/restored.ts';
import type { RunSummary, Runs } from '../runs/runs.ts';
import type { ScheduleSummary, Schedules } from '../runs/schedules.ts';
import { readServing } from '../runs/serving.ts';
import { temporalAddress } from '../runs/temporal-endpoint.ts';
import { askReadiness } from './readiness.ts';
import { type PartFile, parts, runningPart, runningService, type ServiceRecord } from './record.ts';
import { hasAdministrator, reportsGo } from './summary.ts';
import { checkTakesWork } from './supervisor.ts';

/** How one of the service's processes is. */
export interface PartStatus {
  readonly name: string;
  readonly address: string;
  readonly state: 'ready' | 'not ready' | 'not running';
  /** Of a process that a start on this data folder runs. */
  readonly pid?: number;
  /** Why it isn't ready. */
  readonly reason?: string;
}

/** When a host was last looked at and backed up, by runs that are done. */
export interface HostStatus {
  readonly host: string;
  readonly timeZone: string;
  readonly checked?: RunSummary;
  readonly backedUp?: RunSummary;
}

export interface ServiceStatus {
  readonly running: boolean;
  readonly dataDir: string;
  readonly service?: ServiceRecord;
  readonly parts: readonly PartStatus[];
  /** Keys of `.env` and `hosts.yaml` that have changed since the service read them. */
  readonly changedKeys: readonly string[];
  /** Where the reports of scheduled runs go. */
  readonly reports: string;
  /** Whether there is an administrator, who can approve. */
  readonly canApprove: boolean;
  /** That an older state was restored, and waits for an administrator. */
  readonly restored?: string;
  /** Undefined: Temporal does not answer. */
  readonly work?: WorkStatus;
}

export interface WorkStatus {
  readonly hosts: readonly HostStatus[];
  readonly going: readonly RunSummary[];
  readonly paused: readonly RunSummary[];
  readonly schedules: readonly ScheduleSummary[];
  /** What could not be mailed of scheduled runs, since when and why; undefined: nothing. */
  readonly unsent?: string;
}

const askMs = 5_000;

/** The keys that have changed since the running worker or MCP server read them. */
export function keysChangedSince(config: Config): readonly string[] {
  const readers = ['worker', 'mcp-server'] as const satisfies readonly Reader[];
  const changed = readers.flatMap((reader) => {
    const pid = runningPart(config, reader)?.pid;
    const inUse = pid === undefined ? undefined : recordedConfiguration(config.dataDir, reader, pid);
    return inUse ? changedKeys(inUse) : [];
  });
  return [...new Set(changed)];
}

/** Everything but what Temporal knows: {@link readWork}. */
export async function readStatus(config: Config): Promise<Omit<ServiceStatus, 'work'>> {
  const service = runningService(config);
  const work = config.compose ? containersPart(config) : workerPart(config);
  const [temporal, worker, mcp] = await Promise.all([temporalPart(config), work, mcpPart(config)]);
  const answers = temporal.state === 'ready' || readRestoredMark(config.accessDir) !== undefined;
  const restored = answers ? await findRestored(config, askMs).catch(() => undefined) : undefined;
  return {
    // Containers have a record each, in which another one can't look.
    running: config.compose ? [worker, mcp].some(({ state }) => state === 'ready') : service !== undefined,
    dataDir: config.dataDir,
    ...(service && { service }),
    parts: [temporal, worker, mcp],
    ...(restored && { restored: explain(restoredError(restored)) }),
    changedKeys: keysChangedSince(config),
    reports: reportsGo(config),
    canApprove: hasAdministrator(config),
  };
}

/** Where that is asked for. */
interface Work {
  readonly runs: Runs;
  readonly schedules: Schedules;
  readonly notices: () => Promise<Notices | 'absent' | 'silent'>;
}

/** What was done, goes on, waits for a person and comes next. */
export async function readWork(config: Config, { runs, schedules, notices: readNotices }: Work): Promise<WorkStatus> {
  const last = async (operation: string, host: string) =>
    (await runs.list({ operation, host, state: 'done', limit: 1 })).runs[0];
  const [going, paused, all, notices, ...hosts] = await Promise.all([
    runs.list({ state: 'running', limit: 20, dryRuns: true }),
    runs.list({ state: 'paused', limit: 20, dryRuns: true }),
    schedules.list(),
    readNotices(),
    ...config.hosts.map(async ({ name, timeZone }): Promise<HostStatus> => {
      const [checked, backedUp] = await Promise.all([last('check-health', name), last('back-up', name)]);
      return { host: name, timeZone, ...(checked && { checked }), ...(backedUp && { backedUp }) };
    }),
  ]);
  const unsent = typeof notices === 'object' && noticesFinding(notices, config.hosts[0]?.timeZone ?? 'UTC');
  return {
    hosts,
    going: going.runs.filter(({ state }) => state !== 'paused'),
    paused: paused.runs,
    schedules: all,
    ...(unsent && unsent.verdict !== 'ok' && { unsent: unsent.summary }),
  };
}

async function temporalPart(config: Config): Promise<PartStatus> {
  const { connectTemporal } = await import('../runs/temporal-client.ts');
  return await part(config, 'temporal', temporalAddress(config), async () => {
    const client = await connectTemporal(config, askMs);
    await client.connection.close();
  });
}

async function workerPart(config: Config): Promise<PartStatus> {
  const pid = runningPart(config, 'worker')?.pid;
  return await part(
    config,
    'worker',
    `metrics on ${urlHost(localAddress(config.worker.metricsHost))}:${config.worker.metricsPort}`,
    async () => {
      if (pid === undefined) throw new Error('no start on this data folder runs it');
      await checkTakesWork(config, pid);
    },
  );
}

/** Workers in containers, as the Temporal server sees them. */
async function containersPart(config: Config): Promise<PartStatus> {
  return await part(config, 'worker', 'in containers, asked of the Temporal server', async () => {
    const { connectTemporal } = await import('../runs/temporal-client.ts');
    const client = await connectTemporal(config, askMs);
    try {
      const { runs } = await client.withDeadline(Date.now() + askMs, () => readServing(client, []));
      if (!runs) throw new Error('no worker takes runs');
    } finally {
      await client.connection.close();
    }
  });
}

async function mcpPart(config: Config): Promise<PartStatus> {
  return await part(config, 'mcp-server', `${config.mcp.publicUrl}/api/mcp`, async () => {
    const { status } = await askReadiness(config, AbortSignal.timeout(askMs));
    if (status !== 200) throw new Error(`it answers ${status}`);
  });
}

/** `try` rejects where it isn't ready. What is started elsewhere may be ready without a process of ours. */
async function part(config: Config, file: PartFile, address: string, look: () => Promise<void>): Promise<PartStatus> {
  const pid = runningPart(config, file)?.pid;
  const own = { name: parts[file], address, ...(pid !== undefined && { pid }) };
  try {
    await look();
    return { ...own, state: 'ready' };
  } catch (error) {
    // Whether a container is there isn't seen from another one.
    if (pid === undefined && !config.compose) return { ...own, state: 'not running' };
    return { ...own, state: 'not ready', reason: cleanLine((error as Error).message, 200) };
  }
}
