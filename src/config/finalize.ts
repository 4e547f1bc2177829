import { resolve } from 'node:path';
import type { Config, HostConfig, MailConfig } from '../config.ts';
import { defaultsOf } from './interpret.ts';
import type { Key } from './key.ts';
import type { ServiceValues } from './keys.ts';
import { type ConfigFinding, configProblem, configWarning, type Source } from './problems.ts';
import { serviceKeys } from './service-keys.ts';

export interface ServiceContext {
  readonly values: ServiceValues;
  readonly written: ReadonlySet<string>;
  readonly sourceOf: (key: string) => Source;
  readonly folder: string;
  readonly hosts: readonly HostConfig[];
  readonly demo: boolean;
}

export interface Finalized {
  readonly config: Config;
  readonly problems: readonly ConfigFinding[];
  readonly warnings: readonly ConfigFinding[];
}

/** The whole configuration from typed values, with what only shows when several keys are seen together. */
export function finalize(context: ServiceContext): Finalized {
  const { values, folder, hosts, demo } = context;
  const problems: ConfigFinding[] = [...portClashes(context), ...duplicateHosts(hosts)];
  const warnings: ConfigFinding[] = [...withoutEffect(context)];
  const mail = mailOf(context, problems);
  const mcp = mcpOf(context, warnings);
  if (values.ENABLE_MONITORING && !context.written.has('GRAFANA_PASSWORD')) {
    const remedy = 'Write GRAFANA_PASSWORD=… (or GRAFANA_PASSWORD_FILE=PATH), or set ENABLE_MONITORING=false.';
    const source = context.sourceOf('ENABLE_MONITORING');
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
    warnings.push(
      configWarning({
        key: 'GRAFANA_PASSWORD',
        source: context.sourceOf('GRAFANA_PASSWORD'),
        summary: "it is Grafana's default, which everybody knows.",
        remedy: 'Choose another one.',
      }),
    );
  }
  const config: Config = {
    dataDir: resolve(folder, values.DATA_DIR),
    logLevel: values.LOG_LEVEL,
    temporal: {
      ...(values.TEMPORAL_ADDRESS && { address: values.TEMPORAL_ADDRESS }),
      namespace: values.TEMPORAL_NAMESPACE,
      ...(values.TEMPORAL_BINARY && { binary: resolve(folder, values.TEMPORAL_BINARY) }),
      port: values.TEMPORAL_PORT,
      uiPort: values.TEMPORAL_UI_PORT,
      uiUrl: values.TEMPORAL_UI_URL ?? `http://127.0.0.1:${values.TEMPORAL_UI_PORT}`,
    },
    mcp,
    worker: {
      metricsPort: values.WORKER_METRICS_PORT,
      maxConcurrentActivitiesPerHost: values.WORKER_ACTIVITIES_PER_HOST,
    },
    hosts,
    ...(mail && { mail }),
    ...(values.GRAFANA_PASSWORD && { grafanaPassword: values.GRAFANA_PASSWORD }),
    webhooks: {
      ...(values.SLACK_WEBHOOK_URL && { slack: values.SLACK_WEBHOOK_URL }),
      ...(values.DISCORD_WEBHOOK_URL && { discord: values.DISCORD_WEBHOOK_URL }),
    },
    demo,
  };
  return { config, problems, warnings };
}

/** A key that is set and changes nothing would be worse than one that is refused. */
function withoutEffect({ values, sourceOf }: ServiceContext): ConfigFinding[] {
  const defaults = defaultsOf<ServiceValues>(serviceKeys);
  return Object.entries<Key>(serviceKeys).flatMap(([name, { noEffectYet }]) => {
    const key = name as keyof ServiceValues;
    if (noEffectYet === undefined || values[key] === defaults[key]) return [];
    const summary = `it has no effect yet: ${noEffectYet}.`;
    return [configWarning({ key: name, source: sourceOf(name), summary, remedy: 'Leave it out until then.' })];
  });
}

/** Whether only this machine can reach the address. */
function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}

const isWildcard = (address: string) => address === '0.0.0.0' || address === '::';

function mcpOf({ values, sourceOf }: ServiceContext, warnings: ConfigFinding[]): Config['mcp'] {
  const { MCP_HOST: host, MCP_PORT: port, MCP_PUBLIC_URL: given, MCP_ALLOWED_HOSTS: listed } = values;
  const reachable = isWildcard(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const publicUrl = given ?? `http://${reachable}:${port}`;
  const named = [...(listed ?? []), new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')];
  const allowedHosts = [...new Set(named)].filter((name) => !isLoopback(name));
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
  return { host, port, allowedHosts, publicUrl };
}

const usualPort = { starttls: 587, tls: 465, none: 25 } as const;

function mailOf({ values, written, sourceOf }: ServiceContext, problems: ConfigFinding[]): MailConfig | undefined {
  const { SMTP_HOST: host, SMTP_SECURITY: security, SMTP_USER: user, SMTP_PASSWORD: password, MAIL_TO: to } = values;
  const together = (key: string, other: string, remedy: string) => {
    if (written.has(key) || !written.has(other)) return;
    problems.push(
      configProblem({ key, source: sourceOf(other), expected: `a value, because ${other} is set`, remedy }),
    );
  };
  together('MAIL_TO', 'SMTP_HOST', 'Write e.g. MAIL_TO=admin@example.org.');
  together('SMTP_HOST', 'MAIL_TO', 'Write e.g. SMTP_HOST=smtp.example.org.');
  together('SMTP_PASSWORD', 'SMTP_USER', 'Write SMTP_PASSWORD=… or SMTP_PASSWORD_FILE=PATH.');
  together('SMTP_USER', 'SMTP_PASSWORD', 'Write SMTP_USER=….');
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

/** The service's own ports, which all listen on this machine. */
function portClashes({ values, sourceOf }: ServiceContext): ConfigFinding[] {
  const names = values.TEMPORAL_ADDRESS === undefined ? listening : (['MCP_PORT', 'WORKER_METRICS_PORT'] as const);
  return names.flatMap((key, index) => {
    const other = names.slice(0, index).find((earlier) => values[earlier] === values[key]);
    if (other === undefined) return [];
    const expected = `a port of its own; ${other} is ${values[key]} too`;
    return [configProblem({ key, source: sourceOf(key), expected, remedy: 'Give one of them another port.' })];
  });
}

function duplicateHosts(hosts: readonly HostConfig[]): ConfigFinding[] {
  const twice = hosts.filter(({ name }, index) => hosts.findIndex((host) => host.name === name) !== index);
  return twice.map(({ name }) =>
    configProblem({
      key: 'HOST_NAME',
      source: '.env and hosts.yaml',
      expected: `one host named ${name}; there are two`,
      remedy: 'Rename one of them, or move all hosts to hosts.yaml.',
    }),
  );
}
