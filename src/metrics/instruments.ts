import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { lockWait } from '../operations/lock-wait.ts';

// Every metric of the service: its name, which ends with its unit, what it says, and its labels. The values of labels are
// names from the catalogue, the configuration and closed lists, never words of a request. One word means one thing in all
// of them:
//   host         name of a managed host        operation  name in the catalogue
//   target_kind  host, guest, guests, fleet, service
//   risk         read, change, dangerous       outcome    how it ended; an error's code where it failed
//   verdict      the worst of a report         role       mcp-server, worker, ledger

interface Definition {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Of a histogram. */
  readonly buckets?: readonly number[];
}

type Table = Readonly<Record<string, Definition>>;

const answerBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300];

/** Of each process. */
const ofProcess = {
  build: {
    name: 'proxmox_mcp_build_info',
    kind: 'gauge',
    help: '1; which version runs, as what, on which Node.js',
    labels: ['role', 'version', 'node'],
  },
} as const satisfies Table;

/** Of the MCP server. */
const ofServer = {
  toolCalls: {
    name: 'proxmox_mcp_tool_calls_total',
    kind: 'counter',
    help: 'MCP tool calls; outcome: ok, failed, or an error code',
    labels: ['tool', 'outcome'],
  },
  toolDuration: {
    name: 'proxmox_mcp_tool_duration_seconds',
    kind: 'histogram',
    help: 'How long MCP tool calls took; those that wait for runs take as long as they were told to',
    labels: ['tool'],
    buckets: answerBuckets,
  },
  runsStarted: {
    name: 'proxmox_mcp_runs_started_total',
    kind: 'counter',
    help: 'Runs asked for through MCP; existing: the same request had started one before',
    labels: ['operation', 'existing'],
  },
  refused: {
    name: 'proxmox_mcp_http_refused_total',
    kind: 'counter',
    help: 'HTTP requests refused before they reached MCP',
    labels: ['reason'],
  },
  requests: {
    name: 'proxmox_mcp_http_requests_total',
    kind: 'counter',
    help: 'HTTP requests answered; route: one of the server’s own, or other',
    labels: ['route', 'status'],
  },
  requestDuration: {
    name: 'proxmox_mcp_http_request_duration_seconds',
    kind: 'histogram',
    help: 'How long HTTP requests took until their answer was sent',
    labels: ['route'],
    buckets: answerBuckets,
  },
  signIns: {
    name: 'proxmox_mcp_sign_ins_total',
    kind: 'counter',
    help: 'Sign-ins on the administrators’ page; outcome: ok, refused, rate-limited, failed',
    labels: ['outcome'],
  },
} as const satisfies Table;

/** Of each worker: what it did itself. */
const ofWorker = {
  hostCalls: {
    name: 'proxmox_mcp_host_calls_total',
    kind: 'counter',
    help: 'Activities that worked on a host; outcome: ok, or the error’s code (host-unreachable, …)',
    labels: ['host', 'outcome'],
  },
  schedulesRefused: {
    name: 'proxmox_mcp_schedules_refused',
    kind: 'gauge',
    help: 'Schedules that could not be made when this worker started',
    labels: [],
  },
} as const satisfies Table;

/**
 * Of the whole service, as its Temporal server knows it. Only the process that has the ledger reads it, of which there is
 * one: nothing is counted twice, however many workers there are, and whatever ran on which of them.
 */
