import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { dashboards } from '../../src/metrics/dashboards.ts';

// Grafana, Loki and Alloy aren't run here: their files are held against what their documentation says of what is used of it.

const root = join(import.meta.dirname, '../..');
const monitoring = join(root, 'deploy/monitoring');
const text = (path: string) => readFileSync(join(monitoring, path), 'utf8');
const { services } = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true });

/** Where a path inside a container comes from, by its mounts. */
function mounted(service: string, path: string): string | undefined {
  for (const volume of services[service].volumes as readonly string[]) {
    const [from = '', to = ''] = volume.split(':');
    if (from.startsWith('./monitoring/') && path.startsWith(`${to}/`)) {
      return join(root, 'deploy', from, path.slice(to.length));
    }
  }
  return undefined;
}

const datasources = z.strictObject({
  apiVersion: z.literal(1),
  prune: z.boolean(),
  datasources: z.array(
    z.strictObject({
      name: z.string(),
      uid: z.string(),
      type: z.enum(['prometheus', 'loki']),
      access: z.literal('proxy'),
      url: z.url(),
      isDefault: z.boolean().optional(),
      editable: z.literal(false),
      jsonData: z.strictObject({ httpMethod: z.enum(['GET', 'POST']), timeInterval: z.string() }).optional(),
    }),
  ),
});
const providers = z.strictObject({
  apiVersion: z.literal(1),
  providers: z.array(
    z.strictObject({
      name: z.string(),
      type: z.literal('file'),
      folder: z.string(),
      folderUid: z.string().max(40),
      disableDeletion: z.boolean(),
      allowUiUpdates: z.boolean(),
      updateIntervalSeconds: z.int().min(10),
      options: z.strictObject({ path: z.string() }),
    }),
  ),
});
const gridPos = z.strictObject({ h: z.int().min(1), w: z.int().max(24), x: z.int().max(23), y: z.int().min(0) });
const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('prometheus') });
const dashboard = z.object({
  uid: z.string().regex(/^[a-z-]{1,40}$/),
  title: z.string(),
  schemaVersion: z.int(),
  panels: z.array(
    z.union([
      z.object({ id: z.int(), type: z.literal('row'), title: z.string(), gridPos, panels: z.array(z.never()) }),
      z.object({
        id: z.int(),
        type: z.enum(['timeseries', 'stat', 'table']),
        title: z.string(),
        description: z.string().min(1),
        datasource,
        gridPos,
        targets: z
          .array(z.object({ refId: z.string(), datasource, expr: z.string().min(1), legendFormat: z.string() }))
          .min(1),
        fieldConfig: z.object({ defaults: z.object({ unit: z.string().min(1) }), overrides: z.array(z.never()) }),
      }),
    ]),
  ),
});

describe('Grafana', () => {
  it('finds its datasources where the containers are', () => {
    const { datasources: all } = datasources.parse(parse(text('grafana/provisioning/datasources/datasources.yml')));
    for (const { url } of all) {
      const { hostname, port } = new URL(url);
      expect(services[hostname].ports).toEqual([`127.0.0.1:${port}:${port}`]);
      expect(services[hostname].networks).toContain('monitoring');
    }
    expect(services.grafana.networks).toContain('monitoring');
    expect(all.map(({ uid }) => uid)).toEqual(['prometheus', 'loki']);
  });

  it('finds its configuration and its dashboards, with a place for each panel', () => {
    const { GF_PATHS_CONFIG: config, GF_PATHS_PROVISIONING: provisioning } = services.grafana.environment;
    expect(existsSync(mounted('grafana', config) ?? '')).toBe(true);
    expect(readdirSync(mounted('grafana', provisioning) ?? '').sort()).toEqual(['dashboards', 'datasources']);
    const { providers: all } = providers.parse(parse(text('grafana/provisioning/dashboards/dashboards.yml')));
    const files = all.flatMap(({ options }) => {
      const folder = mounted('grafana', options.path) ?? '';
      return readdirSync(folder).map((name) => join(folder, name));
    });
    expect(files).toHaveLength(dashboards.length);
    for (const file of files) {
      const { panels } = dashboard.parse(JSON.parse(readFileSync(file, 'utf8')));
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      const taken = new Set<string>();
      for (const { gridPos: at } of panels) {
        for (let x = at.x; x < at.x + at.w; x += 1) {
          for (let y = at.y; y < at.y + at.h; y += 1) {
            expect(taken.has(`${x} ${y}`)).toBe(false);
            taken.add(`${x} ${y}`);
          }
        }
      }
    }
    const home = /^default_home_dashboard_path = (.*)$/m.exec(text('grafana/grafana.ini'))?.[1] ?? '';
    expect(existsSync(mounted('grafana', home) ?? '')).toBe(true);
  });

  it('has no password but the one of its secret', () => {
    const ini = text('grafana/grafana.ini');
    expect(ini.match(/^admin_password.*$/gm)).toEqual(['admin_password = $__file{/run/secrets/grafana_password}']);
    expect(services.grafana.secrets).toEqual(['grafana_password']);
    // Never in a program's arguments.
    expect(text('grafana/password.sh')).toMatch(/--password-from-stdin <\/run\/secrets\/grafana_password$/m);
  });
});

