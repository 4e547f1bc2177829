import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProcessIdentity } from './process-identity.ts';

/** Knows all that a start runs, so that nothing of it outlives that start. */
export interface Guard {
  /** That this part is now this process; undefined: it has ended. What was named first is ended last. */
  readonly keep: (part: string, process: GuardedProcess | undefined) => void;
  /** SIGKILL to everything, at once. */
  readonly kill: () => void;
  /** Nothing is to be ended any more. */
  readonly close: () => void;
}

export interface GuardedProcess {
  readonly identity: ProcessIdentity;
  /** How long it may take to end after SIGTERM before it is killed. */
  readonly graceMs: number;
}

/** How often a guard that somebody has ended is started again. */
const maxRestarts = 20;

/**
 * Starts the guard: a small process in a session of its own that holds the other end of a pipe to this one. When this
 * process is gone, however it went (`kill -9`, out of memory), the pipe closes and the guard ends what is left in order.
 * A shell, because what ends every Node process of a machine doesn't end it.
 */
export function startGuard(): Guard {
  const kept = new Map<string, GuardedProcess | undefined>();
  let restarts = 0;
  let closed = false;
  let guard = launch();

  const tell = () => {
    const running = [...kept.values()].reverse().filter((one) => one !== undefined);
    guard.stdin?.write(`${running.map(described).join(' ')}\n`);
  };

  function launch(): ChildProcess {
    const program = fileURLToPath(new URL('./guard.sh', import.meta.url));
    const child = spawn('/bin/sh', [program], { detached: true, cwd: '/', stdio: ['pipe', 'ignore', 'ignore'] });
    // It must not keep this process from ending, nor may its own end be an error here.
    child.unref();
    (child.stdin as unknown as { unref?: () => void }).unref?.();
    child.stdin?.on('error', () => {});
    child.on('error', () => {});
    child.once('exit', () => {
      if (closed || restarts >= maxRestarts) return;
      restarts += 1;
      guard = launch();
      tell();
    });
    return child;
  }

  return {
    keep(part, running) {
      kept.set(part, running);
      tell();
    },
    kill() {
      for (const running of kept.values()) {
        try {
          if (running) process.kill(running.identity.pid, 'SIGKILL');
        } catch {
          // It has ended.
        }
      }
    },
    close() {
      closed = true;
      kept.clear();
      tell();
      guard.stdin?.end();
    },
  };
}

/** As `guard.sh` reads it: a start time may hold blanks elsewhere than on Linux. */
function described({ identity: { pid, started }, graceMs }: GuardedProcess): string {
  return `${pid}:${started.replaceAll(/\s+/g, '_')}:${Math.ceil(graceMs / 1_000)}`;
}
