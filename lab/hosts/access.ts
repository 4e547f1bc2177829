import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { labError, type Output, tryDocker } from '../engine.ts';

export type HostUser = 'root' | 'admin' | 'claude-user';

export interface HostExecOptions {
  /** Default `root`. */
  readonly user?: HostUser;
  readonly input?: string | Buffer;
  /** In ms. Default 60 s. */
  readonly timeoutMs?: number;
}

/** A test's own way into its host: past SSH and the network, to look and to break things. */
export interface Access {
  /** Runs a program. Its exit code is an answer, whatever it is. */
  exec(argv: readonly [string, ...string[]], options?: HostExecOptions): Promise<Output>;
  /** The same, for programs that have to succeed: an exit code other than 0 throws. Returns standard output. */
  must(argv: readonly [string, ...string[]], options?: HostExecOptions): Promise<string>;
  /** Makes or replaces a file, and its folder where there is none. Default: root's, 0644. */
  writeFile(path: string, content: string | Buffer, options?: { mode?: number; owner?: HostUser }): Promise<void>;
  /** As text; throws when it can't be read. */
  readFile(path: string): Promise<string>;
}

/** `provision` in `files.ts` makes it differ from boot to boot. */
export const bootIdFile = '/proc/sys/kernel/random/boot_id';

export function access(name: string): Access {
  const exec: Access['exec'] = (argv, { user = 'root', ...options } = {}) => {
    return tryDocker(['exec', '--interactive', '--user', user, name, ...argv], options);
  };
  const must: Access['must'] = async (argv, options) => {
    const output = await exec(argv, options);
    if (output.exitCode === 0) return output.stdout;
    throw labError(
      `On ${name}, ${argv.join(' ')} failed: ${output.stderr.trim() || output.stdout.trim()}`,
      'See the test.',
    );
  };
  return {
    exec,
    must,
    async writeFile(path, content, { mode = 0o644, owner = 'root' } = {}) {
      const script =
        'set -e; umask 077; mkdir -p "$(dirname "$1")"; cat >"$1.lab"; chown "$3:" "$1.lab"; chmod "$2" "$1.lab"; mv "$1.lab" "$1"';
      await must(['sh', '-c', script, 'sh', path, mode.toString(8), owner], { input: content });
    },
    readFile: (path) => must(['cat', path]),
  };
}

/**
 * Until systemd has nothing left to start and sshd answers. With `unlessBootId`, that boot is not the one waited for, and a
 * unit that failed is no error: the test may have broken it.
 */
export async function waitUntilUp(reach: Access, host: string, unlessBootId?: string): Promise<void> {
  const timeoutMs = 120_000;
  const deadline = Date.now() + timeoutMs;
  const script = `[ "$(cat ${bootIdFile})" != "$1" ] || exit 1; exec systemctl is-system-running --wait`;
  let state = '';
  while (Date.now() < deadline) {
    // Fails while the container or systemd isn't there yet.
    const output = await reach
      .exec(['sh', '-c', script, 'sh', unlessBootId ?? ''], { timeoutMs })
      .catch(() => undefined);
    state = output?.stdout.trim() || output?.stderr.trim() || state;
    if (state === 'running' || state === 'degraded') break;
    await sleep(100);
  }
  if (state !== 'running' && !(unlessBootId && state === 'degraded')) {
    const { stdout } = await reach.exec(['systemctl', '--failed', '--no-legend', '--plain']);
    const failed = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0] ?? '');
    const log = await reach.exec([
      'journalctl',
      '--no-pager',
      '--lines',
      '30',
      ...failed.flatMap((unit) => ['-u', unit]),
    ]);
    throw labError(`The lab host is ${state}: ${failed.join(', ')}\n${log.stdout}`, 'Mend these units.');
  }
  await waitUntilAnswers(host, deadline);
}

/** Until sshd answers. */
export async function waitUntilAnswers(host: string, deadline = Date.now() + 60_000): Promise<void> {
  while (!(await answers(host))) {
    if (Date.now() > deadline) throw labError(`Nothing answers on ${host}:22`, "See the host's journal.");
    await sleep(50);
  }
}

/** Whether an SSH server greets. */
function answers(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: 22, timeout: 1000 });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('data', (greeting) => end(greeting.toString('latin1').startsWith('SSH-')));
    socket.on('error', () => end(false));
    socket.on('timeout', () => end(false));
    socket.on('close', () => end(false));
  });
}
