import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Rule, rules } from './expressions.ts';
import { folder, whyNoPrometheus } from './prometheus.ts';

// promtool: each alert fires on its fault, and not without it.

const promtool = promisify(execFile);
const isSkipped = whyNoPrometheus() !== undefined;
const place = mkdtempSync(join(tmpdir(), 'proxmox-mcp-alerts-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** By series, values a minute as promtool writes them: `0+1x10` grows by one, `1x10` stays, `_x10` is not there. */
type Series = Readonly<Record<string, string>>;

interface Case {
  readonly fault: Series;
  /** The same without the fault: nothing fires. */
  readonly fine: Series;
  /** Minutes after which it is looked at. */
  readonly at: number;
  /** Labels of the alert, beside its severity. */
  readonly labels?: Readonly<Record<string, string>>;
}

const hour = 60;
const day = 24 * hour;
const counter = (series: string, grows: number, minutes: number): Series => ({ [series]: `0+${grows}x${minutes}` });
const gauge = (series: string, value: number | string, minutes: number): Series => ({
  [series]: `${value}x${minutes}`,
});
const bothSides = (good: Series, bad: Series): Series => ({ ...good, ...bad });

const tool = (outcome: string) => `proxmox_mcp_tool_calls_total{outcome="${outcome}"}`;
/** Ten at once, as the first ones of all. */
const burst = (series: string, first: number): Series => ({ [series]: `${first}x10 ${first + 12}x20` });

const bucket = (name: string, le: string, grows: number) => counter(`${name}{le="${le}"}`, grows, 60);

const cases: Readonly<Record<string, Case>> = {
  McpServerDown: {
    fault: gauge('up{job="proxmox-mcp"}', 0, 10),
    fine: gauge('up{job="proxmox-mcp"}', 1, 10),
    at: 5,
    labels: { job: 'proxmox-mcp' },
  },
  WorkerGone: {
    fault: bothSides(gauge('up{job="worker",role="ledger"}', 1, 10), gauge('up{job="worker",role="worker"}', 0, 10)),
    // One of three.
    fine: bothSides(
      gauge('up{job="worker",role="worker",instance="a"}', 0, 10),
      gauge('up{job="worker",role="worker",instance="b"}', 1, 10),
    ),
    at: 5,
  },
  LedgerGone: {
    fault: gauge('up{job="worker",role="worker"}', 1, 10),
    fine: gauge('proxmox_mcp_state_read_timestamp_seconds{part="open-runs"}', '0+60', 10),
    at: 5,
    labels: { part: 'open-runs' },
  },
  StateNotRead: {
    fault: gauge('proxmox_mcp_state_read_timestamp_seconds{part="locks"}', 0, 60),
    fine: gauge('proxmox_mcp_state_read_timestamp_seconds{part="locks"}', '0+60', 60),
    at: 40,
    labels: { part: 'locks' },
  },
  NoWorkerForQueue: {
    fault: gauge('proxmox_mcp_queue_pollers{queue="host-pve1",tasks="activities"}', 0, 15),
    fine: gauge('proxmox_mcp_queue_pollers{queue="host-pve1",tasks="activities"}', 3, 15),
    at: 10,
    labels: { queue: 'host-pve1', tasks: 'activities' },
  },
  RunsWithoutWorker: {
    fault: gauge('proxmox_mcp_runs_without_worker{runs="open"}', 2, 15),
    fine: gauge('proxmox_mcp_runs_without_worker{runs="open"}', 0, 15),
    at: 10,
    labels: { runs: 'open' },
  },
  ProxyDown: {
    fault: gauge('up{job="caddy"}', 0, 10),
    fine: gauge('up{job="caddy"}', 1, 10),
    at: 5,
    labels: { job: 'caddy' },
  },
  TemporalDown: {
    fault: gauge('up{job="temporal"}', 0, 10),
    fine: gauge('up{job="temporal"}', 1, 10),
    at: 5,
    labels: { job: 'temporal' },
  },
  RestartsAgainAndAgain: {
    fault: { 'process_start_time_seconds{job="worker"}': '0 60 120 180 240 300 300 300' },
    // An upgrade.
    fine: { 'process_start_time_seconds{job="worker"}': '0 0 120 120 120 120 120 120' },
    at: 7,
    labels: { job: 'worker' },
  },
  SlowAnswers: {
    fault: bothSides(
      bucket('proxmox_mcp_tool_duration_seconds_bucket', '2', 1),
      bothSides(
        bucket('proxmox_mcp_tool_duration_seconds_bucket', '10', 10),
        bucket('proxmox_mcp_tool_duration_seconds_bucket', '+Inf', 10),
      ),
    ),
    fine: bothSides(
      bucket('proxmox_mcp_tool_duration_seconds_bucket', '2', 10),
      bothSides(
        bucket('proxmox_mcp_tool_duration_seconds_bucket', '10', 10),
        bucket('proxmox_mcp_tool_duration_seconds_bucket', '+Inf', 10),
      ),
    ),
    at: 30,
  },
  EventLoopBusy: {
    fault: gauge('nodejs_eventloop_lag_p99_seconds{job="worker"}', 1.5, 30),
    fine: gauge('nodejs_eventloop_lag_p99_seconds{job="worker"}', 0.02, 30),
    at: 20,
    labels: { job: 'worker' },
  },
  DiskAlmostFull: {
    fault: bothSides(
      gauge('node_filesystem_avail_bytes{mountpoint="/"}', 5, 30),
      gauge('node_filesystem_size_bytes{mountpoint="/"}', 100, 30),
    ),
    fine: bothSides(
      gauge('node_filesystem_avail_bytes{mountpoint="/"}', 50, 30),
      gauge('node_filesystem_size_bytes{mountpoint="/"}', 100, 30),
    ),
    at: 20,
    labels: { mountpoint: '/' },
  },
  DiskFullSoon: {
    fault: { 'node_filesystem_avail_bytes{mountpoint="/"}': '100000-100x600' },
    fine: gauge('node_filesystem_avail_bytes{mountpoint="/"}', 100_000, 600),
    at: 8 * hour,
    labels: { mountpoint: '/' },
  },
  MemoryLow: {
    fault: bothSides(gauge('node_memory_MemAvailable_bytes', 5, 30), gauge('node_memory_MemTotal_bytes', 100, 30)),
    fine: bothSides(gauge('node_memory_MemAvailable_bytes', 40, 30), gauge('node_memory_MemTotal_bytes', 100, 30)),
    at: 20,
  },
  ProcessorBusy: {
    fault: counter('node_cpu_seconds_total{mode="idle",instance="m"}', 3, 90),
    fine: counter('node_cpu_seconds_total{mode="idle",instance="m"}', 50, 90),
    at: 60,
    labels: { instance: 'm' },
  },
  ToolCallsFail: {
    // The series of the code is there with the first error only.
    fault: bothSides(bothSides(counter(tool('ok'), 0, 30), burst('proxmox_mcp_tool_duration_seconds_count', 0)), {
      [tool('unavailable')]: '_x10 12x20',
    }),
    // Some, of many.
    fine: bothSides(counter(tool('ok'), 20, 30), counter('proxmox_mcp_tool_duration_seconds_count', 25, 30)),
    at: 15,
  },
  HttpErrors: {
    fault: burst('proxmox_mcp_http_requests_total{status="503"}', 0),
    fine: bothSides(
      counter('proxmox_mcp_http_requests_total{status="200"}', 9, 30),
      counter('proxmox_mcp_http_requests_total{status="503"}', 0, 30),
    ),
    at: 15,
  },
  HostUnreachable: {
    // By the API alone.
    fault: counter('proxmox_mcp_host_calls_total{host="pve1",outcome="proxmox-unavailable"}', 1, 30),
    fine: bothSides(
      counter('proxmox_mcp_host_calls_total{host="pve1",outcome="ok"}', 5, 30),
      counter('proxmox_mcp_host_calls_total{host="pve1",outcome="host-unreachable"}', 0, 30),
    ),
    at: 20,
    labels: { host: 'pve1' },
  },
  TooManyRequests: {
    fault: counter('proxmox_mcp_http_refused_total{reason="rate-limited"}', 10, 30),
    fine: counter('proxmox_mcp_http_refused_total{reason="rate-limited"}', 1, 30),
    at: 20,
  },
  UnknownTokens: {
    fault: counter('proxmox_mcp_http_refused_total{reason="unauthenticated"}', 10, 30),
    fine: counter('proxmox_mcp_http_refused_total{reason="unauthenticated"}', 1, 30),
    at: 20,
  },
  SignInsRefused: {
    fault: counter('proxmox_mcp_sign_ins_total{outcome="refused"}', 2, 30),
    fine: bothSides(
      counter('proxmox_mcp_sign_ins_total{outcome="ok"}', 2, 30),
      counter('proxmox_mcp_sign_ins_total{outcome="refused"}', 0, 30),
    ),
    at: 20,
  },
  RequestsForbidden: {
    fault: counter('proxmox_mcp_http_refused_total{reason="forbidden"}', 10, 30),
    fine: counter('proxmox_mcp_http_refused_total{reason="forbidden"}', 1, 30),
    at: 20,
  },
  BlockedCommands: {
    fault: gauge('proxmox_mcp_blocked_commands{host="pve1"}', 2, 5),
    fine: gauge('proxmox_mcp_blocked_commands{host="pve1"}', 0, 5),
    at: 3,
    labels: { host: 'pve1' },
  },
  FailedLogins: {
    fault: gauge('proxmox_mcp_failed_logins{host="pve1"}', 12, 5),
    fine: gauge('proxmox_mcp_failed_logins{host="pve1"}', 2, 5),
    at: 3,
    labels: { host: 'pve1' },
  },
  RunsFailed: {
    // The first one since the process was started.
    fault: { 'proxmox_mcp_runs_ended_total{operation="back-up",outcome="failed"}': '0x10 1x10' },
    fine: bothSides(
      counter('proxmox_mcp_runs_ended_total{operation="back-up",outcome="done"}', 1, 20),
      gauge('proxmox_mcp_runs_ended_total{operation="back-up",outcome="failed"}', 3, 20),
    ),
    at: 15,
    labels: { operation: 'back-up', outcome: 'failed' },
  },
  HealthFailed: {
    fault: gauge('proxmox_mcp_health_verdict{host="pve1",verdict="failed"}', 1, 5),
    fine: bothSides(
      gauge('proxmox_mcp_health_verdict{host="pve1",verdict="failed"}', 0, 5),
      gauge('proxmox_mcp_health_verdict{host="pve1",verdict="warning"}', 1, 5),
    ),
    at: 3,
    labels: { host: 'pve1', verdict: 'failed' },
  },
  HealthNotChecked: {
    fault: gauge('proxmox_mcp_health_checked_timestamp_seconds{host="pve1"}', 60, 28 * hour),
    // One that never was is told by another one.
    fine: bothSides(
      { 'proxmox_mcp_health_checked_timestamp_seconds{host="pve1"}': `60x${day} 86400x${4 * hour}` },
      gauge('proxmox_mcp_health_checked_timestamp_seconds{host="pve2"}', 0, 28 * hour),
    ),
    at: 27 * hour,
    labels: { host: 'pve1' },
  },
  HealthNeverChecked: {
    fault: gauge('proxmox_mcp_health_checked_timestamp_seconds{host="pve1"}', 0, 28 * hour),
    fine: { 'proxmox_mcp_health_checked_timestamp_seconds{host="pve1"}': `0x${day} 86400x${4 * hour}` },
    at: 27 * hour,
    labels: { host: 'pve1' },
  },
  PeopleAreWaitedFor: {
    fault: gauge('proxmox_mcp_oldest_question_age_seconds{kind="approval"}', 5 * 3600, 5),
    fine: gauge('proxmox_mcp_oldest_question_age_seconds{kind="approval"}', 600, 5),
    at: 3,
    labels: { kind: 'approval' },
  },
  LocksAreWaitedFor: {
    fault: gauge('proxmox_mcp_lock_waiters', 2, 2 * hour),
    fine: { proxmox_mcp_lock_waiters: '2x30 0x30 2x30' },
    at: 85,
  },
  ChangesStopped: {
    fault: gauge('proxmox_mcp_changes_stopped', 1, 2 * hour),
    fine: gauge('proxmox_mcp_changes_stopped', 0, 2 * hour),
    at: 90,
  },
  BackupOld: {
    fault: gauge('proxmox_mcp_backup_verified_timestamp_seconds{host="pve1",kind="daily"}', 60, 28 * hour),
    // None at all is told by another one.
    fine: bothSides(
      { 'proxmox_mcp_backup_verified_timestamp_seconds{host="pve1",kind="daily"}': `60x${day} 86400x${4 * hour}` },
      gauge('proxmox_mcp_backup_verified_timestamp_seconds{host="pve2",kind="daily"}', 0, 28 * hour),
    ),
    at: 27 * hour,
    labels: { host: 'pve1', kind: 'daily' },
  },
  BackupNeverMade: {
    fault: gauge('proxmox_mcp_backup_verified_timestamp_seconds{host="pve1",kind="daily"}', 0, 40 * hour),
    fine: { 'proxmox_mcp_backup_verified_timestamp_seconds{host="pve1",kind="daily"}': `0x${day} 86400x${20 * hour}` },
    at: 38 * hour,
    labels: { host: 'pve1', kind: 'daily' },
  },
  NoticesNotDelivered: {
    fault: gauge('proxmox_mcp_notices_undelivered_age_seconds', 3600, 5),
    fine: gauge('proxmox_mcp_notices_undelivered_age_seconds', 120, 5),
    at: 3,
  },
  SchedulesLate: {
    fault: gauge('proxmox_mcp_schedules{state="late"}', 2, 30),
    fine: bothSides(
      gauge('proxmox_mcp_schedules{state="late"}', 0, 30),
      gauge('proxmox_mcp_schedules{state="paused"}', 2, 30),
    ),
    at: 20,
    labels: { state: 'late' },
  },
  SchedulesRefused: {
    fault: gauge('proxmox_mcp_schedules_refused', 1, 30),
    fine: gauge('proxmox_mcp_schedules_refused', 0, 30),
    at: 20,
  },
  RunsNotStarted: {
    fault: { 'proxmox_mcp_schedule_runs_missed{operation="back-up",reason="missed"}': '2x30 3x60' },
    fine: gauge('proxmox_mcp_schedule_runs_missed{operation="back-up",reason="missed"}', 2, 90),
    at: 60,
    labels: { operation: 'back-up', reason: 'missed' },
  },
  WorkflowTasksFail: {
    fault: counter('temporal_workflow_task_execution_failed{workflow_type="backUp"}', 1, 30),
    fine: gauge('temporal_workflow_task_execution_failed{workflow_type="backUp"}', 4, 30),
    at: 20,
    labels: { workflow_type: 'backUp' },
  },
  WorkersCannotAskTemporal: {
    fault: counter('temporal_long_request_failure{role="worker",status_code="TRANSPORT_ERROR"}', 60, 30),
    fine: counter('temporal_long_request_failure{role="worker",status_code="DEADLINE_EXCEEDED"}', 60, 30),
    at: 20,
    labels: { role: 'worker' },
  },
  TemporalStoreSlow: {
    fault: bothSides(
      bucket('persistence_latency_bucket', '0.5', 1),
      bothSides(bucket('persistence_latency_bucket', '1', 10), bucket('persistence_latency_bucket', '+Inf', 10)),
    ),
    fine: bothSides(
      bucket('persistence_latency_bucket', '0.5', 10),
      bothSides(bucket('persistence_latency_bucket', '1', 10), bucket('persistence_latency_bucket', '+Inf', 10)),
    ),
    at: 40,
  },
  QueueBacklog: {
    fault: gauge('proxmox_mcp_queue_backlog{queue="proxmox-mcp",tasks="workflows"}', 500, 30),
    fine: gauge('proxmox_mcp_queue_backlog{queue="proxmox-mcp",tasks="workflows"}', 5, 30),
    at: 20,
    labels: { queue: 'proxmox-mcp', tasks: 'workflows' },
  },
};

function test(rule: Rule, { fault, fine, at, labels = {} }: Case) {
  const seriesOf = (series: Series) => Object.entries(series).map(([one, values]) => ({ series: one, values }));
  const fires = { eval_time: `${at}m`, alertname: rule.alert };
  const said = { ...labels, severity: rule.labels.severity };
  return [
    // The texts are filled in by what fires: what they say is compared by promtool, so only that it fires is asked here.
    {
      interval: '1m',
      input_series: seriesOf(fault),
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${rule.alert}",alertstate="firing",${Object.entries(said)
            .map(([key, value]) => `${key}="${value}"`)
            .join(',')}})`,
          eval_time: `${at}m`,
          exp_samples: [{ labels: '{}', value: 1 }],
        },
      ],
    },
    { interval: '1m', input_series: seriesOf(fine), alert_rule_test: [{ ...fires, exp_alerts: [] }] },
  ];
}

it.skipIf(isSkipped)('the configuration and the rules are what Prometheus takes', async () => {
  const { stdout } = await promtool('promtool', ['check', 'config', join(folder, 'prometheus.yml')]);
  expect(stdout).toContain('SUCCESS');
});

it('every alert has its fault here', () => {
  expect(Object.keys(cases).sort()).toEqual(
    rules()
      .map(({ alert }) => alert)
      .sort(),
  );
});

it.each(rules().map((rule) => [rule.alert, rule] as const))('%s says what it is and what to do', (_, rule) => {
  expect(rule.annotations.summary).toMatch(/[.]$/);
  expect(rule.annotations.remedy?.length).toBeGreaterThan(20);
  expect(rule.labels.severity).toMatch(/^(critical|warning)$/);
});

/** Those that take a day are looked at every ten minutes, for the time that the test takes. */
describe.skipIf(isSkipped).each([
  ['soon', '1m', ({ at }: Case) => at <= 2 * hour],
  ['in the end', '10m', ({ at }: Case) => at > 2 * hour],
] as const)('promtool', (when, evaluation_interval, isOfThese) => {
  it(`each fires on its fault and not without it, ${when}`, async () => {
    const tests = rules().flatMap((rule) => {
      const one = cases[rule.alert];
      return one !== undefined && isOfThese(one) ? test(rule, one) : [];
    });
    expect(tests.length).toBeGreaterThan(5);
    const file = join(place, `${evaluation_interval}.yml`);
    writeFileSync(file, stringify({ rule_files: [join(folder, 'rules.yml')], evaluation_interval, tests }));
    const said = await promtool('promtool', ['test', 'rules', file]).catch((error) => error);
    expect(`${said.stdout}${said.stderr}`).toContain('SUCCESS');
  }, 60_000);
});
