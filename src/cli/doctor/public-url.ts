import { lookup } from 'node:dns/promises';
import { existsSync, readFileSync } from 'node:fs';
import { isLoopback } from '../../address.ts';
import type { Config } from '../../config.ts';
import { type Arrival, arrival, pauseMs, reachPath } from '../../mcp/http/reach.ts';
import { cleanLine } from '../../reports/clean.ts';
import { trustLines } from '../../service/summary.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';

/** What reaches the MCP server by its public URL, as a client would use it, and whether its proxies leave it as it is. */
export function publicUrlCheck(config: Config): Check {
  const { mcp, compose } = config;
  const { hostname, protocol, port } = new URL(mcp.publicUrl);
  const isLocal = isLoopback(hostname.replace(/^\[|\]$/g, ''));
  return {
    check: 'Public URL',
    tried: `GET ${mcp.publicUrl}${reachPath} as a client does`,
    async run(signal): Promise<Result> {
      if (isLocal && compose !== undefined) {
        return skipped(`only this machine itself reaches ${mcp.publicUrl}, and no container does`);
      }
      if (isLocal && protocol === 'http:' && Number(port) === mcp.port) {
        return skipped("clients use the MCP server's own address: nothing stands before it");
      }
      const addresses = await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true }).catch(() => []);
      if (addresses.length === 0) {
        return failed(
          `${hostname} has no address`,
          'Make its DNS record (A or AAAA), or correct MCP_DOMAIN or MCP_PUBLIC_URL.',
        );
      }
      const where = addresses.map(({ address }) => address).join(', ');
      const found = await askAsClient(mcp.publicUrl, signal);
      if (found.kind === 'unreachable') return unreachable(config, where, found.code);
      if (found.kind === 'other') return answeredOtherwise(mcp.publicUrl, where, found);
      const here = await askAsClient(ownUrl(config), signal);
      if (here.kind === 'arrived' && here.arrival.instance !== found.arrival.instance) {
        return failed(
          `another server than this one answers at ${mcp.publicUrl} (${where})`,
          `Let ${hostname} lead to this machine: its DNS record, or the router that forwards its ports.`,
        );
      }
      return judge(config, found, where);
    },
  };
}

type Asked =
  | { readonly kind: 'arrived'; readonly arrival: Arrival; readonly isHeldBack: boolean }
  | { readonly kind: 'other'; readonly status: number; readonly text: string; readonly location: string | null }
  | { readonly kind: 'unreachable'; readonly code: string };

