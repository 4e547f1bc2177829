import { ServiceError } from '../../errors.ts';

/** Finds where the output of a command begins, behind what the files of a login shell have printed. */
export interface Beginning {
  /** What of this chunk of standard output is the command's. */
  readonly after: (chunk: Buffer) => Buffer;
  /** Undefined once the command has begun; else what was printed so far, in part. */
  readonly unbegun: () => string | undefined;
}

const none = Buffer.alloc(0);
/** As much as is kept of what a shell prints, for an error. */
const keptBytes = 300;

/** The line that says so before the command, for a POSIX shell. `id`: letters, digits and `_` only, of this command alone. */
export function sayBeginning(id: string, line: string): string {
  if (!/^[A-Za-z0-9_]+$/.test(id)) throw new TypeError('not a safe marker');
  // Where nobody listens any more the command is executed all the same: it was sent, and may have been begun.
  return `trap '' PIPE; printf '%s\\n' ${marker(id)}; trap - PIPE; ${line}`;
}

export function findBeginning(id: string): Beginning {
  const wanted = Buffer.from(`${marker(id)}\n`);
  let begun = false;
  let printed = none;
  let tail = none;
  return {
    after(chunk) {
      if (begun) return chunk;
      const seen = Buffer.concat([tail, chunk]);
      const at = seen.indexOf(wanted);
      if (at < 0) {
        if (printed.length < keptBytes) printed = Buffer.concat([printed, chunk]).subarray(0, keptBytes);
        tail = seen.subarray(Math.max(0, seen.length - wanted.length + 1));
        return none;
      }
      begun = true;
      tail = none;
      return seen.subarray(at + wanted.length);
    },
    unbegun: () => (begun ? undefined : printed.toString('utf8')),
  };
}

/** The shell has ended by itself and the command was never begun. */
export function shellEnded(what: string, exitCode: number, stdout: string, stderr: string): ServiceError {
  const said = `${stdout}\n${stderr}`.trim().split('\n').at(-1)?.trim().slice(0, keptBytes) ?? '';
  return new ServiceError({
    code: 'command-refused',
    message: `${what} was not started: the login shell ended before it, with the exit status ${exitCode}${said === '' ? '' : ` (it said: ${said})`}`,
    remedy:
      "Look on the host for what ends it: an exit, an exec or an error in the user's shell files (~/.bashrc, ~/.profile, ~/.ssh/rc, /etc/bash.bashrc, /etc/ssh/sshrc), a shell that lets nobody in (nologin), or a command= in authorized_keys.",
    details: { exitCode },
  });
}

function marker(id: string): string {
  return `proxmox-mcp-begins-${id}`;
}
