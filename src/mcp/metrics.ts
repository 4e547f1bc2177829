import { Registry } from 'prom-client';
import { createRegistry, serverInstruments } from '../metrics/instruments.ts';

const refusals = ['unauthenticated', 'forbidden', 'host', 'origin', 'too-large', 'rate-limited'] as const;
const signInOutcomes = ['ok', 'refused', 'rate-limited', 'failed'] as const;
/** What the server answers where it fails itself. */
const failures = ['500', '503'] as const;

/** What the MCP server counts. Labels come from the catalogue and from fixed lists, never from a request. */
export interface Metrics {
  readonly registry: Registry;
  /** What may be asked for: counted from 0 on, so that the first failures of each are seen as such. */
  expect(asked: { readonly tools?: readonly string[]; readonly routes?: readonly string[] }): void;
  /** `outcome` is `ok`, `failed` or an error code. */
  toolCall(tool: string, outcome: string, seconds: number): void;
  runStarted(operation: string, existing: boolean): void;
  refused(reason: (typeof refusals)[number]): void;
  httpRequest(route: string, status: number, seconds: number): void;
  signIn(outcome: (typeof signInOutcomes)[number]): void;
}

/**
 * Metrics in a registry of their own.
 *
 * @param version of this service: also counts the process's memory, CPU and event loop. Default: for tests, without those
 */
export function createMetrics(version?: string): Metrics {
  const registry = version === undefined ? new Registry() : createRegistry({ role: 'mcp-server', version });
  const { toolCalls, toolDuration, runsStarted, refused, requests, requestDuration, signIns } =
    serverInstruments(registry);
  // A counter that first appears as 1 has not grown, to Prometheus.
  for (const reason of refusals) refused.inc({ reason }, 0);
  for (const outcome of signInOutcomes) signIns.inc({ outcome }, 0);
  const expected = new Set<string>();
  return {
    registry,
    expect({ tools = [], routes = [] }) {
      for (const tool of tools) {
        // An error's code can be any of many: what isn't ok is the difference of the two.
        toolCalls.inc({ tool, outcome: 'ok' }, 0);
        if (!expected.has(tool)) toolDuration.zero({ tool });
        expected.add(tool);
      }
      for (const route of routes) for (const status of failures) requests.inc({ route, status }, 0);
    },
    toolCall(tool, outcome, seconds) {
      toolCalls.inc({ tool, outcome });
      toolDuration.observe({ tool }, seconds);
    },
    runStarted(operation, existing) {
      runsStarted.inc({ operation, existing: String(existing) });
    },
    refused(reason) {
      refused.inc({ reason });
    },
    httpRequest(route, status, seconds) {
      requests.inc({ route, status });
      requestDuration.observe({ route }, seconds);
    },
    signIn(outcome) {
      signIns.inc({ outcome });
    },
  };
}
