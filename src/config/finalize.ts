import { resolve } from 'node:path';
import { canonicalAddress, isLoopback } from '../address.ts';
import type { Config, HostConfig, MailConfig } from '../config.ts';
import {
  composeOf,
  composePorts,
  isWildcard,
  monitoringPorts,
  publicUrlOf,
  publishedOf,
  type UsedPort,
} from './finalize-deployment.ts';
import { recipientIn } from './finalize-host.ts';
import { temporalOf } from './finalize-temporal.ts';
import { type ConfigFinding, configProblem, configWarning } from './problems.ts';
import type { ServiceContext } from './service-context.ts';
import { tracingOf } from './tracing-keys.ts';

export interface Finalized {
  readonly config: Config;
  readonly problems: readonly ConfigFinding[];
  readonly warnings: readonly ConfigFinding[];
}

/** The whole configuration from typed values, with what only shows when several keys are seen together. */
export function finalize(context: ServiceContext): Finalized {
  const { values, folder, hosts, demo } = context;
  const published = publishedOf(context);
  const problems: ConfigFinding[] = [
    ...portClashes(context),
    ...duplicateHosts(context),
    ...unknownHosts(context),
    ...published.problems,
  ];
  const warnings: ConfigFinding[] = [...published.warnings];
  const mail = mailOf(context, problems);
  const mcp = mcpOf(context, warnings);
  const tracing = tracingOf(context, warnings);
  if (values.ENABLE_MONITORING && !context.written.has('GRAFANA_PASSWORD')) {
    const remedy = 'Write GRAFANA_PASSWORD=… (or GRAFANA_PASSWORD_FILE=PATH), or set ENABLE_MONITORING=false.';
    const source = context.emptyAt('GRAFANA_PASSWORD') ?? context.sourceOf('ENABLE_MONITORING');
    problems.push(
      configProblem({
        key: 'GRAFANA_PASSWORD',
        source,
        expected: 'a value, because ENABLE_MONITORING is true',
        remedy,
      }),
    );
  }
  if (values.ENABLE_MONITORING && values.GRAFANA_PASSWORD?.reveal() === 'admin') {
    problems.push(
      configProblem({
        key: 'GRAFANA_PASSWORD',
        source: context.sourceOf('GRAFANA_PASSWORD'),
        expected: "another password than Grafana's default, which everybody knows",
        remedy: 'Choose another one, or set ENABLE_MONITORING=false.',
      }),
    );
  }
  const config: Config = {
    dataDir: resolve(folder, values.DATA_DIR),
    accessDir: resolve(folder, values.ACCESS_DIR ?? values.DATA_DIR),
    logLevel: values.LOG_LEVEL,
    temporal: {
      ...temporalOf(context, problems, warnings),
      ...(values.TEMPORAL_BINARY && { binary: resolve(folder, values.TEMPORAL_BINARY) }),
      port: values.TEMPORAL_PORT,
      uiPort: values.TEMPORAL_UI_PORT,
      uiUrl: values.TEMPORAL_UI_URL ?? `http://127.0.0.1:${values.TEMPORAL_UI_PORT}`,
    },
    mcp,
    ...(context.deployment === 'compose' && { compose: composeOf(values) }),
    worker: {
      metricsHost: values.WORKER_METRICS_HOST,
      metricsPort: values.WORKER_METRICS_PORT,
      ledger: values.WORKER_LEDGER,
      versioning: values.WORKER_VERSIONING,
      ...(values.WORKER_BUILD_ID !== undefined && { buildId: values.WORKER_BUILD_ID }),
      maxConcurrentActivitiesPerHost: values.WORKER_ACTIVITIES_PER_HOST,
    },
    hosts,
    copies: {
      folder:
        values.COPIES_DIR === undefined
          ? resolve(folder, values.DATA_DIR, 'copies')
          : resolve(folder, values.COPIES_DIR),
      ...(values.BACKUP_IDENTITY_FILE !== undefined && { identityFile: resolve(folder, values.BACKUP_IDENTITY_FILE) }),
      remotes: values.BACKUP_REMOTES ?? [],
    },
    serviceBackups: {
      recipients: (values.SERVICE_BACKUP_RECIPIENTS ?? []).map((item) => recipientIn(folder, item)),
    },
    ...(mail && { mail }),
    ...(tracing && { tracing }),
    ...(values.GRAFANA_PASSWORD && { grafanaPassword: values.GRAFANA_PASSWORD }),
    webhooks: {
      ...(values.SLACK_WEBHOOK_URL && { slack: values.SLACK_WEBHOOK_URL }),
      ...(values.DISCORD_WEBHOOK_URL && { discord: values.DISCORD_WEBHOOK_URL }),
      ...(values.ONCALL_WEBHOOK_URL && { onCall: values.ONCALL_WEBHOOK_URL }),
    },
    dangerousCommands: values.ENABLE_DANGEROUS_COMMANDS,
    demo,
  };
  return { config, problems, warnings };
}

