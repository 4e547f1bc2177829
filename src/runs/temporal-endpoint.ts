import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { isTemporalCloud } from '../address.ts';
import type { Config, TemporalTls } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { readSecret } from '../secret-file.ts';

/** Where a Temporal server is, and with what it is reached. */
export interface TemporalEndpoint {
  /** HOST:PORT */
  readonly address: string;
  readonly namespace: string;
  readonly tls?: TemporalTls;
  readonly apiKey?: Secret;
  readonly apiKeyFile?: string;
  /** Somebody else's: the service runs none. */
  readonly isOthers: boolean;
  readonly isCloud: boolean;
}

/** Address of the Temporal server: the configured one, or the dev server that the service runs. */
export function temporalAddress({ temporal }: Pick<Config, 'temporal'>): string {
  return temporal.address ?? `127.0.0.1:${temporal.port}`;
}

export function temporalEndpoint(config: Pick<Config, 'temporal'>): TemporalEndpoint {
  const { namespace, tls, apiKey, apiKeyFile } = config.temporal;
  const address = temporalAddress(config);
  return {
    address,
    namespace,
    ...(tls && { tls }),
    ...(apiKey && { apiKey }),
    ...(apiKeyFile && { apiKeyFile }),
    isOthers: config.temporal.address !== undefined,
    isCloud: isTemporalCloud(address),
  };
}

/** What both of Temporal's clients take as `tls`. */
export interface TlsFiles {
  readonly serverNameOverride?: string;
  readonly serverRootCACertificate?: Buffer;
  readonly clientCertPair?: { readonly crt: Buffer; readonly key: Buffer };
}

/** The files as they are now. Throws `configuration` for one that can't be read. */
export function readTls({ caFile, client, serverName }: TemporalTls): TlsFiles {
  return {
    ...(serverName && { serverNameOverride: serverName }),
    ...(caFile && { serverRootCACertificate: pem(caFile, 'TEMPORAL_TLS_CA_FILE', 'CERTIFICATE') }),
    ...(client && {
      clientCertPair: {
        crt: pem(client.certFile, 'TEMPORAL_TLS_CERT_FILE', 'CERTIFICATE'),
        key: pem(client.keyFile, 'TEMPORAL_TLS_KEY_FILE', 'PRIVATE KEY'),
      },
    }),
  };
}

/**
 * The API key that counts now: one of a file is read again when the file has changed, so that a new key needs no restart. A
 * file that can't be read leaves the last one, and costs one stat as long as it is the same.
 */
export function apiKeyReader({ apiKey, apiKeyFile }: TemporalEndpoint): (() => string) | undefined {
  if (apiKey === undefined) return undefined;
  let current = apiKey.reveal();
  if (apiKeyFile === undefined) return () => current;
  let seen = '';
  return () => {
    const stamp = stampOf(apiKeyFile);
    if (stamp !== seen) {
      const read = readSecret(apiKeyFile);
      if ('text' in read) current = read.text.trim();
      seen = stamp;
    }
    return current;
  };
}

/** How often it is looked whether certificates have changed. */
const lookMs = 10_000;

/**
 * Calls when the files of the certificates have changed and belong together again, with what they hold now: a connection keeps
 * what it was made with. Returns what ends it.
 */
export function watchTls({ tls }: TemporalEndpoint, renewed: (files: TlsFiles) => void | Promise<void>): () => void {
  if (tls === undefined) return () => {};
  const paths = [tls.caFile, tls.client?.certFile, tls.client?.keyFile].filter((path) => path !== undefined);
  const stamps = () => paths.map(stampOf).join();
  let seen = stamps();
  let isBusy = false;
  const look = async () => {
    const now = stamps();
    if (now === seen || isBusy) return;
    isBusy = true;
    try {
      const files = readTls(tls);
      const { clientCertPair: pair } = files;
      // Between the two files' replacement they don't belong together.
      createSecureContext(pair && { cert: pair.crt, key: pair.key });
      await renewed(files);
      seen = now;
    } catch {
      // The connection that there is goes on; the next look may find them complete.
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(look, lookMs).unref();
  return () => clearInterval(timer);
}

/** Changes when a file does: when it is replaced, too. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? 'absent' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
}

function pem(path: string, key: string, what: 'CERTIFICATE' | 'PRIVATE KEY'): Buffer {
  const wrong = (why: string, cause?: unknown) =>
    new ServiceError({
      code: 'configuration',
      message: `${key}: ${path} ${why}`,
      remedy: 'Correct the path or the file: docs/temporal.md says what belongs into it.',
      cause,
    });
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw wrong(code === 'ENOENT' ? "isn't there" : `can't be read (${code})`, error);
  }
  if (content.includes('ENCRYPTED PRIVATE KEY'))
    throw wrong('is encrypted, and there is nobody to ask for its password');
  // Both clients would take what is no PEM for nothing, and say only that the connection failed.
  if (!new RegExp(`-----BEGIN [A-Z ]*${what}-----`).test(content.toString('latin1'))) {
    throw wrong(`holds no ${what === 'CERTIFICATE' ? 'certificate' : 'private key'} in PEM form`);
  }
  return content;
}
