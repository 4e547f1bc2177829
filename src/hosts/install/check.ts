import { lstatSync } from 'node:fs';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { connectAdministrator } from './administrator.ts';
import { planFor, seeHost } from './install.ts';
import type { Seen } from './look.ts';
import type { InstallOptions } from './options.ts';
import { obstacles } from './plan.ts';
import { proveService } from './prove.ts';
import { publicKeyOf } from './service-key.ts';

/** One thing on a host that isn't as it should be. */
export interface Drift {
  readonly found: string;
  readonly remedy: string;
}

/** Compares everything with what it should be, and tries the service's login. Changes nothing; empty when all is well. */
export async function checkInstallation(
  host: HostConfig,
  options: Pick<InstallOptions, 'login' | 'log' | 'from' | 'sudoPassword'>,
): Promise<readonly Drift[]> {
  const admin = connectAdministrator(host.name, options.login, options.log, options.sudoPassword);
  try {
    const seen = await seeHost(admin, host);
    const again = `Run: proxmox-mcp host install ${host.name}`;
    const blocked = obstacles(seen, host.layout);
    const key = keyDrift(host, again);
    const compared = compare(host, seen, options.from).map((found) => ({ found, remedy: again }));
    const drift = [...pendingDrift(seen), ...blocked, ...key, ...compared];
    // What is already known to be wrong needs no second report of its effect.
    if (drift.length > 0) return drift;
    return await proveService(host, admin, options.log).then(
      () => [],
      (error: unknown) => {
        if (!(error instanceof ServiceError)) throw error;
        return [{ found: error.message, remedy: error.remedy }];
      },
    );
  } finally {
    await admin.close();
  }
}

function compare(host: HostConfig, seen: Seen, from: string | undefined): readonly string[] {
  // No policy can be made for another sudo; that is reported already.
  if (seen.sudoVersion === undefined) return [];
  const publicKey = host.ssh && publicKeyOf(host.ssh.keyPath);
  return planFor(host, seen, publicKey, from).map(({ found }) => found);
}

function keyDrift({ ssh }: HostConfig, again: string): Drift[] {
  if (ssh === undefined) return [];
  const stat = lstatSync(ssh.keyPath, { throwIfNoEntry: false });
  if (stat === undefined) return [{ found: `the service's SSH key ${ssh.keyPath} is missing here`, remedy: again }];
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) === 0) return [];
  return [
    {
      found: `others may read the service's SSH key ${ssh.keyPath} (mode ${mode.toString(8)})`,
      remedy: `Run here: chmod 600 ${ssh.keyPath}; if others use this machine, rotate the key.`,
    },
  ];
}

function pendingDrift({ pending }: Seen): Drift[] {
  if (!pending) return [];
  return [
    {
      found: 'an installation is under way, or is being taken back',
      remedy:
        'Wait a minute and check again. If it stays, reboot the host or run there: sh /var/lib/proxmox-mcp-install/agent revert',
    },
  ];
}