/** Asks with all that a client sends. The token is none. */
async function askAsClient(base: string, signal: AbortSignal): Promise<Asked> {
  try {
    const response = await fetch(`${base}${reachPath}`, {
      signal,
      redirect: 'manual',
      headers: { authorization: 'Bearer sent-by-doctor', accept: 'text/event-stream' },
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    let firstAt = 0;
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) break;
      if (firstAt === 0) firstAt = performance.now();
      text = (text + part.value).slice(0, 4_000);
    }
    const said = /^data: (\{.*\})$/m.exec(text)?.[1];
    const parsed = arrival.safeParse(said === undefined ? undefined : json(said));
    if (!response.ok || !parsed.success) {
      return { kind: 'other', status: response.status, text, location: response.headers.get('location') };
    }
    // The first event is sent half a second before the last.
    const isHeldBack = performance.now() - firstAt < pauseMs / 2;
    return { kind: 'arrived', arrival: parsed.data, isHeldBack };
  } catch (error) {
    if (signal.aborted) throw error;
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return {
      kind: 'unreachable',
      code: cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error',
    };
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function ownUrl({ mcp: { host, port } }: Config): string {
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${local.includes(':') ? `[${local}]` : local}:${port}`;
}

const untrusted =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT.*))$/;

function unreachable(config: Config, where: string, code: string): Result {
  const { publicUrl } = config.mcp;
  if (untrusted.test(code)) {
    const lines = trustLines(config);
    const remedy =
      lines.length === 0
        ? 'Give the proxy a certificate of a CA that clients know, or start doctor and Claude Code with NODE_EXTRA_CA_CERTS=FILE of its CA.'
        : `Where that is meant: ${lines.join('; ')}. This check, too, needs NODE_EXTRA_CA_CERTS to look further.`;
    return warning(`the certificate of ${publicUrl} isn't signed by a CA that this machine knows (${code})`, remedy);
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return failed(
      `the certificate at ${publicUrl} is for another name`,
      'Have one made for this name: MCP_DOMAIN, or the configuration of the proxy that has the certificate.',
    );
  }
  if (code === 'CERT_HAS_EXPIRED')
    return failed(`the certificate of ${publicUrl} has expired`, 'Renew it, and look at the clock of this machine.');
  return failed(
    `${publicUrl} can't be reached (${where}: ${code})`,
    'See that the proxy runs, that its port is open and that the router forwards it. Where only the outside reaches that name, look from there.',
  );
}

function answeredOtherwise(
  publicUrl: string,
  where: string,
  { status, text, location }: Extract<Asked, { kind: 'other' }>,
): Result {
  const host = /Host \\?"(.*?)\\?" is not served here/.exec(text)?.[1];
  if (status === 403 && host !== undefined) {
    const rewritten = `a proxy rewrites the header Host: here it is ${JSON.stringify(cleanLine(host.replaceAll('\\', ''), 100))}`;
    return failed(rewritten, howTo('Host'));
  }
  if (status >= 300 && status < 400 && location !== null) {
    return failed(
      `${publicUrl} sends clients on to ${cleanLine(location, 200)}, where they lose their token`,
      'Write that address as MCP_PUBLIC_URL, or let the proxy serve this one.',
    );
  }
  return failed(
    `something else answers at ${publicUrl} (${where}): status ${status}`,
    'Let the proxy hand all paths of this name on to the MCP server.',
    cleanLine(text, 300),
  );
}

type Lost = 'Authorization' | 'Host' | 'X-Forwarded-For' | 'X-Forwarded-Proto' | 'event streams';

/** The line of each proxy that mends it. */
const mending: Readonly<Record<Lost, readonly [nginx: string, traefik: string, caddy: string]>> = {
  Authorization: [
    'proxy_set_header Authorization $http_authorization;',
    'take basicAuth, and forwardAuth without authResponseHeaders, out of the router (removeHeader: false)',
    'take basic_auth and header_up -Authorization out of the site',
  ],
  Host: [
    'proxy_set_header Host $http_host;',
    'passHostHeader: true (in the service)',
    'take header_up Host out of reverse_proxy',
  ],
  'X-Forwarded-For': [
    'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
    'take customRequestHeaders X-Forwarded-For out of the router',
    'take header_up -X-Forwarded-For out of reverse_proxy',
  ],
  'X-Forwarded-Proto': [
    'proxy_set_header X-Forwarded-Proto $scheme;',
    "forwardedHeaders.trustedIPs of the entry point: the outer proxy's address",
    "trusted_proxies static ADDRESS (in servers): the outer proxy's address",
  ],
  'event streams': [
    'proxy_buffering off;',
    'take the middleware buffering (and compress) out of the router',
    'flush_interval -1 (in reverse_proxy)',
  ],
};

function howTo(...lost: readonly Lost[]): string {
  const lines = (at: 0 | 1 | 2) => lost.map((one) => mending[one][at]).join(' ');
  return `nginx: ${lines(0)} Traefik: ${lines(1)}. Caddy: ${lines(2)}.`;
}

function judge(
  { mcp: { publicUrl } }: Config,
  {
    arrival: { authorization, byProxy, forwarded, scheme, host, address },
    isHeldBack,
  }: Extract<Asked, { kind: 'arrived' }>,
  where: string,
): Result {
  const url = new URL(publicUrl);
  const isSecure = url.protocol === 'https:';
  const isOtherHost = host.replace(/:\d+$/, '').toLowerCase() !== url.hostname;
  const broken: Lost[] = [
    ...(authorization ? [] : ['Authorization' as const]),
    ...(isHeldBack ? ['event streams' as const] : []),
  ];
  if (broken.length > 0) {
    const words = broken.map((one) =>
      one === 'event streams' ? 'holds event streams back until they end' : `drops the header ${one}`,
    );
    return failed(`a proxy before ${publicUrl} ${words.join(' and ')}`, howTo(...broken));
  }
  const behind = isSecure || byProxy || forwarded;
  if (!behind && !isOtherHost)
    return ok(`a client reaches this server at ${publicUrl} (${where}), and nothing stands before it`);
  if (!byProxy) {
    return warning(
      `the proxy before ${publicUrl} isn't named, so that all its clients count as one`,
      "Write its address into TRUSTED_PROXIES; the MCP server's log has it after this check.",
    );
  }
  const lost: Lost[] = [
    ...(forwarded ? [] : ['X-Forwarded-For' as const]),
    ...(scheme === url.protocol.slice(0, -1) ? [] : ['X-Forwarded-Proto' as const]),
    ...(isOtherHost ? ['Host' as const] : []),
  ];
  if (lost.length === 0)
    return ok(`a client reaches this server at ${publicUrl} (${where}), and is known by its address (${address})`);
  const said = lost.map((one) =>
    one === 'X-Forwarded-Proto' && scheme !== undefined ? `${one} (it says ${scheme})` : one,
  );
  return warning(`a proxy before ${publicUrl} loses ${said.join(', ')}`, howTo(...lost));
}

/** Whether the containers' network is one that this machine reaches otherwise. */
export function networkCheck({ compose }: Config, readRoutes = () => readFileSync('/proc/net/route', 'utf8')): Check[] {
  if (compose === undefined) return [];
  const { networkPrefix: prefix } = compose;
  return [
    {
      check: 'Network of the containers',
      tried: `look for routes into ${prefix}.0.0/16`,
      run() {
        if (existsSync('/.dockerenv'))
          return skipped("a container doesn't see this machine's routes; install.sh looks at them");
        const others = overlappingRoutes(prefix, readRoutes());
        if (others.length === 0) return ok(`no other route of this machine leads into ${prefix}.0.0/16`);
        return failed(
          `${others.join(', ')} overlaps the containers' network ${prefix}.0.0/16, so that either can't be reached`,
          'Write another NETWORK_PREFIX, e.g. 172.31.',
        );
      },
    },
  ];
}

/** Routes of /proc/net/route into the /16 or around it, as `10.0.0.0/8 (tun0)`; no default route, and no network of Docker's own. */
export function overlappingRoutes(prefix: string, table: string): readonly string[] {
  const [high = 0, low = 0] = prefix.split('.').map(Number);
  const wanted = ((high << 24) | (low << 16)) >>> 0;
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [name = '', destination = '', , , , , , mask = ''] = line.split(/\s+/);
      if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask) || /^(br-|docker)/.test(name)) return [];
      const [to, bits] = [littleEndian(destination), littleEndian(mask)];
      if (bits === 0) return [];
      const common = Math.min(bits, 0xffff0000) >>> 0;
      if ((to & common) >>> 0 !== (wanted & common) >>> 0) return [];
      const address = [24, 16, 8, 0].map((shift) => (to >>> shift) & 255).join('.');
      return [`${address}/${bits.toString(2).replace(/0+$/, '').length} (${name})`];
    });
}

function littleEndian(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE(0);
}