it('Loki has the index that version 3 takes, and forgets', () => {
  const loki = z
    .strictObject({
      auth_enabled: z.literal(false),
      server: z.strictObject({ http_listen_port: z.literal(3100), log_level: z.string() }),
      common: z.object({ path_prefix: z.literal('/loki'), replication_factor: z.literal(1) }),
      schema_config: z.strictObject({
        configs: z.array(
          z.strictObject({
            from: z.iso.date(),
            store: z.literal('tsdb'),
            object_store: z.literal('filesystem'),
            schema: z.literal('v13'),
            index: z.strictObject({ prefix: z.string(), period: z.literal('24h') }),
          }),
        ),
      }),
      // Without a store of its requests the compactor doesn't start.
      compactor: z.strictObject({
        working_directory: z.string(),
        retention_enabled: z.literal(true),
        delete_request_store: z.literal('filesystem'),
      }),
      limits_config: z.object({ retention_period: z.string().regex(/^\d+d$/) }),
      analytics: z.strictObject({ reporting_enabled: z.literal(false) }),
    })
    .parse(parse(text('loki/loki.yml')));
  expect(loki.schema_config.configs).toHaveLength(1);
  const [option = ''] = services.loki.command;
  expect(existsSync(mounted('loki', option.replace('-config.file=', '')) ?? '')).toBe(true);
});

describe('Alloy', () => {
  const source = text('alloy/config.alloy').replaceAll(/^\s*\/\/.*$/gm, '');

  it('is whole: what is opened is closed, and what is named is there', () => {
    let depth = 0;
    for (const line of source.split('\n')) {
      const bare = line.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
      for (const mark of bare.match(/[{}[\]()]/g) ?? []) depth += '{[('.includes(mark) ? 1 : -1;
      expect(depth).toBeGreaterThanOrEqual(0);
      if (depth === 0) expect(bare).toMatch(/^(|\}|)$/);
    }
    expect(depth).toBe(0);
    const there = [...source.matchAll(/^([a-z_.]+) "([a-z]+)" \{$/gm)].map(([, kind, name]) => `${kind}.${name}`);
    const named = [...source.matchAll(/\b((?:loki|local)(?:\.[a-z_]+)+)\.(?:receiver|targets|rules)\b/g)].map(
      ([, one]) => one,
    );
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((one) => !there.includes(one ?? ''))).toEqual([]);
  });

  it('reads the files that it has, knows containers by their tags, and never asks Docker', () => {
    expect(services.alloy.volumes.join('\n')).not.toMatch(/docker\.sock|\/run\b/);
    expect(source).not.toMatch(/docker\.sock|discovery\.docker|loki\.source\.docker/);
    const mounts = (services.alloy.volumes as readonly string[]).map((volume) => volume.split(':')[1] ?? '');
    for (const path of ['/logs/containers', '/logs/journal']) {
      expect(mounts).toContain(path);
      expect(source).toContain(`"${path}`);
    }
    for (const { logging } of Object.values(services) as { logging: { options: { tag: string } } }[]) {
      expect(logging.options.tag).toBe('{{.Name}}');
    }
  });
});

it('Prometheus asks containers that are there, in networks that it is in', () => {
  const { scrape_configs: jobs } = parse(text('prometheus/prometheus.yml'));
  const names = jobs.flatMap(
    ({ static_configs = [], dns_sd_configs = [] }: Record<string, { targets?: string[]; names?: string[] }[]>) => [
      ...static_configs.flatMap(({ targets = [] }) => targets.map((target) => target.split(':')[0])),
      ...dns_sd_configs.flatMap(({ names: some = [] }) => some),
    ],
  );
  const others = names.filter((name: string) => name !== 'localhost');
  expect(others.sort()).toEqual(['caddy', 'ledger', 'mcp-server', 'node-exporter', 'temporal', 'worker']);
  const own: readonly string[] = services.prometheus.networks;
  for (const name of others) {
    const { networks } = services[name];
    const all: readonly string[] = Array.isArray(networks) ? networks : Object.keys(networks);
    expect(
      all.some((network) => own.includes(network)),
      name,
    ).toBe(true);
  }
});
