import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { connect as connectTls, type PeerCertificate, TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import type { ProxmoxApiConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { addressOf, networkFailure } from './failures.ts';

/** What a server shows of itself before anyone trusts it. */
export interface ProbedCertificate {
  /** SHA-256, `AA:BB:…`, as Proxmox shows it under Node → System → Certificates. */
  readonly fingerprint: string;
  /** `CN=pve1.example.org, …` */
  readonly subject: string;
  readonly issuer: string;
  readonly validTo: Date;
  /** Whether this machine's own CAs vouch for it under the name that was asked for; if not, why. */
  readonly trusted: true | string;
}

/**
 * Fetches the certificate of `host:port` and closes; nothing is sent. For `doctor` and for `host add`, which shows the
 * fingerprint to a person before it is pinned.
 *
 * @throws ServiceError `proxmox-unavailable`, `timeout`
 */
export function probeCertificate(
  host: string,
  port: number,
  { timeoutMs = 10_000 }: { readonly timeoutMs?: number } = {},
): Promise<ProbedCertificate> {
  return new Promise((resolve, reject) => {
    const server = isIP(host) ? {} : { servername: host };
    // The certificate is looked at, not relied on, and no byte of ours follows.
    const socket = connectTls({ host, port, ...server, rejectUnauthorized: false });
    const fail = (error: unknown) => {
      socket.destroy();
      reject(networkFailure(error, { host, port, method: 'GET' }));
    };
    socket.setTimeout(timeoutMs, () => fail(new DOMException('no certificate in time', 'TimeoutError')));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const trusted = socket.authorized || String(socket.authorizationError);
      const certificate = socket.getPeerCertificate();
      socket.destroy();
      resolve({
        fingerprint: certificate.fingerprint256,
        subject: nameOf(certificate.subject),
        issuer: nameOf(certificate.issuer),
        validTo: new Date(certificate.valid_to),
        trusted,
      });
    });
  });
}

type TrustedAddress = Pick<ProxmoxApiConfig, 'host' | 'port' | 'trust' | 'product'>;

/**
 * How connections to the API are made, as its configuration trusts it. With a pin exactly that certificate is
 * accepted, whoever signed it and whatever its names, and it is compared before the connection is handed over, so that
 * nothing, above all no API token, was sent when it doesn't match.
 *
 * @throws ServiceError `configuration` when the CA file can't be read or the pin isn't a fingerprint
 */
export function connectorFor(config: TrustedAddress, timeoutMs: number): buildConnector.connector {
  const { trust } = config;
  switch (trust.kind) {
    case 'system':
      return buildConnector({ timeout: timeoutMs });
    case 'ca-file':
      return buildConnector({ timeout: timeoutMs, ca: readCa(trust.path) });
    case 'fingerprint':
      return pinnedConnector(config, canonicalFingerprint(trust.sha256), timeoutMs);
  }
}

function pinnedConnector(config: TrustedAddress, pin: string, timeoutMs: number): buildConnector.connector {
  // The chain isn't checked because the pin is stricter. No session is kept: a resumed one shows no certificate.
  const connect = buildConnector({ timeout: timeoutMs, rejectUnauthorized: false, maxCachedSessions: 0 });
  return (options, callback) =>
    connect(options, (error, socket) => {
      if (error) return callback(error, null);
      const seen = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : undefined;
      if (socket && seen !== undefined && canonicalFingerprint(seen) === pin) return callback(null, socket);
      socket?.destroy();
      return callback(certificateChanged(config, pin, seen), null);
    });
}

function certificateChanged(config: TrustedAddress, pin: string, seen: string | undefined): ServiceError {
  const address = addressOf(config);
  const look =
    config.product === 'backup-server'
      ? { how: 'proxmox-backup-manager cert info', where: 'PBS_FINGERPRINT of its entry in hosts.yaml' }
      : {
          how: 'openssl x509 -in /etc/pve/local/pve-ssl.pem -noout -fingerprint -sha256, or pveproxy-ssl.pem if there is one',
          where: 'npx proxmox-mcp host add NAME (or PROXMOX_FINGERPRINT)',
        };
  return new ServiceError({
    code: 'proxmox-certificate',
    message: `${address} shows another certificate than the pinned one: SHA-256 ${seen ?? 'none'} instead of ${pin}.`,
    remedy:
      `If the certificate was renewed, compare the new fingerprint on the host itself ` +
      `(${look.how}) ` +
      `and pin it: ${look.where}; if not, someone may be between this machine and ${address}: don't continue.`,
    details: { host: config.host, port: config.port, expected: pin, seen: seen ?? '' },
  });
}

/** `aa:bb…`, `AABB…` and `SHA256 Fingerprint=AA:BB…` are the same print. */
export function canonicalFingerprint(text: string): string {
  const hex = text.replace(/^.*=/, '').replace(/[:\s]/g, '').toUpperCase();
  if (!/^[0-9A-F]{64}$/.test(hex)) {
    throw new ServiceError({
      code: 'configuration',
      message: `"${text.slice(0, 120)}" is not a SHA-256 fingerprint of a certificate.`,
      remedy:
        'Give 64 hexadecimal digits, with or without colons, as Proxmox shows them under Node, System, Certificates.',
    });
  }
  return hex.replace(/..(?!$)/g, '$&:');
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ServiceError({
      code: 'configuration',
      message: `The CA file ${path} can't be read: ${error instanceof Error ? error.message : String(error)}.`,
      remedy: 'Copy /etc/pve/pve-root-ca.pem from the host there and make it readable for the service.',
      details: { file: path },
    });
  }
}

/** On one line, whatever the server put into it: a person reads it beside the fingerprint they compare. */
function nameOf(name: PeerCertificate['subject'] | undefined): string {
  const text = Object.entries(name ?? {}).map(([key, value]) => `${key}=${[value].flat().join('+')}`);
  return text
    .join(', ')
    .replace(/[\s\p{C}]+/gu, ' ')
    .slice(0, 200);
}
