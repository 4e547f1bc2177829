import { isIP } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { splitAddress } from '../address.ts';
import { ServiceError } from '../errors.ts';
import { grpcFailure } from './grpc-failure.ts';
import { readTls, type TemporalEndpoint } from './temporal-endpoint.ts';

/** gRPC's codes. */
const code = { deadline: 4, permission: 7, unavailable: 14, unauthenticated: 16 } as const;
const probeMs = 3_000;

/**
 * Why the Temporal server can't be worked with, as an error that says what to do. gRPC says of a failed handshake no more than
 * that there is no connection, so that one is tried here, for its reason.
 */
export async function explainTemporal(error: unknown, endpoint: TemporalEndpoint): Promise<ServiceError> {
  if (error instanceof ServiceError) return error;
  const answer = grpcFailure(error);
  if (answer?.code === code.unauthenticated || answer?.code === code.permission) {
    return refused(endpoint, answer.code === code.unauthenticated, answer.details, error);
  }
  const reason = endpoint.isOthers ? await probe(endpoint) : undefined;
  return reason ?? silent(endpoint, error);
}

function silent(endpoint: TemporalEndpoint, cause: unknown): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: `The Temporal server at ${endpoint.address} doesn't answer.`,
    remedy: endpoint.isOthers
      ? 'Check TEMPORAL_ADDRESS and that the server runs; `npx proxmox-mcp doctor` shows what was tried.'
      : 'Start the service with `npm start`, which runs it.',
    retryable: true,
    cause,
  });
}

/** It was understood, and not admitted. */
function refused(
  { address, namespace, apiKey, tls, isCloud }: TemporalEndpoint,
  unknown: boolean,
  details: string,
  cause: unknown,
) {
  const what = apiKey
    ? 'the API key'
    : tls?.client
      ? 'the client certificate'
      : 'a client without API key or certificate';
  const said = details === '' ? '' : ` (${details})`;
  if (unknown) {
    return new ServiceError({
      code: 'unauthenticated',
      message: `The Temporal server at ${address} refuses ${what}${said}`,
      remedy: apiKey
        ? 'The key is wrong, disabled or has expired: make another one, and write it into the file of TEMPORAL_API_KEY_FILE.'
        : 'Set TEMPORAL_API_KEY_FILE, or TEMPORAL_TLS_CERT_FILE and TEMPORAL_TLS_KEY_FILE: docs/temporal.md says which.',
      cause,
    });
  }
  return new ServiceError({
    code: 'forbidden',
    message: `The Temporal server at ${address} doesn't let ${what} work in the namespace ${namespace}${said}`,
    remedy: isCloud
      ? `Give the account of the key, or the CA of the certificate, write access to ${namespace}, or correct TEMPORAL_NAMESPACE (NAME.ACCOUNT).`
      : `Give it the right to write in ${namespace}, or correct TEMPORAL_NAMESPACE.`,
    cause,
  });
}

/** A handshake of our own; undefined: nothing is wrong with TLS, or nobody is there at all. */
async function probe(endpoint: TemporalEndpoint): Promise<ServiceError | undefined> {
  const { address, tls } = endpoint;
  const seen = await shakeHands(endpoint);
  const wrong = (message: string, remedy: string) => new ServiceError({ code: 'configuration', message, remedy });
  if (tls === undefined) {
    if (seen === 'no TLS' || seen === 'silent') return undefined;
    return wrong(
      `The Temporal server at ${address} speaks TLS, and TEMPORAL_TLS isn't set`,
      'Write TEMPORAL_TLS=true, and TEMPORAL_TLS_CA_FILE=PATH where its certificate is of a CA of your own.',
    );
  }
  if (seen === 'secure' || seen === 'silent') return undefined;
  if (seen === 'no TLS') {
    return wrong(
      `What listens at ${address} speaks no TLS`,
      'Correct TEMPORAL_ADDRESS, or remove the TEMPORAL_TLS_ keys and TEMPORAL_API_KEY where the server is really reached without.',
    );
  }
  if (seen === 'certificate wanted') {
    return wrong(
      tls.client
        ? `The Temporal server at ${address} refuses the client certificate ${tls.client.certFile}`
        : `The Temporal server at ${address} wants a client certificate`,
      tls.client
        ? 'It has expired, or is of a CA that the server doesn’t accept: make another one, or register its CA there.'
        : 'Set TEMPORAL_TLS_CERT_FILE and TEMPORAL_TLS_KEY_FILE.',
    );
  }
  return wrong(
    `The certificate of the Temporal server at ${address} isn't trusted: ${seen.untrusted}`,
    seen.forOther
      ? 'Set TEMPORAL_TLS_SERVER_NAME to the name that the certificate is for, or correct TEMPORAL_ADDRESS.'
      : 'Set TEMPORAL_TLS_CA_FILE to the file of the CA that it is of; remove it where that is a public one.',
  );
}

type Handshake =
  | 'secure'
  | 'certificate wanted'
  | 'no TLS'
  | 'silent'
  | { readonly untrusted: string; readonly forOther: boolean };

/**
 * What comes of a handshake with the certificates that are set. With TLS 1.3 a refused certificate shows only after it: a
 * server that says nothing for a moment has taken it.
 */
function shakeHands({ address, tls = {} }: TemporalEndpoint): Promise<Handshake> {
  const [host, port] = splitAddress(address);
  const { serverRootCACertificate: ca, clientCertPair: pair } = readTls(tls);
  const name = tls.serverName ?? host;
  return new Promise((resolve) => {
    const socket: TLSSocket = connectTls({
      host,
      port,
      ALPNProtocols: ['h2'],
      ...(isIP(name) === 0 && { servername: name }),
      ...(ca && { ca }),
      ...(pair && { cert: pair.crt, key: pair.key }),
    });
    const end = (seen: Handshake) => {
      socket.destroy();
      resolve(seen);
    };
    let isSecure = false;
    const timer = setTimeout(() => end(isSecure ? 'secure' : 'silent'), probeMs);
    socket.once('secureConnect', () => {
      isSecure = true;
      setTimeout(() => end('secure'), 500).unref();
    });
    // A server of HTTP/2 greets first, once it has accepted who is there.
    socket.once('data', () => end('secure'));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const why = `${error.code ?? ''} ${error.message}`;
      if (isSecure || /ALERT|alert/.test(why)) end('certificate wanted');
      else if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|wrong version|packet length/.test(why)) end('no TLS');
      else if (/^(E[A-Z]+|ENOTFOUND) /.test(why) && !/^ERR_/.test(why)) end('silent');
      else end({ untrusted: error.message, forOther: error.code === 'ERR_TLS_CERT_ALTNAME_INVALID' });
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(isSecure ? 'certificate wanted' : 'silent');
    });
  });
}
