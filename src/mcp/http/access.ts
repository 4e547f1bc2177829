import type { IncomingMessage } from 'node:http';
import type { FindOrigin } from './forwarded.ts';

const loopback = ['localhost', '127.0.0.1', '[::1]'];

/** Which `Host` and `Origin` headers are let in. A page of another site can't call this server by a name of its own. */
export interface Access {
  admitsHost(request: IncomingMessage): boolean;
  /** Requests without an `Origin` pass: only browsers send one. */
  admitsOrigin(request: IncomingMessage): boolean;
  /**
   * Whether a page of this very server sends it, not one of another port of the same machine, whose requests carry its
   * cookies too. For what a browser's form changes.
   */
  isOwnPage(request: IncomingMessage): boolean;
}

/** `allowedHosts`: names without port, besides loopback's. */
export function createAccess(allowedHosts: readonly string[], publicUrl: string, originOf: FindOrigin): Access {
  const names = new Set(
    [...loopback, ...allowedHosts.map(bracketed), new URL(publicUrl).hostname].map((name) => name.toLowerCase()),
  );
  return {
    admitsHost(request) {
      const name = hostName(request.headers.host);
      return name !== undefined && names.has(name);
    },
    admitsOrigin({ headers: { origin } }) {
      if (origin === undefined) return true;
      const url = URL.canParse(origin) ? new URL(origin) : undefined;
      return url !== undefined && /^https?:$/.test(url.protocol) && names.has(url.hostname.toLowerCase());
    },
    isOwnPage(request) {
      const { origin, 'sec-fetch-site': site } = request.headers;
      if (origin === undefined || (site !== undefined && site !== 'same-origin')) return false;
      // Behind a proxy, the name that the browser knows may not be the one that arrives here.
      if (origin === new URL(publicUrl).origin) return true;
      const { host, scheme } = originOf(request);
      if (!names.has(hostName(host) ?? '')) return false;
      return scheme === undefined ? origin.replace(/^https?:\/\//, '') === host : origin === `${scheme}://${host}`;
    },
  };
}

/** The name in a `Host` header, without its port. */
function hostName(host: string | undefined): string | undefined {
  return host === undefined
    ? undefined
    : /^(\[[0-9a-f:.]+\]|[^:@/\\\s[\]]+)(?::\d{1,5})?$/i.exec(host)?.[1]?.toLowerCase();
}

function bracketed(name: string): string {
  return name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
}
