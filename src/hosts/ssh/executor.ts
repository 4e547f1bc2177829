import type { Log } from '../../log.ts';
import type { Executor } from '../execution/executor.ts';
import { connect } from './connect.ts';
import type { SshLogin } from './credential.ts';
import { downloadOverSsh } from './download.ts';
import { execOverSsh } from './exec.ts';
import { defaultLimits, type SshLimits } from './limits.ts';
import { createPool } from './pool.ts';
import { uploadOverSsh } from './upload.ts';

export interface SshExecutorOptions {
  /** The host's name in the configuration, for messages. */
  readonly name: string;
  readonly ssh: SshLogin;
  readonly log: Log;
  readonly limits?: Partial<SshLimits>;
}

/**
 * Runs programs on one host over SSH, through a pool of connections that is made when the first command needs it.
 *
 * The host needs: sshd (OpenSSH 7.9 or newer to end commands by signal), a POSIX login shell for the user, and for
 * transfers the coreutils (`sha256sum`, `stat`, `dd`, `mv`, `sync`); no SFTP. Let the login shell be /bin/sh: root's
 * bash reads ~/.bashrc for every command under sshd, which costs 115 ms.
 */
export function createSshExecutor({ name, ssh, log, limits: some }: SshExecutorOptions): Executor {
  const limits = { ...defaultLimits, ...some };
  const pool = createPool(name, limits, log, () => connect(name, ssh, limits));
  const context = { name, pool, limits };
  const executor: Executor = {
    kind: 'ssh',
    exec: (argv, options) => execOverSsh(context, argv, options),
    upload: (from, to, options) => uploadOverSsh(name, executor, from, to, options),
    download: (from, to, options) => downloadOverSsh(name, executor, from, to, options),
    close: () => pool.close(),
  };
  return executor;
}
