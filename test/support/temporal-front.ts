import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { IssuedCertificate } from './certificates.ts';

/** gRPC's codes that a front answers with itself. */
export const refusals = { permissionDenied: 7, unavailable: 14, unauthenticated: 16 } as const;

export interface TemporalFront {
  readonly port: number;
  /** The API key that is let in from now on. */
  setApiKey(key: string): void;
  /** The CAs of the client certificates that are let in from now on; connections that are open are ended. */
  setClientCa(ca: string): void;
  /** Calls by what they were refused with; `0`: passed on. */
  readonly counts: Record<string, number>;
  close(): Promise<void>;
}

export interface FrontOptions {
  /** Address of the Temporal server behind it. */
  readonly target: string;
  readonly server: IssuedCertificate;
  /** Whose certificates are demanded. */
  readonly clientCa?: string;
  readonly apiKey?: string;
  /** Answers a call itself. */
  readonly refuse?: (path: string) => { readonly code: number; readonly message: string } | undefined;
}

/**
 * The wire as Temporal Cloud has it, before a server without TLS: HTTP/2 over TLS, client certificates, an API key as bearer
 * token, calls of the operator refused.
 */
export async function startTemporalFront(options: FrontOptions): Promise<TemporalFront> {
  let { apiKey } = options;
  const counts: Record<string, number> = {};
  const sessions = new Set<ServerHttp2Session>();
  let behind: ClientHttp2Session | undefined;
  const secure = (clientCa: string | undefined) => ({
    key: options.server.key,
    cert: options.server.certificate,
    ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  });
  const server = createSecureServer(secure(options.clientCa));
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => undefined);
  });
  server.on('tlsClientError', () => undefined);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    const path = headers[':path'] ?? '';
    const refusal =
      apiKey !== undefined && headers.authorization !== `Bearer ${apiKey}`
        ? { code: refusals.unauthenticated, message: 'invalid API key' }
        : options.refuse?.(path);
    const code = refusal?.code ?? 0;
    counts[code] = (counts[code] ?? 0) + 1;
    if (refusal !== undefined) {
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': String(refusal.code),
          'grpc-message': refusal.message,
        },
        { endStream: true },
      );
      return;
    }
    if (behind === undefined || behind.closed || behind.destroyed) {
      behind = connect(`http://${options.target}`);
      behind.setMaxListeners(0);
      behind.on('error', () => undefined);
    }
    passOn(stream, headers, behind);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endSessions = () => {
    for (const session of sessions) session.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    counts,
    setApiKey(key) {
      apiKey = key;
    },
    setClientCa(ca) {
      server.setSecureContext(secure(ca));
      endSessions();
    },
    async close() {
      endSessions();
      behind?.destroy();
      server.close();
    },
  };
}

function passOn(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, behind: ClientHttp2Session): void {
  const upstream = behind.request(headers);
  let trailers: IncomingHttpHeaders = {};
  upstream.on('response', (answer, flags) => {
    // NGHTTP2_FLAG_END_STREAM: an answer of nothing but its status.
    if ((flags & 1) !== 0) stream.respond(answer, { endStream: true });
    else stream.respond(answer, { waitForTrailers: true });
  });
  upstream.on('trailers', (sent) => {
    trailers = sent;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  upstream.on('error', () => stream.destroy());
  stream.on('close', () => upstream.destroy());
  stream.pipe(upstream);
  upstream.pipe(stream);
}
