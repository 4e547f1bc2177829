import { isLoopback } from '../address.ts';
import type { TracingConfig } from '../config.ts';
import { Secret } from '../secret.ts';
import { optional } from './key.ts';
import { type ConfigFinding, configWarning, type Source } from './problems.ts';
import * as types from './value-types.ts';

/** Keys of the traces, by the names that OpenTelemetry gives them everywhere. */
export const tracingKeys = {
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(types.url, {
    group: 'Traces',
    atStart: true,
    example: 'http://127.0.0.1:4318',
    what: 'Collector that gets OpenTelemetry traces over OTLP/HTTP (`/v1/traces` is appended). Without it nothing is traced.',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: optional(types.headers, {
    group: 'Traces',
    atStart: true,
    example: '',
    secret: true,
    what: 'Headers for that collector, e.g. `authorization=Bearer%20…`: name=value, separated by commas; values are percent-encoded.',
  }),
} as const;

export interface TracingContext {
  readonly values: {
    readonly OTEL_EXPORTER_OTLP_ENDPOINT: string | undefined;
    readonly OTEL_EXPORTER_OTLP_HEADERS: Secret | undefined;
  };
  readonly sourceOf: (key: string) => Source;
}

/** Where spans go, and what is doubtful of it. */
export function tracingOf({ values, sourceOf }: TracingContext, warnings: ConfigFinding[]): TracingConfig | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: listed } = values;
  const key = 'OTEL_EXPORTER_OTLP_HEADERS';
  const warn = (summary: string, remedy: string) =>
    warnings.push(configWarning({ key, source: sourceOf(key), summary, remedy }));
  if (endpoint === undefined) {
    if (listed !== undefined)
      warn('it has no effect without OTEL_EXPORTER_OTLP_ENDPOINT.', 'Set that too, or leave both out.');
    return undefined;
  }
  const { protocol, hostname } = new URL(endpoint);
  if (listed !== undefined && protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/g, '')))
    warn(`they cross the network to ${hostname} readable.`, 'Use an https:// URL as OTEL_EXPORTER_OTLP_ENDPOINT.');
  const headers = types.readHeaders(listed?.reveal() ?? '') ?? [];
  return { endpoint, headers: headers.map(([name, value]) => ({ name, value: new Secret(value) })) };
}
