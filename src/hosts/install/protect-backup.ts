import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { type Backups, listBackups, protectBackup } from '../commands/back-up/archives.ts';
import { checkArguments } from '../helper/resolve.ts';
import { type Access, runBrought, withAdministrator } from './brought.ts';

/** What an administrator has protected on a host. Throws what connecting and becoming root throw. */
export async function findProtected(host: HostConfig, access: Access): Promise<readonly string[]> {
  return await withAdministrator(
    host,
    access,
    async (admin) => (await runBrought(admin, host, listBackups, {})).protected,
  );
}

/**
 * Protects an archive from retention, or lifts that; sees afterwards that the host has it so. Throws `not-found`,
 * `conflict` for an archive that the host didn't make, and what connecting and becoming root throw.
 */
export async function setProtection(
  host: HostConfig,
  backup: string,
  protection: 'set' | 'lift',
  access: Access,
): Promise<'changed' | 'so-already'> {
  checkArguments(protectBackup, { backup, protection }, host);
  return await withAdministrator(host, access, async (admin) => {
    const isSo = (backups: Backups) => backups.protected.includes(backup) === (protection === 'set');
    const before = await runBrought(admin, host, listBackups, {});
    const archive = before.archives.find(({ id }) => id === backup);
    if (archive === undefined) throw notThere(host, backup);
    if (archive.state === 'unproven') throw notOurs(host, backup);
    if (isSo(before)) return 'so-already';
    await runBrought(admin, host, protectBackup, { backup, protection });
    if (isSo(await runBrought(admin, host, listBackups, {}))) return 'changed';
    throw new ServiceError({
      code: 'verification-failed',
      message: `The protection of ${backup} on ${host.name} is as before, although the host said that it was changed`,
      remedy: `Look at ${host.layout.state}/backups/${backup} on the host.`,
      details: { host: host.name },
    });
  });
}

function notThere({ name, layout }: HostConfig, backup: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no archive ${backup} in ${layout.backups} on ${name}`,
    remedy: `Take its id from: npx proxmox-mcp list-backups --host ${name}`,
    details: { host: name },
  });
}

function notOurs({ name }: HostConfig, backup: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${backup} on ${name} needs no protection: the host has no record of it, and removes no such archive`,
    remedy: 'Nothing needs to be done.',
    details: { host: name },
  });
}
