import { ServiceError } from '../../errors.ts';
import type { Archive, Backups } from '../../hosts/commands/back-up/archives.ts';
import { lastGood } from '../../hosts/commands/back-up/last-good.ts';
import { momentOf } from '../../moment.ts';
import { takenAt } from '../../operations/backup-id.ts';

export interface Wanted {
  readonly host: string;
  readonly since?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

/** What is compared. */
export interface Chosen {
  readonly from: string;
  readonly fromAt: string;
  /** The id of a backup, or `now`. */
  readonly to: string;
  readonly toAt: string;
  /** What the reader has to know of the choice. */
  readonly note?: string;
}

/**
 * The archives that are meant. Throws `not-found` where there is none, and `invalid-input` for ones that can't be compared.
 *
 * @param timeZone the host's, in which `since` is read
 */
export function choose({ host, since, from, to }: Wanted, found: Backups, timeZone: string): Chosen {
  if (since !== undefined && from !== undefined) {
    throw invalid('since', 'since and from both say what to compare with', 'Give one of them.');
  }
  const now = Date.parse(found.now);
  const later = to === undefined ? undefined : archiveOf(to, found, host);
  const { archive, note } =
    from === undefined
      ? earlier(since, found, host, timeZone, later)
      : { archive: archiveOf(from, found, host), note: undefined };
  const at = takenAt(archive.id);
  const until = later === undefined ? now : takenAt(later.id);
  if (at >= until) {
    throw invalid(
      'from',
      `${archive.id} is not older than ${later?.id ?? 'the host’s clock'}`,
      'Give the older one as from.',
    );
  }
  return {
    from: archive.id,
    fromAt: new Date(at).toISOString(),
    to: later?.id ?? 'now',
    toAt: new Date(until).toISOString(),
    ...(note !== undefined && { note }),
  };
}

function earlier(
  since: string | undefined,
  found: Backups,
  host: string,
  timeZone: string,
  later: Archive | undefined,
): { readonly archive: Archive; readonly note?: string } {
  const before = later === undefined ? Number.POSITIVE_INFINITY : takenAt(later.id);
  const good = found.archives
    .filter((one) => one.state === 'verified' && one.manifestSha256 !== undefined && takenAt(one.id) < before)
    .sort((one, other) => takenAt(one.id) - takenAt(other.id));
  const [oldest] = good;
  if (oldest === undefined) {
    throw new ServiceError({
      code: 'not-found',
      message: `${host} has no good backup with a manifest${later === undefined ? '' : ` that is older than ${later.id}`}, so there is nothing to compare with`,
      remedy: `Make one: npx proxmox-mcp back-up --host ${host}`,
    });
  }
  if (since === undefined) {
    const last = later === undefined ? lastGood({ ...found, archives: good }) : good.at(-1);
    return { archive: last ?? oldest };
  }
  const moment = Date.parse(momentOf(since, 'since', timeZone, Date.parse(found.now)));
  const archive = good.findLast(({ id }) => takenAt(id) <= moment);
  return archive === undefined
    ? { archive: oldest, note: `No good backup is as old as that; the oldest one is ${oldest.id}.` }
    : { archive };
}

function archiveOf(id: string, { archives }: Backups, host: string): Archive {
  const archive = archives.find((one) => one.id === id);
  if (archive !== undefined) return archive;
  throw new ServiceError({
    code: 'not-found',
    message: `There is no backup ${id} on ${host}`,
    remedy: `See which there are: npx proxmox-mcp list-backups --host ${host}`,
  });
}

function invalid(field: string, message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message: `${field}: ${message}`, remedy, details: { field } });
}
