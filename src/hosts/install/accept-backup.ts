import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { type Archive, acceptBackup, type Backups, listBackups } from '../commands/back-up/archives.ts';
import { showDoubts } from '../commands/back-up/doubts.ts';
import { lastGood } from '../commands/back-up/last-good.ts';
import { checkArguments } from '../helper/resolve.ts';
import type { Administrator } from './administrator.ts';
import { type Access, runBrought, withAdministrator } from './brought.ts';

/** An archive that doesn't count, with what it lacks, in the host's words. */
export interface DoubtedArchive extends Archive {
  readonly doubts: readonly string[];
}

/** What an administrator decides about. */
export interface Doubtful {
  readonly doubted: readonly DoubtedArchive[];
  /** The newest archive that counts; undefined where there is none. */
  readonly lastGood: Archive | undefined;
}

/** The archives of a host that it doubts. Throws what connecting and becoming root throw. */
export async function findDoubted(host: HostConfig, access: Access): Promise<Doubtful> {
  return await withAdministrator(host, access, async (admin) => {
    const backups = await runBrought(admin, host, listBackups, {});
    return await readDoubts(admin, host, backups, backups.archives.filter(isDoubted));
  });
}

/**
 * Lets a doubted archive count, after `agree` has said yes to what it lacks; sees afterwards that the host counts it.
 * Throws `not-found` for an archive that isn't there, `conflict` for one that can't be accepted, `verification-failed`
 * when the host doubts it still, and what connecting and becoming root throw.
 */
export async function acceptDoubted(
  host: HostConfig,
  backup: string,
  { agree, ...access }: Access & { readonly agree: (found: Doubtful) => Promise<boolean> },
): Promise<'accepted' | 'counts-already' | 'declined'> {
  checkArguments(acceptBackup, { backup }, host);
  return await withAdministrator(host, access, async (admin) => {
    const before = await runBrought(admin, host, listBackups, {});
    const archive = archiveOf(host, before, backup);
    if (archive.state === 'verified') return 'counts-already';
    if (!isDoubted(archive)) throw notAcceptable(host, archive);
    if (!(await agree(await readDoubts(admin, host, before, [archive])))) return 'declined';
    await runBrought(admin, host, acceptBackup, { backup });
    const { state } = archiveOf(host, await runBrought(admin, host, listBackups, {}), backup);
    if (state !== 'verified') throw stillDoubted(host, backup, state);
    return 'accepted';
  });
}

async function readDoubts(
  admin: Administrator,
  host: HostConfig,
  backups: Backups,
  archives: readonly Archive[],
): Promise<Doubtful> {
  const doubted: DoubtedArchive[] = [];
  for (const archive of archives) {
    doubted.push({ ...archive, doubts: await runBrought(admin, host, showDoubts, { backup: archive.id }) });
  }
  return { doubted, lastGood: lastGood(backups) };
}

function isDoubted({ state }: Archive): boolean {
  return state === 'doubted';
}

function archiveOf({ name, layout }: HostConfig, { archives }: Backups, backup: string): Archive {
  const found = archives.find(({ id }) => id === backup);
  if (found) return found;
  throw new ServiceError({
    code: 'not-found',
    message: `There is no archive ${backup} in ${layout.backups} on ${name}`,
    remedy: `Take its id from: npx proxmox-mcp host accept-backup ${name}`,
    details: { host: name },
  });
}

function notAcceptable({ name }: HostConfig, { id, state }: Archive): ServiceError {
  const why =
    state === 'changed'
      ? 'the file is not what was published any more'
      : state === 'unsealed'
        ? "its manifest, or the host's seal of that, is not what was published any more"
        : 'the host has no proof of what it holds: it was made by somebody else, or before there were proofs';
  const isOlder =
    state === 'unproven' ? `. One of before a new installation: host bring-backup ${name} ${id} --there` : '';
  return new ServiceError({
    code: 'conflict',
    message: `${id} on ${name} can't be accepted: ${why}`,
    remedy: `Make a new one: npx proxmox-mcp back-up --host ${name}${isOlder}`,
    details: { host: name },
  });
}

function stillDoubted({ name }: HostConfig, backup: string, state: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `${backup} on ${name} was accepted, but the host says that it is ${state}`,
    remedy: `Look at it again: npx proxmox-mcp host accept-backup ${name}`,
    details: { host: name },
  });
}