/** Of the MCP server's container, whatever MCP_PORT is published: Caddy, Prometheus and the health check know it. */
const portInContainer = 8080;

function mcpOf({ values, sourceOf, deployment }: ServiceContext, warnings: ConfigFinding[]): Config['mcp'] {
  const { MCP_HOST: host, MCP_PORT: port, MCP_ALLOWED_HOSTS: listed, TRUSTED_PROXIES: trustedProxies } = values;
  const publicUrl = publicUrlOf(values);
  const named = [...(listed ?? []), new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')];
  const allowedHosts = [...new Set(named)].filter((name) => !isLoopback(name));
  const mcp = { host, port, allowedHosts, publicUrl, ...(trustedProxies && { trustedProxies }) };
  // In its container it listens for Caddy alone: what others reach are PUBLISH_ADDRESS and MCP_PORT.
  if (deployment === 'compose') {
    // Prometheus asks by the name of the container.
    return { ...mcp, allowedHosts: [...allowedHosts, 'mcp-server'], port: portInContainer };
  }
  const place = { key: 'MCP_HOST', source: sourceOf('MCP_HOST') };
  if (!isLoopback(host) && !publicUrl.startsWith('https://')) {
    warnings.push(
      configWarning({
        ...place,
        summary: `other machines reach ${host} without TLS, so that tokens cross the network readable.`,
        remedy: 'Put a TLS proxy in front and set MCP_PUBLIC_URL=https://…',
      }),
    );
  }
  if (isWildcard(host) && allowedHosts.length === 0) {
    warnings.push(
      configWarning({
        ...place,
        summary: `other machines reach ${host} but are refused, because only the names of loopback are accepted in the Host header.`,
        remedy: 'Set MCP_PUBLIC_URL or MCP_ALLOWED_HOSTS.',
      }),
    );
  }
  return mcp;
}

const usualPort = { starttls: 587, tls: 465, none: 25 } as const;

function mailOf(
  { values, written, sourceOf, emptyAt }: ServiceContext,
  problems: ConfigFinding[],
): MailConfig | undefined {
  const { SMTP_HOST: host, SMTP_SECURITY: security, SMTP_USER: user, SMTP_PASSWORD: password, MAIL_TO: to } = values;
  const missing = (key: string, why: string, remedy: string) => {
    if (written.has(key)) return;
    const source = emptyAt(key) ?? sourceOf(why);
    problems.push(configProblem({ key, source, expected: `a value, because ${why} is set`, remedy }));
  };
  const begun = ['SMTP_HOST', 'SMTP_USER', 'SMTP_PASSWORD', 'MAIL_FROM', 'MAIL_TO'].find((key) => written.has(key));
  if (begun !== undefined) {
    missing('SMTP_HOST', begun, 'Write e.g. SMTP_HOST=smtp.example.org.');
    missing('MAIL_TO', begun, 'Write e.g. MAIL_TO=admin@example.org.');
  }
  if (written.has('SMTP_USER'))
    missing('SMTP_PASSWORD', 'SMTP_USER', 'Write SMTP_PASSWORD=… or SMTP_PASSWORD_FILE=PATH.');
  if (written.has('SMTP_PASSWORD')) missing('SMTP_USER', 'SMTP_PASSWORD', 'Write SMTP_USER=….');
  if (host === undefined || to === undefined) return undefined;
  if (security === 'none' && !isLoopback(host)) {
    const expected = 'starttls or tls for a mail server on another machine';
    const remedy = 'Write SMTP_SECURITY=starttls.';
    const place = { key: 'SMTP_SECURITY', source: sourceOf('SMTP_SECURITY') };
    problems.push(configProblem({ ...place, expected, found: '"none"', remedy }));
  }
  const from = values.MAIL_FROM ?? to[0] ?? '';
  const port = values.SMTP_PORT ?? usualPort[security];
  return { host, port, security, from, to, ...(user && { user }), ...(password && { password }) };
}

const listening = ['MCP_PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'WORKER_METRICS_PORT'] as const;

/** Ports of this machine that two programs would listen on, at least one of them the service's own. */
function portClashes(context: ServiceContext): ConfigFinding[] {
  // In containers the other ports are each on an address of its own.
  const used =
    context.deployment === 'compose' ? composePorts(context) : [...ownPorts(context), ...portsOfOthers(context)];
  return used.flatMap((one, index) => {
    const other = used.slice(0, index).find((earlier) => earlier.port === one.port && (earlier.ours || one.ours));
    if (other === undefined) return [];
    // Where somebody wrote something: a default has no line.
    const [at, against] = one.source === 'the default' ? [other, one] : [one, other];
    const expected = `a port of its own; ${against.key} (${against.source}) is ${one.port} too`;
    return [configProblem({ key: at.key, source: at.source, expected, remedy: 'Give one of them another port.' })];
  });
}

function ownPorts({ values, wrong, sourceOf }: ServiceContext): UsedPort[] {
  const keys = values.TEMPORAL_ADDRESS === undefined ? listening : (['MCP_PORT', 'WORKER_METRICS_PORT'] as const);
  const own = keys
    .filter((key) => !wrong.has(key))
    .map((key) => ({ key, port: values[key], source: sourceOf(key), ours: true }));
  return [...own, ...monitoringPorts(values, sourceOf)];
}

function portsOfOthers({ values, sourceOf, hosts, placeOf }: ServiceContext): UsedPort[] {
  const others: (Omit<UsedPort, 'ours'> & { readonly address: string | undefined })[] = hosts.flatMap((host) => [
    { key: `${host.name}'s PROXMOX_PORT`, address: host.api?.host, port: host.api?.port ?? 0, source: placeOf(host) },
    { key: `${host.name}'s SSH_PORT`, address: host.ssh?.host, port: host.ssh?.port ?? 0, source: placeOf(host) },
  ]);
  const [, temporal, port] = /^(.*):(\d+)$/.exec(values.TEMPORAL_ADDRESS ?? '') ?? [];
  const address = temporal?.replace(/^\[|\]$/g, '');
  others.push({ key: 'TEMPORAL_ADDRESS', address, port: Number(port), source: sourceOf('TEMPORAL_ADDRESS') });
  const mail = values.SMTP_PORT ?? usualPort[values.SMTP_SECURITY];
  others.push({ key: 'SMTP_PORT', address: values.SMTP_HOST, port: mail, source: sourceOf('SMTP_HOST') });
  return others.flatMap(({ address: where, ...one }) =>
    where !== undefined && isLoopback(canonicalAddress(where)) ? [{ ...one, ours: false }] : [],
  );
}

/**
 * Two hosts of one name, and two names for one host: its lock would be two locks. Installations with state folders of
 * their own may be side by side on one machine.
 */
function duplicateHosts({ hosts, placeOf }: ServiceContext): ConfigFinding[] {
  return hosts.flatMap((host, index) => {
    const earlier = hosts.slice(0, index);
    const source = placeOf(host);
    const namesake = earlier.find(({ name }) => name === host.name);
    if (namesake !== undefined) {
      const expected = `one host named ${host.name}; there are two (${placeOf(namesake)} has it too)`;
      const remedy = 'Rename one of them, or move all hosts to hosts.yaml.';
      return [configProblem({ key: 'HOST_NAME', source, expected, remedy })];
    }
    const same = earlier.find((one) => meet(one, host));
    if (same === undefined) return [];
    const expected = `one name for one host; ${same.name} (${placeOf(same)}) is the same one`;
    const remedy = 'Remove one of them, or correct the address that is wrong.';
    return [configProblem({ key: host.name, source, expected, remedy })];
  });
}

/** Hosts that this worker is to serve, and that there aren't. */
function unknownHosts({ values, hosts, sourceOf, demo }: ServiceContext): ConfigFinding[] {
  const unknown = (values.WORKER_HOSTS ?? []).filter((name) => !hosts.some((host) => host.name === name));
  if (demo || unknown.length === 0) return [];
  const expected = `names of configured hosts (${hosts.map(({ name }) => name).join(', ') || 'there is none'})`;
  const place = { key: 'WORKER_HOSTS', source: sourceOf('WORKER_HOSTS') };
  return [
    configProblem({
      ...place,
      expected,
      found: unknown.join(', '),
      remedy: 'Correct the names, or add the hosts to hosts.yaml.',
    }),
  ];
}

function meet(a: HostConfig, b: HostConfig): boolean {
  const common = waysTo(a).filter((way) => waysTo(b).includes(way));
  return common.some((way) => way.startsWith('API ')) || (common.length > 0 && a.layout.state === b.layout.state);
}

/** Where a host is reached, one spelling for each place. At the usual ports of one address SSH and API are one machine's. */
function waysTo({ ssh, api, local }: HostConfig): readonly string[] {
  const at = (what: string, address: string, port: number) => `${what} ${canonicalAddress(address)}:${port}`;
  return [
    ...(local ? ['this machine'] : []),
    ...(ssh ? [at('SSH', ssh.host, ssh.port)] : []),
    ...(api ? [at('API', api.host, api.port)] : []),
    ...(api?.port === 8006 && !ssh && !local ? [at('SSH', api.host, 22)] : []),
  ];
}