const ofService = {
  runsEnded: {
    name: 'proxmox_mcp_runs_ended_total',
    kind: 'counter',
    help: 'Runs that ended; outcome: done, planned, undone, failed, cancelled, terminated, timed-out; verdict: of its report, none without one',
    labels: ['operation', 'target_kind', 'risk', 'outcome', 'verdict'],
  },
  runDuration: {
    name: 'proxmox_mcp_run_duration_seconds',
    kind: 'histogram',
    help: 'How long runs took that were done, with their waits',
    labels: ['operation'],
    buckets: [0.5, 2, 10, 60, 300, 900, 3_600, 14_400, 86_400],
  },
  scheduledRunsEnded: {
    name: 'proxmox_mcp_scheduled_runs_ended_total',
    kind: 'counter',
    help: 'The part of proxmox_mcp_runs_ended_total that schedules started',
    labels: ['operation', 'outcome'],
  },
  runsOpen: {
    name: 'proxmox_mcp_runs_open',
    kind: 'gauge',
    help: 'Runs that go on; phase: running, or paused until a person answers',
    labels: ['operation', 'phase'],
  },
  questions: {
    name: 'proxmox_mcp_questions',
    kind: 'gauge',
    help: 'Questions of runs that people have to answer; kind: approval, decision',
    labels: ['kind'],
  },
  oldestQuestion: {
    name: 'proxmox_mcp_oldest_question_age_seconds',
    kind: 'gauge',
    help: 'For how long the oldest open question waits; 0 without one',
    labels: ['kind'],
  },
  lockWaiters: {
    name: 'proxmox_mcp_lock_waiters',
    kind: 'gauge',
    help: 'Runs that wait for a lock now',
    labels: [],
  },
  changesStopped: {
    name: 'proxmox_mcp_changes_stopped',
    kind: 'gauge',
    help: '1 while the kill switch stops all changes, else 0',
    labels: [],
  },
  host: {
    name: 'proxmox_mcp_host_info',
    kind: 'gauge',
    help: '1 for each managed host; ways: commands, api, or both',
    labels: ['host', 'ways'],
  },
  backupVerified: {
    name: 'proxmox_mcp_backup_verified_timestamp_seconds',
    kind: 'gauge',
    help: 'When the last backup of a host was published that the host had read back and that counts; 0: none is known',
    labels: ['host', 'kind'],
  },
  backupBytes: {
    name: 'proxmox_mcp_backup_bytes',
    kind: 'gauge',
    help: 'How large the last archive of a host is that counts, by its kind (daily, full, monthly); 0: none is known',
    labels: ['host', 'kind'],
  },
  backupDuration: {
    name: 'proxmox_mcp_backup_duration_seconds',
    kind: 'gauge',
    help: 'How long the run took that made the last archive of a host that counts, by its kind; 0: none is known',
    labels: ['host', 'kind'],
  },
  copiesMade: {
    name: 'proxmox_mcp_backup_copies_timestamp_seconds',
    kind: 'gauge',
    help: 'When a run ended after which every archive of a host had its copy off it; 0: none is known',
    labels: ['host'],
  },
  copies: {
    name: 'proxmox_mcp_backup_copies',
    kind: 'gauge',
    help: 'How many copies of archives of a host were there off it after the last run that made some',
    labels: ['host'],
  },
  copiesMissing: {
    name: 'proxmox_mcp_backup_copies_missing',
    kind: 'gauge',
    help: 'How many archives of a host had no copy off it after that run',
    labels: ['host'],
  },
  healthVerdict: {
    name: 'proxmox_mcp_health_verdict',
    kind: 'gauge',
    help: '1 for the verdict of the last health check of a host, 0 for the others',
    labels: ['host', 'verdict'],
  },
  healthChecked: {
    name: 'proxmox_mcp_health_checked_timestamp_seconds',
    kind: 'gauge',
    help: 'When the health of a host was checked last; 0: no check is known',
    labels: ['host'],
  },
  blockedCommands: {
    name: 'proxmox_mcp_blocked_commands',
    kind: 'gauge',
    help: 'sudo commands of the service’s user that were refused in the 24 hours before the last health check that could tell',
    labels: ['host'],
  },
  failedLogins: {
    name: 'proxmox_mcp_failed_logins',
    kind: 'gauge',
    help: 'Failed logins of the service’s user in the 24 hours before the last health check that could tell',
    labels: ['host'],
  },
  undelivered: {
    name: 'proxmox_mcp_notices_undelivered',
    kind: 'gauge',
    help: 'Notices about scheduled runs that could not be mailed yet',
    labels: [],
  },
  oldestUndelivered: {
    name: 'proxmox_mcp_notices_undelivered_age_seconds',
    kind: 'gauge',
    help: 'Since when notices can’t be mailed; 0 where all were',
    labels: [],
  },
  schedules: {
    name: 'proxmox_mcp_schedules',
    kind: 'gauge',
    help: 'Schedules; state: active, paused, late (due for five minutes and not started)',
    labels: ['state'],
  },
  scheduleMissed: {
    name: 'proxmox_mcp_schedule_runs_missed',
    kind: 'gauge',
    help: 'Due runs that schedules did not start since these were made; reason: missed (too late for them), skipped (the one before went on)',
    labels: ['operation', 'reason'],
  },
  pollers: {
    name: 'proxmox_mcp_queue_pollers',
    kind: 'gauge',
    help: 'Workers that asked a task queue for work within the last two minutes',
    labels: ['queue', 'tasks'],
  },
  backlog: {
    name: 'proxmox_mcp_queue_backlog',
    kind: 'gauge',
    help: 'Tasks that wait in a queue for a worker',
    labels: ['queue', 'tasks'],
  },
  withoutWorker: {
    name: 'proxmox_mcp_runs_without_worker',
    kind: 'gauge',
    help: 'Under worker versioning: open runs whose build has no worker any more; runs="new" is 1 where new runs wait for one, too',
    labels: ['runs'],
  },
  stateRead: {
    name: 'proxmox_mcp_state_read_timestamp_seconds',
    kind: 'gauge',
    help: 'When a part of this was last read from the Temporal server',
    labels: ['part'],
  },
} as const satisfies Table;

/** For the documentation: every metric of ours by where it is found. */
export const tables = {
  'every process': ofProcess,
  'the MCP server': ofServer,
  'each worker': { ...ofWorker, lockWait },
  'the process that has the ledger': ofService,
} as const satisfies Readonly<Record<string, Table>>;

type Instrument<One extends Definition> = One['kind'] extends 'counter'
  ? Counter<One['labels'][number]>
  : One['kind'] extends 'gauge'
    ? Gauge<One['labels'][number]>
    : Histogram<One['labels'][number]>;
type Instruments<T extends Table> = { readonly [Name in keyof T]: Instrument<T[Name]> };

export type ServerInstruments = Instruments<typeof ofServer>;
export type WorkerInstruments = Instruments<typeof ofWorker>;
export type ServiceInstruments = Instruments<typeof ofService>;

function make<T extends Table>(table: T, registry: Registry): Instruments<T> {
  const made = Object.entries(table).map(([key, { name, kind, help, labels, buckets }]) => {
    const options = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === 'counter') return [key, new Counter(options)];
    if (kind === 'gauge') return [key, new Gauge(options)];
    return [key, new Histogram({ ...options, ...(buckets && { buckets: [...buckets] }) })];
  });
  return Object.fromEntries(made) as Instruments<T>;
}

/** The registry of one process, with what Node.js says of it: memory, CPU, event loop. */
export function createRegistry(about: {
  readonly role: 'mcp-server' | 'worker' | 'ledger';
  readonly version: string;
}): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  make(ofProcess, registry).build.set({ ...about, node: process.versions.node }, 1);
  return registry;
}

export const serverInstruments = (registry: Registry): ServerInstruments => make(ofServer, registry);
export const workerInstruments = (registry: Registry): WorkerInstruments => make(ofWorker, registry);
export const serviceInstruments = (registry: Registry): ServiceInstruments => make(ofService, registry);
