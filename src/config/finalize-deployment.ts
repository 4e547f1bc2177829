import { isIPv4 } from 'node:net';
import { canonicalAddress, isLoopback, urlHost } from '../address.ts';
import type { ComposeConfig } from '../config.ts';
import type { ServiceValues } from './keys.ts';
import { type ConfigFinding, configProblem, configWarning, type Source } from './problems.ts';
import type { ServiceContext } from './service-context.ts';

export interface UsedPort {
  readonly key: string;
  readonly port: number;
  readonly source: Source;
  /** The service itself listens there; else something that it connects to on this machine. */
  readonly ours: boolean;
}

export const isWildcard = (address: string) => address === '0.0.0.0' || address === '::';

/** Where clients reach the service, as far as the keys say it. */
export function publicUrlOf(values: ServiceValues): string {
  const { MCP_PUBLIC_URL: given, MCP_DOMAIN: domain, MCP_HOST: host, MCP_PORT: port, HTTPS_PORT: https } = values;
  if (given !== undefined) return given;
  if (domain !== undefined) return `https://${domain}${https === 443 ? '' : `:${https}`}`;
  return `http://${isWildcard(host) ? '127.0.0.1' : urlHost(host)}:${port}`;
}

export function composeOf(values: ServiceValues): ComposeConfig {
  return {
    ...(values.MCP_DOMAIN !== undefined && { domain: values.MCP_DOMAIN }),
    ownCa: values.MCP_DOMAIN === undefined || values.ACME_EMAIL === undefined,
    publishAddress: values.PUBLISH_ADDRESS,
    httpPort: values.HTTP_PORT,
    httpsPort: values.HTTPS_PORT,
    networkPrefix: values.NETWORK_PREFIX,
  };
}

/** The ports that the containers publish on this machine. */
export function composePorts({ values, wrong, sourceOf }: ServiceContext): UsedPort[] {
  const keys = ['HTTP_PORT', 'HTTPS_PORT', 'MCP_PORT', 'TEMPORAL_UI_PORT'] as const;
  return [
    ...keys
      .filter((key) => !wrong.has(key))
      .map((key) => ({ key, port: values[key], source: sourceOf(key), ours: true })),
    ...monitoringPorts(values, sourceOf),
  ];
}

export function monitoringPorts(values: ServiceValues, sourceOf: ServiceContext['sourceOf']): UsedPort[] {
  if (!values.ENABLE_MONITORING) return [];
  const source = sourceOf('ENABLE_MONITORING');
  return [['Prometheus', 9090] as const, ['Grafana', 3000] as const, ['Loki', 3100] as const].map(([name, port]) => ({
    key: `${name}, by ENABLE_MONITORING`,
    port,
    source,
    ours: true,
  }));
}

/** What only shows when the keys of the deployment are seen together, and with the hosts. */
export function publishedOf(context: ServiceContext): {
  readonly problems: readonly ConfigFinding[];
  readonly warnings: readonly ConfigFinding[];
} {
  return { problems: [...unreachable(context), ...overlapping(context)], warnings: [...doubtful(context)] };
}

function unreachable({ values, written, sourceOf }: ServiceContext): ConfigFinding[] {
  const isNamed = written.has('MCP_DOMAIN') || written.has('MCP_PUBLIC_URL');
  if (isLoopback(values.PUBLISH_ADDRESS) || isNamed) return [];
  const example = isWildcard(values.PUBLISH_ADDRESS) ? '192.168.1.10' : urlHost(values.PUBLISH_ADDRESS);
  const port = values.HTTPS_PORT === 443 ? '' : `:${values.HTTPS_PORT}`;
  return [
    configProblem({
      key: 'PUBLISH_ADDRESS',
      source: sourceOf('PUBLISH_ADDRESS'),
      expected: 'MCP_DOMAIN or MCP_PUBLIC_URL beside it, because clients elsewhere need a name and TLS',
      remedy: `Write MCP_DOMAIN=mcp.example.org, or, for Caddy's own CA, e.g. MCP_PUBLIC_URL=https://${example}${port}.`,
    }),
  ];
}

