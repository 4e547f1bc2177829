import type { HostConfig, SshConfig } from '../../config.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Argv, CommandResult } from '../execution/executor.ts';
import { admittedOnPurpose, refusedOnPurpose } from '../self-tests.ts';
import { createSshExecutor } from '../ssh/executor.ts';
import { readKeyFile } from '../ssh/key-file.ts';
import { type Administrator, connectAdministrator } from './administrator.ts';
import type { SudoPassword } from './become-root.ts';
import type { InstallOptions } from './options.ts';

/**
 * Proves over new connections that the installation works and that nobody is locked out: the service's user logs in, may
 * run the helper and nothing else, and the administrator still gets in and becomes root. Throws where it isn't so.
 */
export async function proveAccess(
  host: HostConfig,
  { login, log }: InstallOptions,
  password: SudoPassword | undefined,
): Promise<void> {
  const admin = connectAdministrator(host.name, login, log, password);
  try {
    if (!(await admin.provesRoot())) throw unproved(host, 'the administrator is not root any more');
    await proveService(host, admin, log);
  } finally {
    await admin.close();
  }
}

/** The part of {@link proveAccess} that needs no administrator, except on this machine itself. */
export async function proveService(host: HostConfig, admin: Administrator, log: Log): Promise<void> {
  const { layout, ssh } = host;
  // A short connection: its user must be free to be removed again.
  const executor = ssh && createSshExecutor({ name: host.name, ssh, log });
  const run = (argv: Argv): Promise<CommandResult> =>
    executor ? executor.exec(argv, { timeoutMs: 20_000 }) : admin.runAs(layout.user, argv);
  const sudo = (...argv: readonly string[]) => run(['/usr/bin/sudo', '-n', '--', ...argv]);
  try {
    const who = await run(['/usr/bin/id', '-un']);
    if (who.stdout.trim() !== layout.user) throw unproved(host, `the service's login is not ${layout.user}`);
    const admitted = admittedOnPurpose(layout);
    const looked = await sudo(...admitted);
    if (looked.exitCode !== 0) {
      throw unproved(host, `sudo does not let ${layout.user} run the helper (${firstLine(looked.stderr)})`);
    }
    // sudo is asked whether it would: an attempt is logged as refused. Where it doesn't answer that (`listpw`), the health
    // check knows these attempts.
    const list = (...argv: readonly string[]) => run(['/usr/bin/sudo', '-n', '-l', '--', ...argv]);
    const answersLists = (await list(...admitted)).exitCode === 0;
    for (const argv of refusedOnPurpose(layout)) {
      if (answersLists && (await list(...argv)).exitCode !== 0) continue;
      // Where sudo knows no regular expressions it is the helper that refuses.
      const refused = await sudo(...argv);
      if (refused.exitCode === 0) throw unproved(host, `${layout.user} may run ${argv.join(' ')} as root`);
    }
  } finally {
    await executor?.close();
  }
}

/** One login by the service's key: false only where there is no key, or the host refuses it. */
export async function letsServiceIn(name: string, ssh: SshConfig, log: Log): Promise<boolean> {
  if (readKeyFile(ssh.keyPath).kind !== 'usable') return false;
  const executor = createSshExecutor({ name, ssh, log });
  try {
    await executor.exec(['/usr/bin/true'], { timeoutMs: 13_000 });
    return true;
  } catch (error) {
    return !isServiceError(error, 'ssh-key-refused');
  } finally {
    await executor.close();
  }
}

function unproved({ name, layout }: HostConfig, why: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `The installation on ${name} could not be verified: ${why}`,
    remedy: `Look for other rules for ${layout.user} and its groups (sudo -l -U ${layout.user}), also those read after ${layout.sudoersFile}.`,
    details: { host: name },
  });
}

function firstLine(text: string): string {
  return (text.trim().split('\n')[0] ?? '').slice(0, 300);
}
