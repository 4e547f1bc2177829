import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';

/** What the MCP server counts. Labels come from the catalogue and from fixed lists, never from a request. */
export interface Metrics {
  readonly registry: Registry;
  /** `outcome` is `ok`, `failed` or an error code. */
  toolCall(tool: string, outcome: string, seconds: number): void;
  runStarted(operation: string, existing: boolean): void;
  refused(reason: 'unauthenticated' | 'forbidden' | 'host' | 'origin' | 'too-large' | 'rate-limited'): void;
  httpRequest(route: string, status: number): void;
}

/** Metrics in a registry of their own. `process`: also the process's memory, CPU and event loop. */
export function createMetrics(options: { readonly process: boolean }): Metrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const calls = new Counter({
    name: 'proxmox_mcp_tool_calls_total',
    help: 'MCP tool calls by tool and outcome',
    labelNames: ['tool', 'outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'proxmox_mcp_tool_duration_seconds',
    help: 'How long MCP tool calls took',
    labelNames: ['tool'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
    registers,
  });
  const runs = new Counter({
    name: 'proxmox_mcp_runs_started_total',
    help: 'Runs asked for through MCP; existing: the same request had started one before',
    labelNames: ['operation', 'existing'],
    registers,
  });
  const refusals = new Counter({
    name: 'proxmox_mcp_http_refused_total',
    help: 'HTTP requests refused before they reached MCP, by reason',
    labelNames: ['reason'],
    registers,
  });
  const requests = new Counter({
    name: 'proxmox_mcp_http_requests_total',
    help: 'HTTP requests by route and status',
    labelNames: ['route', 'status'],
    registers,
  });
  return {
    registry,
    toolCall(tool, outcome, seconds) {
      calls.inc({ tool, outcome });
      durations.observe({ tool }, seconds);
    },
    runStarted(operation, existing) {
      runs.inc({ operation, existing: String(existing) });
    },
    refused(reason) {
      refusals.inc({ reason });
    },
    httpRequest(route, status) {
      requests.inc({ route, status });
    },
  };
}
