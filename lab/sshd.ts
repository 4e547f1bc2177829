import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { appendFile, chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { SshConfig } from '../src/config.ts';

const run = promisify(execFile);

/** sshd takes 16 (MAX_LISTEN_SOCKS). */
const portsPerListener = 15;

export type HostKeyType = 'ed25519' | 'ecdsa' | 'rsa';

export interface SshdOptions {
  /** Default: one ed25519 key. */
  readonly hostKeys?: readonly HostKeyType[];
  /** Extra lines of sshd_config, for example `MaxSessions 2`. They come first, so they win. */
  readonly config?: readonly string[];
  /**
   * Log in as a new user with /bin/sh, removed by `stop` (needs root). Default: the user who runs the test, whose
   * login shell may be slow.
   */
  readonly newUser?: boolean;
  /** Listen on so many more ports, each pinned like the first one: a fleet of hosts that are one. Default 0. */
  readonly morePorts?: number;
}

export interface Sshd {
  /** What to give `createSshExecutor`: the host key is pinned in its known_hosts file already. */
  readonly ssh: SshConfig;
  /** Temporary folder, writable for the login user; removed by `stop`. */
  readonly folder: string;
  /** Where it listens: `ssh.port`, then those of `morePorts`. */
  readonly ports: readonly number[];
  readonly pid: () => number;
  /** `SHA256:…` of each host key. */
  readonly fingerprints: Readonly<Partial<Record<HostKeyType, string>>>;
  /** What sshd logged so far. */
  readonly log: () => Promise<string>;
  /** Processes that serve one connection each. */
  readonly sessions: () => Promise<number[]>;
  /** Ends the listener, not the sessions. */
  readonly down: () => Promise<void>;
  /** Listens again on the same port with the same keys. */
  readonly up: () => Promise<void>;
  /** Makes new host keys, not pinned ones; `down` and `up` to use them. */
  readonly changeHostKeys: (types?: readonly HostKeyType[]) => Promise<void>;
  /** Replaces the keys that may log in by none. */
  readonly refuseKeys: () => Promise<void>;
  /** Ends everything and removes the folder and the user. */
  readonly stop: () => Promise<void>;
}

/** A real OpenSSH server on loopback with its own keys and folder. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), 'sshd-'));
  await chmod(folder, 0o755);
  const user = options.newUser === true ? await addUser(folder) : userInfo().username;
  const port = await freePort();
  const morePorts = await freePorts(options.morePorts ?? 0);
  const ports = [port, ...morePorts];
  const types = options.hostKeys ?? ['ed25519'];
  const file = (name: string) => join(folder, name);
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file('key')]);
  await writeFile(file('authorized_keys'), await readFile(file('key.pub')));
  await writeFile(file('sshd.log'), '');
  const makeHostKeys = async (wanted: readonly HostKeyType[]) => {
    for (const type of ['ed25519', 'ecdsa', 'rsa']) {
      await rm(file(`host_${type}`), { force: true });
      await rm(file(`host_${type}.pub`), { force: true });
    }
    for (const type of wanted) {
      await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', file(`host_${type}`)]);
    }
    await writeFile(
      file('sshd_config'),
      [
        ...(options.config ?? []),
        `Port ${port}`,
        'ListenAddress 127.0.0.1',
        ...wanted.map((type) => `HostKey ${file(`host_${type}`)}`),
        `AuthorizedKeysFile ${file('authorized_keys')}`,
        `PidFile ${file('sshd.pid')}`,
        'StrictModes no',
        'UsePAM no',
        'PermitRootLogin prohibit-password',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
        'MaxStartups 200',
        // Debian's bash reads ~/.bashrc under sshd unless it believes it was started by another shell.
        'SetEnv SHLVL=1',
        'Subsystem sftp internal-sftp',
        'LogLevel VERBOSE',
        '',
      ].join('\n'),
    );
  };
  await makeHostKeys(types);
  const fingerprints: Partial<Record<HostKeyType, string>> = {};
  for (const type of types) {
    const [keyType, base64] = (await readFile(file(`host_${type}.pub`), 'utf8')).split(' ');
    const pins = ports.map((pinned) => `[127.0.0.1]:${pinned} ${keyType} ${base64?.trim()}\n`);
    await appendFile(file('known_hosts'), pins.join(''));
    const digest = createHash('sha256').update(Buffer.from(base64 ?? '', 'base64'));
    fingerprints[type] = `SHA256:${digest.digest('base64').replace(/=+$/, '')}`;
  }
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true });

  let listeners: number[] = [];
  const listen = async (group: readonly number[]) => {
    // Ports on the command line replace the configuration's.
    const args = ['-D', '-f', file('sshd_config'), '-E', file('sshd.log'), ...group.flatMap((n) => ['-p', String(n)])];
    const child = spawn('/usr/sbin/sshd', args, { stdio: 'ignore' });
    if (child.pid !== undefined) listeners.push(child.pid);
    for (const one of group) await untilListening(one, () => child.exitCode !== null);
  };
  const up = async () => {
    await listen([port]);
    for (let n = 0; n < morePorts.length; n += portsPerListener) await listen(morePorts.slice(n, n + portsPerListener));
  };
  const sessions = async () => (await Promise.all(listeners.map(childrenOf))).flat();
  const down = async () => {
    await end(listeners);
    listeners = [];
  };
  const stop = async () => {
    const serving = await sessions();
    await down();
    await end(serving);
    if (options.newUser === true) await removeUser(user);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await up();
  } catch (error) {
    const said = await readFile(file('sshd.log'), 'utf8');
    await stop();
    throw new Error(`sshd does not start: ${said}`, { cause: error });
  }
  return {
    ssh: { host: '127.0.0.1', port, user, keyPath: file('key'), knownHostsPath: file('known_hosts') },
    folder,
    ports,
    pid: () => listeners[0] ?? 0,
    fingerprints,
    log: () => readFile(file('sshd.log'), 'utf8'),
    sessions,
    down,
    up,
    changeHostKeys: (wanted) => makeHostKeys(wanted ?? types),
    refuseKeys: () => writeFile(file('authorized_keys'), ''),
    stop,
  };
}

/** Direct children of a process. */
export async function childrenOf(pid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = await Promise.all(
    pids.map(async (name) => {
      const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    }),
  );
  return pids.filter((_, index) => parents[index] === pid).map(Number);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/**
 * Ports that nobody holds now, below those that the system gives to outgoing connections: one of many that were only
 * free for a moment would soon be taken.
 */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 10_000 + randomInt(20_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    ports.add(port);
  }
  return [...ports];
}

/** Waits until somebody listens on a loopback port. */
async function untilListening(port: number, dead: () => boolean = () => false): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (dead()) throw new Error('sshd ended at once: see its log');
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    await sleep(25);
  }
  throw new Error('sshd does not listen');
}

async function end(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
  await sleep(20);
}

async function addUser(home: string): Promise<string> {
  const name = `pmx${randomBytes(4).toString('hex')}`;
  // `*` is "no password", where useradd's `!` would be a locked account, which sshd refuses.
  await withUserLock(() => run('/usr/sbin/useradd', ['-M', '-d', home, '-s', '/bin/sh', '-p', '*', name]));
  const { stdout } = await run('id', ['-u', name]);
  await chown(home, Number(stdout), Number(stdout));
  return name;
}

async function removeUser(name: string): Promise<void> {
  // Without those of lab hosts, where the same number is another user.
  const ours = ['--ns', String(process.pid), '--nslist', 'pid'];
  await run('pkill', ['-KILL', ...ours, '-u', name]).catch(() => undefined);
  await withUserLock(() => run('/usr/sbin/userdel', ['-f', name]));
}

/** useradd and userdel give up when another one holds the lock of /etc/passwd: parallel tests try again. */
async function withUserLock(action: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await action();
      return;
    } catch (error) {
      if (attempt === 40) throw error;
      await sleep(100);
    }
  }
}
