/** A line, or a set of lines, of a panel. */
export interface Query {
  /** PromQL. `$__rate_interval` and the dashboard's variables are Grafana's. */
  readonly expr: string;
  /** `{{label}}` is filled in. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What it shows, and what to make of it. */
  readonly about: string;
  readonly kind: 'lines' | 'numbers' | 'table';
  /** Grafana's name of it: `s`, `percentunit`, `bytes`, `reqps`, `short` … */
  readonly unit: string;
  readonly queries: readonly Query[];
}

export interface Dashboard {
  /** Of its file and its address. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly groups: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

const lines = (title: string, unit: string, about: string, ...queries: readonly Query[]): Panel => ({
  title,
  about,
  kind: 'lines',
  unit,
  queries,
});
const numbers = (title: string, unit: string, about: string, ...queries: readonly Query[]): Panel => ({
  ...lines(title, unit, about, ...queries),
  kind: 'numbers',
});
const q = (expr: string, legend: string): Query => ({ expr, legend });

const service: Dashboard = {
  name: 'service',
  title: 'Proxmox MCP: service',
  about: 'Whether it is there, how fast it answers, what it needs, who asks, what fails, what looks like an attack.',
  groups: [
    {
      title: 'Availability',
      panels: [
        numbers(
          'Answers now',
          'short',
          '1: its metrics could be asked for at the last try.',
          q('min by (job, role) (up{job=~"proxmox-mcp|worker|caddy|temporal|node-exporter"})', '{{job}} {{role}}'),
        ),
        numbers(
          'Availability',
          'percentunit',
          'Of the tries within the time that is shown, how many were answered.',
          q('avg by (job) (avg_over_time(up{job=~"proxmox-mcp|caddy|temporal"}[$__range]))', '{{job}}'),
        ),
        numbers(
          'Version',
          'short',
          'How many processes run which version.',
          q('count by (role, version, node) (proxmox_mcp_build_info)', '{{role}} {{version}}, Node.js {{node}}'),
        ),
        lines(
          'Since it was started',
          's',
          'A line that falls to 0 is a restart.',
          q('time() - process_start_time_seconds{job=~"proxmox-mcp|worker|caddy"}', '{{job}} {{instance}}'),
        ),
      ],
    },
    {
      title: 'Response times',
      panels: [
        lines(
          'HTTP answers',
          's',
          'By route; those of /api/mcp take as long as their tools.',
          q(
            'histogram_quantile(0.95, sum by (le, route) (rate(proxmox_mcp_http_request_duration_seconds_bucket[$__rate_interval])))',
            '95 % of {{route}}',
          ),
        ),
        lines(
          'Tool calls',
          's',
          'What waits for a run takes as long as it was told to.',
          q(
            'histogram_quantile(0.95, sum by (le, tool) (rate(proxmox_mcp_tool_duration_seconds_bucket[$__rate_interval])))',
            '95 % of {{tool}}',
          ),
        ),
        lines(
          'Caddy',
          's',
          'With the way to the server and back.',
          q(
            'histogram_quantile(0.95, sum by (le) (rate(caddy_http_request_duration_seconds_bucket[$__rate_interval])))',
            '95 %',
          ),
        ),
        lines(
          'Event loop',
          's',
          'For how long whatever comes in waits for the process at worst.',
          q('nodejs_eventloop_lag_p99_seconds{job=~"proxmox-mcp|worker"}', '{{job}} {{instance}}'),
        ),
      ],
    },
    {
      title: 'Resources',
      panels: [
        lines(
          'Processors of the machine',
          'percentunit',
          'How much of them is in use.',
          q('1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))', 'in use'),
        ),
        lines(
          'Memory of the machine',
          'bytes',
          'What programs can still have, and what there is.',
          q('node_memory_MemAvailable_bytes', 'available'),
          q('node_memory_MemTotal_bytes', 'total'),
        ),
        lines(
          'Disks of the machine',
          'percentunit',
          'How full they are.',
          q('1 - node_filesystem_avail_bytes / node_filesystem_size_bytes', '{{mountpoint}}'),
        ),
        lines('Load', 'short', 'Processes that run or wait, of the last five minutes.', q('node_load5', 'load')),
        lines(
          'Memory of the processes',
          'bytes',
          'Of the MCP server, the workers and Caddy.',
          q('process_resident_memory_bytes{job=~"proxmox-mcp|worker|caddy"}', '{{job}} {{instance}}'),
        ),
        lines(
          'Processors of the processes',
          'percentunit',
          '1 is one processor.',
          q(
            'rate(process_cpu_seconds_total{job=~"proxmox-mcp|worker|caddy"}[$__rate_interval])',
            '{{job}} {{instance}}',
          ),
        ),
      ],
    },
    {
      title: 'Request volume',
      panels: [
        lines(
          'MCP tool calls',
          'opm',
          'A minute, by tool.',
          q('60 * sum by (tool) (rate(proxmox_mcp_tool_calls_total[$__rate_interval]))', '{{tool}}'),
        ),
        lines(
          'HTTP requests',
          'opm',
          'A minute, by route.',
          q('60 * sum by (route) (rate(proxmox_mcp_http_requests_total[$__rate_interval]))', '{{route}}'),
        ),
        lines(
          'Runs asked for',
          'opm',
          'A minute, by MCP clients.',
          q('60 * sum by (operation) (rate(proxmox_mcp_runs_started_total[$__rate_interval]))', '{{operation}}'),
        ),
        lines(
          'Requests to Caddy',
          'opm',
          'A minute, with those that it answers itself.',
          q('60 * sum by (server) (rate(caddy_http_requests_total[$__rate_interval]))', '{{server}}'),
        ),
      ],
    },
    {
      title: 'Errors',
      panels: [
        lines(
          'Tool calls that failed',
          'opm',
          'A minute, by the error’s code.',
          q(
            '60 * sum by (outcome) (rate(proxmox_mcp_tool_calls_total{outcome!="ok"}[$__rate_interval]))',
            '{{outcome}}',
          ),
        ),
        lines(
          'HTTP answers that are errors',
          'opm',
          'A minute, by status.',
          q(
            '60 * sum by (status) (rate(proxmox_mcp_http_requests_total{status=~"[45].."}[$__rate_interval]))',
            '{{status}}',
          ),
        ),
        lines(
          'Work on hosts that failed',
          'short',
          'Within the last hour, by host and the error’s code.',
          q(
            'sum by (host, outcome) (increase(proxmox_mcp_host_calls_total{outcome!="ok"}[1h]))',
            '{{host}} {{outcome}}',
          ),
        ),
      ],
    },
    {
      title: 'Security events',
      panels: [
        lines(
          'Requests refused',
          'opm',
          'A minute: no token that counts, a scope that is too small, a foreign name or page, too many.',
          q('60 * sum by (reason) (rate(proxmox_mcp_http_refused_total[$__rate_interval]))', '{{reason}}'),
        ),
        lines(
          'Sign-ins on the page',
          'short',
          'Within the last hour.',
          q('sum by (outcome) (increase(proxmox_mcp_sign_ins_total[1h]))', '{{outcome}}'),
        ),
        lines(
          'Blocked commands',
          'short',
          'sudo refused them to the service’s user, in the 24 hours before a host’s last health check.',
          q('proxmox_mcp_blocked_commands', '{{host}}'),
        ),
        lines(
          'Failed logins',
          'short',
          'As the service’s user, in the 24 hours before a host’s last health check.',
          q('proxmox_mcp_failed_logins', '{{host}}'),
        ),
      ],
    },
  ],
};

const operations: Dashboard = {
  name: 'operations',
  title: 'Proxmox MCP: operations',
  about:
    'What runs and ran, with what outcome, what waits for people and locks, and how the hosts and their backups are.',
  groups: [
    {
      title: 'Now',
      panels: [
        numbers(
          'Runs that go on',
          'short',
          'Paused ones wait for a person.',
          q('sum by (phase) (proxmox_mcp_runs_open)', '{{phase}}'),
        ),
        numbers(
          'People are waited for',
          's',
          'For how long the oldest question is open.',
          q('proxmox_mcp_oldest_question_age_seconds', '{{kind}}'),
        ),
        numbers('Wait for a lock', 'short', 'Runs.', q('proxmox_mcp_lock_waiters', 'runs')),
        numbers(
          'Changes stopped',
          'short',
          '1: the kill switch is on, and nothing changes anything.',
          q('proxmox_mcp_changes_stopped', 'stopped'),
        ),
        numbers('Schedules', 'short', 'How they stand.', q('proxmox_mcp_schedules', '{{state}}')),
        numbers(
          'Notices not delivered',
          'short',
          'They are kept until they can be mailed.',
          q('proxmox_mcp_notices_undelivered', 'notices'),
        ),
      ],
    },
    {
      title: 'Runs',
      panels: [
        lines(
          'Runs by outcome',
          'short',
          'Within the last hour.',
          q('sum by (outcome) (increase(proxmox_mcp_runs_ended_total[1h]))', '{{outcome}}'),
        ),
        lines(
          'Reports by verdict',
          'short',
          'Of runs that were done within the last hour: whether what they looked at is well.',
          q('sum by (verdict) (increase(proxmox_mcp_runs_ended_total{outcome="done"}[1h]))', '{{verdict}}'),
        ),
        lines(
          'Runs that did not end well',
          'short',
          'Within the last hour, by operation.',
          q(
            'sum by (operation, outcome) (increase(proxmox_mcp_runs_ended_total{outcome!~"done|planned"}[1h])) > 0',
            '{{operation}} {{outcome}}',
          ),
        ),
        lines(
          'Runs by risk',
          'short',
          'Within the last hour.',
          q('sum by (risk) (increase(proxmox_mcp_runs_ended_total[1h]))', '{{risk}}'),
        ),
        lines(
          'How long runs take',
          's',
          'Half of them, of the last day.',
          q(
            'histogram_quantile(0.5, sum by (le, operation) (increase(proxmox_mcp_run_duration_seconds_bucket[1d]))) > 0',
            '{{operation}}',
          ),
        ),
        lines(
          'Started by schedules',
          'short',
          'Within the last day, by outcome.',
          q('sum by (outcome) (increase(proxmox_mcp_scheduled_runs_ended_total[1d]))', '{{outcome}}'),
        ),
        lines(
          'Due and not started',
          'short',
          'Since the schedules were made.',
          q('sum by (operation, reason) (proxmox_mcp_schedule_runs_missed)', '{{operation}} {{reason}}'),
        ),
      ],
    },
    {
      title: 'Waits',
      panels: [
        lines(
          'Waits for locks',
          's',
          'Of the last hour; one change at a time works on a target.',
          q('histogram_quantile(0.5, sum by (le) (increase(proxmox_mcp_lock_wait_seconds_bucket[1h])))', 'half'),
          q('histogram_quantile(0.95, sum by (le) (increase(proxmox_mcp_lock_wait_seconds_bucket[1h])))', '95 %'),
        ),
        lines('Open questions', 'short', 'Of paused runs.', q('proxmox_mcp_questions', '{{kind}}')),
        lines(
          'The oldest question',
          's',
          'For how long it is open.',
          q('proxmox_mcp_oldest_question_age_seconds', '{{kind}}'),
        ),
      ],
    },
    {
      title: 'Hosts',
      panels: [
        numbers(
          'Last verified backup',
          's',
          'How old it is. A host without any is missing here.',
          q('time() - (proxmox_mcp_backup_verified_timestamp_seconds > 0)', '{{host}} {{kind}}'),
        ),
        lines(
          'Size of backups',
          'bytes',
          'Of the last archive of each kind that counts; 0: none is known.',
          q('proxmox_mcp_backup_bytes', '{{host}} {{kind}}'),
        ),
        lines(
          'Duration of backups',
          's',
          'Of the run that made it.',
          q('proxmox_mcp_backup_duration_seconds', '{{host}} {{kind}}'),
        ),
        numbers(
          'Archives without a copy off their host',
          'short',
          'After the last run that made copies.',
          q('proxmox_mcp_backup_copies_missing', '{{host}}'),
        ),
        numbers(
          'Last health check',
          's',
          'How long ago it was.',
          q('time() - (proxmox_mcp_health_checked_timestamp_seconds > 0)', '{{host}}'),
        ),
        {
          ...numbers(
            'Health',
            'short',
            'What the last health check of each host says.',
            q('proxmox_mcp_health_verdict == 1', '{{host}}'),
          ),
          kind: 'table',
        },
        lines(
          'Work on hosts',
          'opm',
          'Activities a minute.',
          q('60 * sum by (host) (rate(proxmox_mcp_host_calls_total[$__rate_interval]))', '{{host}}'),
        ),
        {
          ...numbers('Managed hosts', 'short', 'And how they are reached.', q('proxmox_mcp_host_info', '{{host}}')),
          kind: 'table',
        },
      ],
    },
  ],
};

const temporal: Dashboard = {
  name: 'temporal',
  title: 'Proxmox MCP: Temporal',
  about: 'The engine itself: its server, its database, the workers and their queues.',
  groups: [
    {
      title: 'Queues',
      panels: [
        lines(
          'Workers that ask for work',
          'short',
          'By queue; 0: nobody works on it.',
          q('max by (queue, tasks) (proxmox_mcp_queue_pollers)', '{{queue}} {{tasks}}'),
        ),
        lines(
          'Tasks that wait for a worker',
          'short',
          'By queue.',
          q('max by (queue, tasks) (proxmox_mcp_queue_backlog)', '{{queue}} {{tasks}}'),
        ),
        lines(
          'From due to begun',
          's',
          'How long activities wait for a free place of a worker.',
          q(
            'histogram_quantile(0.95, sum by (le, task_queue) (rate(temporal_activity_schedule_to_start_latency_bucket[$__rate_interval]))) / 1000',
            '95 % of {{task_queue}}',
          ),
        ),
        numbers(
          'How old this is',
          's',
          'When each part was read from the Temporal server.',
          q('time() - proxmox_mcp_state_read_timestamp_seconds', '{{part}}'),
        ),
      ],
    },
    {
      title: 'Workers',
      panels: [
        lines(
          'Free places',
          'short',
          'Of the fullest worker of each kind; 0: more work waits.',
          q(
            'min by (worker_type, task_queue) (temporal_worker_task_slots_available)',
            '{{task_queue}} {{worker_type}}',
          ),
        ),
        lines(
          'Workflow tasks',
          's',
          'How long one takes: a run decides what is next.',
          q(
            'histogram_quantile(0.95, sum by (le) (rate(temporal_workflow_task_execution_latency_bucket[$__rate_interval]))) / 1000',
            '95 %',
          ),
        ),
        lines(
          'Workflow tasks that failed',
          'short',
          'Within the last hour: a run that can’t go on with this version.',
          q('sum by (workflow_type) (increase(temporal_workflow_task_execution_failed[1h]))', '{{workflow_type}}'),
        ),
        lines(
          'Runs in memory',
          'short',
          'What a worker need not read again.',
          q('sum by (instance) (temporal_sticky_cache_size)', '{{instance}}'),
        ),
        lines(
          'Asking for work that failed',
          'reqps',
          'Again and again: the server is away, or doesn’t keep up.',
          q(
            'sum by (role, status_code) (rate(temporal_long_request_failure[$__rate_interval]))',
            '{{role}} {{status_code}}',
          ),
        ),
      ],
    },
    {
      title: 'Server',
      panels: [
        lines(
          'Requests',
          'reqps',
          'By what they are.',
          q(
            'sum by (operation) (rate(service_requests{service_name="frontend"}[$__rate_interval])) > 0',
            '{{operation}}',
          ),
        ),
        lines(
          'Answers',
          's',
          'Without those that wait until there is work.',
          q(
            'histogram_quantile(0.95, sum by (le) (rate(service_latency_bucket{service_name="frontend", operation!~"Poll.*|GetWorkflowExecutionHistory|.*LongPoll.*"}[$__rate_interval])))',
            '95 %',
          ),
        ),
        lines(
          'Errors',
          'reqps',
          'By type; what is not found, or there already, is none of the server’s.',
          q('sum by (error_type) (rate(service_error_with_type[$__rate_interval]))', '{{error_type}}'),
        ),
        lines(
          'Database',
          's',
          'How long an access takes.',
          q('histogram_quantile(0.95, sum by (le) (rate(persistence_latency_bucket[$__rate_interval])))', '95 %'),
        ),
        lines(
          'Accesses to the database',
          'reqps',
          'All of them.',
          q('sum(rate(persistence_requests[$__rate_interval]))', 'accesses'),
        ),
        lines(
          'Tasks of the server',
          's',
          'From due to done, of timers, visibility and transfers.',
          q('histogram_quantile(0.95, sum by (le) (rate(task_latency_bucket[$__rate_interval])))', '95 %'),
        ),
      ],
    },
  ],
};

export const dashboards: readonly Dashboard[] = [service, operations, temporal];
