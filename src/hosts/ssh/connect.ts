import { connect as dial } from 'node:net';
import ssh2, { type AnyAuthMethod, type ConnectConfig } from 'ssh2';
import type { SshConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { awakeTimeout } from './awake-timeout.ts';
import { connectError, isNoCommonHostKey } from './connect-error.ts';
import { authMethod, type SshLogin } from './credential.ts';
import { hostKeyAlgorithms, hostKeyChanged, judgeHostKey, keyTypes, pinnedKeys } from './host-key-check.ts';
import { keyFileError, readKeyFile } from './key-file.ts';
import type { HostKey, KnownKeys } from './known-hosts.ts';
import { hostKeyFromBlob } from './known-hosts.ts';
import type { SshLimits } from './limits.ts';

export interface SshConnection {
  readonly client: ssh2.Client;
  /** Says good-bye, and closes even when nobody answers. */
  readonly end: () => void;
  /** Closes at once. */
  readonly destroy: () => void;
}

/**
 * One authenticated connection to the host whose key is pinned. The key files are read each time, so that a rotated
 * key or a newly pinned host key counts from the next connection on.
 *
 * Throws `host-key-unknown`, `host-key-changed`, `ssh-key-refused`, `host-unreachable`, `configuration`.
 */
export async function connect(name: string, ssh: SshLogin, limits: SshLimits): Promise<SshConnection> {
  const { credential } = ssh;
  if (credential === undefined) {
    // Without the `none` method, which ssh2 tries first by itself: it only costs a round trip.
    return await openPinned(name, ssh, limits, { privateKey: readKey(ssh.keyPath), authHandler: ['publickey'] });
  }
  const person = { asked: false };
  let given = false;
  return await openPinned(
    name,
    ssh,
    limits,
    {
      authHandler: (_left, _partial, next) => {
        const asking = (is: boolean) => {
          person.asked = is;
        };
        next(given ? noMore : authMethod(credential, ssh.user, asking));
        given = true;
      },
    },
    () => person.asked,
  );
}

/** How the library is told that there is nothing more to try. */
const noMore = false as unknown as AnyAuthMethod;

/** What a server said to several ways of logging in, offered one after the other in one connection. */
export interface Offered {
  /** Number of the way that it let in; undefined: none. */
  readonly accepted: number | undefined;
  /** How many it has refused. */
  readonly tried: number;
  /** The kinds of ways that it takes at all: `publickey`, `password` …; undefined: it didn't say. */
  readonly accepts: readonly string[] | undefined;
}

export interface Offering {
  readonly accepts: readonly string[] | undefined;
  /** While a person is being asked nothing is taken for the server's silence. */
  readonly asking: (is: boolean) => void;
}

/**
 * Offers ways of logging in to the host whose key is pinned, until one is let in, `next` has no more or the server ends it; then
 * the connection is closed. Throws as {@link connect}, but not that everything was refused.
 */
export async function offer(
  name: string,
  ssh: SshConfig,
  limits: SshLimits,
  next: (index: number, offering: Offering) => AnyAuthMethod | undefined | Promise<AnyAuthMethod | undefined>,
): Promise<Offered> {
  // The method `none` comes first: it says which others there are, and isn't counted.
  let index = -2;
  let accepts: readonly string[] | undefined;
  let isAsked = false;
  let failure: unknown;
  const asking = (is: boolean) => {
    isAsked = is;
  };
  try {
    const connection = await openPinned(
      name,
      ssh,
      limits,
      {
        authHandler: (left, _partial, give) => {
          accepts = left ?? accepts;
          index++;
          if (index === -1) return give({ type: 'none', username: ssh.user });
          Promise.resolve(next(index, { accepts, asking })).then(
            (way) => give(way ?? noMore),
            (error: unknown) => {
              failure = error;
              give(noMore);
            },
          );
        },
      },
      () => isAsked,
    );
    connection.end();
    return { accepted: index, tried: index, accepts };
  } catch (error) {
    if (failure !== undefined) throw failure;
    const cause = error instanceof ServiceError ? String(error.cause) : '';
    // A server that allows no more tries ends the connection (MaxAuthTries).
    const isEnded = /Too many authentication failures/.test(cause);
    const isRefused = error instanceof ServiceError && error.code === 'ssh-key-refused';
    if (index < 0 || !(isEnded || isRefused)) throw error;
    // Only when nothing was left to offer the last number is of none.
    const isThrough = /All configured authentication methods failed/.test(cause);
    return { accepted: undefined, tried: isThrough ? index : index + 1, accepts };
  }
}

async function openPinned(
  name: string,
  ssh: SshConfig,
  limits: SshLimits,
  authentication: Pick<ConnectConfig, 'privateKey' | 'authHandler'>,
  isAsking: () => boolean = () => false,
): Promise<SshConnection> {
  const known = await pinnedKeys(name, ssh);
  let refusal: ServiceError | undefined;
  try {
    const config: ConnectConfig = {
      username: ssh.user,
      ...authentication,
      keepaliveInterval: limits.keepaliveMs,
      keepaliveCountMax: limits.keepaliveCount,
      algorithms: {
        serverHostKey: hostKeyAlgorithms(known.pinned.map((key) => key.type)),
        // ssh2 prefers aes128-gcm where the processor has AES, which is also the fastest in its native addon.
        compress: ['none'],
      },
      hostVerifier: (blob: Buffer) => {
        refusal = judgeHostKey(name, ssh, known, blob);
        return refusal === undefined;
      },
    };
    return await open(ssh.host, ssh.port, limits.connectMs, config, isAsking);
  } catch (error) {
    if (refusal !== undefined) throw refusal;
    if (isNoCommonHostKey(error)) throw await keyOfOtherType(name, ssh, known, limits);
    throw connectError(name, ssh, limits, error);
  }
}

/** What a server shows before anybody logs in. */
export interface ShownKey {
  /** Undefined: it has none of the types it was asked for. */
  readonly key: HostKey | undefined;
  /** Of the types it was asked for, those it has. */
  readonly types: readonly string[];
}

/**
 * The key that a server shows when it is asked for one of these types, the first of them that it has. Nothing is sent to
 * the server: the connection ends before authentication. OpenSSH 9.8 and newer lock addresses out that do this often
 * (`PerSourcePenalties`), so where a login is possible, log in instead.
 */
export async function showHostKey(
  host: string,
  port: number,
  types: readonly string[],
  connectMs: number,
): Promise<ShownKey> {
  let key: HostKey | undefined;
  let offered: readonly string[] = [];
  try {
    const connection = await open(host, port, connectMs, {
      username: 'nobody',
      authHandler: [],
      algorithms: { serverHostKey: hostKeyAlgorithms(types) },
      hostVerifier: (blob: Buffer) => {
        key = hostKeyFromBlob(blob);
        return false;
      },
      debug: (line: string) => {
        offered = /^Handshake: \(remote\) Host key format: (.*)$/.exec(line)?.[1]?.split(',') ?? offered;
      },
    });
    connection.destroy();
  } catch (error) {
    if (key === undefined && !isNoCommonHostKey(error)) throw error;
  }
  return {
    key,
    types: types.filter((type) => hostKeyAlgorithms([type]).some((algorithm) => offered.includes(algorithm))),
  };
}

async function keyOfOtherType(
  name: string,
  ssh: SshConfig,
  known: KnownKeys,
  limits: SshLimits,
): Promise<ServiceError> {
  const shown = await showHostKey(ssh.host, ssh.port, keyTypes, limits.connectMs).catch(() => undefined);
  return hostKeyChanged(name, ssh, known, shown?.key);
}

/** Resolves when the client is ready, rejects with its first error. Later errors of a failed client are of no use. */
async function open(
  host: string,
  port: number,
  connectMs: number,
  config: ConnectConfig,
  isAsking: () => boolean = () => false,
): Promise<SshConnection> {
  const client = new ssh2.Client();
  // A socket of our own, because ssh2 can't close its one any more once it has said good-bye.
  const socket = dial({ host, port, noDelay: true });
  let stopWaiting = () => {};
  let greeting = '';
  socket.once('data', (first: Buffer) => {
    greeting = first.toString('latin1', 0, 100);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const wait = () => {
        stopWaiting = awakeTimeout(connectMs, () => (isAsking() ? wait() : reject(tooSlow())));
      };
      wait();
      // Not once: of an agent that can't be reached the library tells, and then that no method was left.
      client.once('ready', resolve).on('error', reject);
      client.once('close', () => reject(new Error('the connection was closed during the handshake')));
      // Its own clock would take our sleep for the other side's silence.
      client.connect({ ...config, readyTimeout: 0, sock: socket });
    });
  } catch (error) {
    client.removeAllListeners().on('error', () => undefined);
    socket.destroy();
    throw withGreeting(error, greeting);
  } finally {
    stopWaiting();
  }
  client.removeAllListeners().on('error', () => undefined);
  return {
    client,
    end() {
      client.end();
      setTimeout(() => socket.destroy(), 1_000).unref();
    },
    destroy: () => socket.destroy(),
  };
}

/** A server that takes no connection may say why in place of its version. */
function withGreeting(error: unknown, greeting: string): unknown {
  if (!(error instanceof Error) || greeting === '' || greeting.startsWith('SSH-')) return error;
  return Object.assign(error, { greeting });
}

/** As the library says it. */
function tooSlow(): Error {
  return Object.assign(new Error('Timed out while waiting for handshake'), { level: 'client-timeout' });
}

function readKey(path: string): Buffer {
  const key = readKeyFile(path);
  if (key.kind !== 'usable') throw keyFileError(path, key);
  return key.bytes;
}