/** A container could not reach a host in the containers' own network. */
function overlapping({ values, wrong, sourceOf, hosts, deployment, placeOf }: ServiceContext): ConfigFinding[] {
  if (deployment !== 'compose' || wrong.has('NETWORK_PREFIX')) return [];
  const prefix = values.NETWORK_PREFIX;
  const others = hosts.flatMap((host) =>
    [host.ssh?.host, host.api?.host].flatMap((address) =>
      address === undefined ? [] : [{ who: host.name, address, source: placeOf(host) }],
    ),
  );
  if (values.SMTP_HOST !== undefined) {
    others.push({ who: 'the mail server', address: values.SMTP_HOST, source: sourceOf('SMTP_HOST') });
  }
  const inside = others.find(({ address }) => isWithin(prefix, address));
  if (inside === undefined) return [];
  return [
    configProblem({
      key: 'NETWORK_PREFIX',
      source: sourceOf('NETWORK_PREFIX'),
      expected: `a network without ${inside.who} (${inside.source}: ${inside.address}), which no container would reach`,
      found: JSON.stringify(prefix),
      remedy: `Write e.g. NETWORK_PREFIX=${prefix === '172.31' ? '172.30' : '172.31'}.`,
    }),
  ];
}

/** Of the networks in docker-compose.yml: they are this machine itself, which install.sh manages by the second one's. */
const gateways = ['0.1', '1.1', '2.1', '3.1'];

/** Whether an address is one of the /16 that begins with the prefix, and not a gateway. */
export function isWithin(prefix: string, address: string): boolean {
  const plain = canonicalAddress(address);
  return isIPv4(plain) && plain.startsWith(`${prefix}.`) && !gateways.includes(plain.slice(prefix.length + 1));
}

function* doubtful({ values, written, sourceOf, deployment }: ServiceContext): Generator<ConfigFinding> {
  const { MCP_DOMAIN: domain, PUBLISH_ADDRESS: address, HTTP_PORT: http, HTTPS_PORT: https } = values;
  const publicUrl = publicUrlOf(values);
  const at = (key: string) => ({ key, source: sourceOf(key) });
  if (!isLoopback(address) && written.has('MCP_PUBLIC_URL') && !publicUrl.startsWith('https://')) {
    yield configWarning({
      ...at('PUBLISH_ADDRESS'),
      summary: `other machines reach ${address} without TLS, so that tokens cross the network readable.`,
      remedy: `Write MCP_PUBLIC_URL=https://…: Caddy has TLS on HTTPS_PORT (${https}).`,
    });
  }
  if (written.has('ACME_EMAIL') && !written.has('MCP_DOMAIN')) {
    yield configWarning({
      ...at('ACME_EMAIL'),
      summary: 'it has no effect without MCP_DOMAIN: no certificate is asked for.',
      remedy: 'Write MCP_DOMAIN, or leave it out.',
    });
  }
  if (domain === undefined) return;
  const name = new URL(publicUrl).hostname;
  if (name !== domain.toLowerCase()) {
    yield configWarning({
      ...at('MCP_PUBLIC_URL'),
      summary: `clients are told ${name}, and the certificate is for MCP_DOMAIN=${domain}.`,
      remedy: 'Leave MCP_PUBLIC_URL out, or MCP_DOMAIN where another proxy has the certificate.',
    });
  }
  // Only a CA of the internet has to reach it.
  if (deployment !== 'compose' || !written.has('ACME_EMAIL')) return;
  if (isLoopback(address)) {
    yield configWarning({
      ...at('MCP_DOMAIN'),
      summary: `nobody reaches ${domain} from elsewhere, and no CA can check it, because PUBLISH_ADDRESS is ${address}.`,
      remedy: 'Write PUBLISH_ADDRESS=0.0.0.0, or leave ACME_EMAIL out: Caddy then has a CA of its own.',
    });
  } else if (http !== 80 && https !== 443) {
    yield configWarning({
      ...at('HTTPS_PORT'),
      summary: `the CA that checks ${domain} asks at the ports 80 and 443, and neither is published.`,
      remedy: 'Publish one of them, or have the router send 80 or 443 on to these.',
    });
  }
}
