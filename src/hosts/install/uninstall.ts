import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { connectAdministrator } from './administrator.ts';
import type { Seen } from './facts.ts';
import { anotherInstallation, homeOf, seeHost } from './install.ts';
import { ioLogFolder, rotationFile } from './log-rotation.ts';
import type { InstallOptions } from './options.ts';
import { publicKeyOf } from './service-key.ts';
import { keysFileOf } from './wanted.ts';

export interface UninstallOptions extends Pick<InstallOptions, 'login' | 'log' | 'agree' | 'sudoPassword'> {
  readonly removeBackups: boolean;
  /** Keeps sudo's log and recordings of what the service did. */
  readonly keepLogs: boolean;
}

export type UninstallOutcome = 'uninstalled' | 'nothing-to-do' | 'declined';

/**
 * Takes everything of the service off a host: policy, user, key, helper, folders, logs; a user or folder that was there
 * before the installation stays and is as it was then. Backups stay unless `removeBackups`. Refuses (`conflict`) while
 * jobs run. Interrupted, it is simply run again.
 */
export async function uninstall(host: HostConfig, options: UninstallOptions): Promise<UninstallOutcome> {
  const { layout, name, ssh } = host;
  const admin = connectAdministrator(name, options.login, options.log, options.sudoPassword);
  try {
    const seen = await seeHost(admin, host);
    if (seen.pending) throw anotherInstallation(host);
    if (seen.jobs.length > 0) throw jobsRunning(name, seen.jobs);
    const plan = uninstallPlan(host, seen, options);
    if (plan.length === 0) return 'nothing-to-do';
    if (!(await options.agree(plan))) return 'declined';
    await admin.runOnce('uninstall', [
      ...[layout.user, layout.state, layout.backups, options.removeBackups ? 'yes' : 'no'],
      ...[options.keepLogs ? 'yes' : 'no', layout.sudoLog, layout.sudoersFile, layout.helper],
      ...[rotationFile, keysFileOf(homeOf(host, seen)), (ssh && publicKeyOf(ssh.keyPath)) ?? ''],
    ]);
    return 'uninstalled';
  } finally {
    await admin.close();
  }
}

function uninstallPlan(host: HostConfig, seen: Seen, options: UninstallOptions): readonly string[] {
  const { layout } = host;
  const isThere = (path: string) => (seen.paths.get(path)?.kind ?? 'absent') !== 'absent';
  const ours = [layout.sudoersFile, layout.helper, rotationFile, layout.state];
  const logs = [layout.sudoLog, ioLogFolder(layout)].filter(isThere);
  const remove = ours.filter(isThere).map((path) => `remove ${path}`);
  if (remove.length === 0) return [];
  const keys = keysFileOf(homeOf(host, seen));
  return [
    ...remove,
    ...(isThere(keys) ? [`remove the service's key from ${keys}`] : []),
    ...(seen.account === undefined ? [] : [userStep(layout.user, seen.record)]),
    ...(seen.addedSudo ? ['keep the package sudo, which host install had added (apt-get purge sudo removes it)'] : []),
    ...logs.map((path) => `${options.keepLogs ? 'keep' : 'remove'} ${path}`),
    ...(isThere(layout.backups)
      ? [`${options.removeBackups ? 'REMOVE THE BACKUPS in' : 'keep the backups in'} ${layout.backups}`]
      : []),
  ];
}

function userStep(user: string, record: Seen['record']): string {
  if (record === 'made') return `remove the user ${user} and its home`;
  if (record === 'kept')
    return `keep the user ${user}, which was there before, with the shell, groups and password it had`;
  return `keep the user ${user}: nothing says that host install made it`;
}

function jobsRunning(host: string, jobs: readonly string[]): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `Jobs are running on ${host}, so nothing was changed: ${jobs.join(', ')}`,
    remedy: 'Wait for them or cancel their runs (npx proxmox-mcp runs list), then try again.',
    retryable: true,
    details: { host },
  });
}
