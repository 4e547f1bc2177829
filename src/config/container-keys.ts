import { type Key, optional, withDefault } from './key.ts';
import * as types from './value-types.ts';

const group = 'Containers and monitoring';

/** Keys of the containers: their images and limits. Checked here, used by `docker-compose.yml`, which has the same defaults. */
export const containerKeys = {
  CADDY_IMAGE: image('Image of Caddy 2.11.', 'caddy:2.11.7'),
  POSTGRES_IMAGE: image('Image of PostgreSQL 17.', 'postgres:17-trixie'),
  TEMPORAL_IMAGE: image("Image of Temporal's server.", 'temporalio/server:1.32.0'),
  TEMPORAL_ADMIN_TOOLS_IMAGE: image(
    "Image with Temporal's schema tool, of the server's version.",
    'temporalio/admin-tools:1.32.0',
  ),
  TEMPORAL_UI_IMAGE: image("Image of Temporal's UI.", 'temporalio/ui:2.54.1'),
  PROMETHEUS_IMAGE: image('Image of Prometheus 3.', 'prom/prometheus:v3.15.0'),
  GRAFANA_IMAGE: image('Image of Grafana.', 'grafana/grafana:13.2.2'),
  LOKI_IMAGE: image('Image of Loki 3.', 'grafana/loki:3.7.8'),
  ALLOY_IMAGE: image('Image of Alloy, which collects the logs.', 'grafana/alloy:v1.20.1'),
  NODE_EXPORTER_IMAGE: image("Image of the machine's own figures.", 'prom/node-exporter:v1.12.1'),
  TEMPORAL_LOG_LEVEL: withDefault(types.oneOf('debug', 'info', 'warn', 'error'), 'warn', {
    group,
    example: 'warn',
    what: "How much Temporal's server logs in its container.",
  }),
  WORKER_REPLICAS: withDefault(types.whole(1, 50), '1', {
    group,
    example: '3',
    what: 'How many workers run on this machine; each has the limits of WORKER_CPUS and WORKER_MEMORY.',
  }),
  MCP_CPUS: cpus('the MCP server', '1.0'),
  MCP_MEMORY: memory('the MCP server', '1G'),
  WORKER_CPUS: cpus('each worker', '2.0'),
  WORKER_MEMORY: memory('each worker', '2G'),
  LEDGER_CPUS: cpus('the process that has the ledger', '1.0'),
  LEDGER_MEMORY: memory('the process that has the ledger', '512M'),
  CADDY_CPUS: cpus('Caddy', '1.0'),
  CADDY_MEMORY: memory('Caddy', '256M'),
  POSTGRES_CPUS: cpus('PostgreSQL', '2.0'),
  POSTGRES_MEMORY: memory('PostgreSQL', '1G'),
  TEMPORAL_CPUS: cpus("Temporal's server", '2.0'),
  TEMPORAL_MEMORY: memory("Temporal's server", '1G'),
  TEMPORAL_UI_CPUS: cpus("Temporal's UI", '0.5'),
  TEMPORAL_UI_MEMORY: memory("Temporal's UI", '128M'),
  PROMETHEUS_CPUS: cpus('Prometheus', '1.0'),
  PROMETHEUS_MEMORY: memory('Prometheus', '1G'),
  GRAFANA_CPUS: cpus('Grafana', '1.0'),
  GRAFANA_MEMORY: memory('Grafana', '512M'),
  LOKI_CPUS: cpus('Loki', '1.0'),
  LOKI_MEMORY: memory('Loki', '1G'),
  ALLOY_CPUS: cpus('Alloy', '0.5'),
  ALLOY_MEMORY: memory('Alloy', '256M'),
  NODE_EXPORTER_CPUS: cpus('node exporter', '0.5'),
  NODE_EXPORTER_MEMORY: memory('node exporter', '64M'),
} as const;

function image(what: string, example: string): Key<string | undefined> {
  return optional(types.imageName, {
    group,
    defaultText: 'the one that docker-compose.yml pins by its digest',
    example: `registry.example.org/${example}`,
    what,
  });
}

function cpus(whose: string, value: string): Key<string> {
  return withDefault(types.cpus, value, {
    group,
    example: value,
    what: `How many processors ${whose} may use; 0: as many as there are.`,
  });
}

function memory(whose: string, value: string): Key<string> {
  return withDefault(types.memory, value, { group, example: value, what: `How much memory ${whose} may use.` });
}
