import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { setTracer } from '../trace.ts';

/** The tracing of this process. */
export interface Tracing {
  /** Sends what is left, for two seconds at most, and makes no more spans. */
  stop(): Promise<void>;
}

const off: Tracing = { stop: async () => {} };

/**
 * Begins to send spans to the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`. Where there is none nothing of OpenTelemetry is
 * loaded. Never throws for a collector that is away: what it doesn't take is counted and dropped.
 *
 * @param service which process this is: `worker`, `mcp` …
 */
export async function startTracing(config: Config, service: string, log: Log): Promise<Tracing> {
  if (config.tracing === undefined) return off;
  const { createTracer } = await import('./otel.ts');
  const { tracer, stop } = createTracer(config.tracing, service, log);
  setTracer(tracer);
  return {
    async stop() {
      setTracer(undefined);
      await stop();
    },
  };
}
