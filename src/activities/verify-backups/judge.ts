import type { z } from 'zod';
import type { Archive, Backups } from '../../hosts/commands/back-up/archives.ts';
import type { readArchive, spotCheck } from '../../hosts/commands/verify-backups/archives.ts';
import { type BackupKind, backupKinds, kindOfBackup, takenAt } from '../../operations/backup-id.ts';
import type { Finding } from '../../operations/finding.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableBytes, readableDuration, readableList } from '../../reports/units.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** From what age on the newest one is a warning, and failed: one missed, and two. */
const oldFrom: Readonly<Record<BackupKind, readonly [warning: number, failed: number]>> = {
  daily: [26 * hourMs, 50 * hourMs],
  full: [8 * dayMs, 15 * dayMs],
  monthly: [32 * dayMs, 63 * dayMs],
};

/** How many weeks it takes at least until each archive has been read whole. */
export const turns = 4;
/** What one run reads at most, beside the newest of each kind. 200 GiB. */
const bytesAtMost = 200 * 1024 ** 3;

/** How long it takes from one archive of a kind to the next, by which their turns are dealt out. */
const between: Readonly<Record<BackupKind, number>> = { daily: dayMs, full: 7 * dayMs, monthly: 28 * dayMs };

/** Which archives are read whole, and how many weeks it takes until it was everybody's turn. */
export interface Turns {
  readonly read: readonly string[];
  readonly weeks: number;
  /** Their turn was this week, and they don't fit into the bound: theirs come first when it is their turn again. */
  readonly left: number;
}

/**
 * Which archives are read whole this time: the newest good one of each kind, and those whose turn it is. Whose turn it is
 * follows from the name, the week and the bytes of all, so that nothing has to be kept. Where they are too many for
 * {@link turns} weeks, it takes as many as the bound makes of it.
 */
export function whichToRead(archives: readonly Archive[], now: number, all = false): Turns {
  const ours = archives.filter(({ id, state }) => kindOfBackup(id) !== undefined && state !== 'unproven');
  if (all) return { read: ours.map(({ id }) => id), weeks: 1, left: 0 };
  const newest = backupKinds.flatMap((kind) => newestOf(ours, kind)?.id ?? []);
  const others = ours.filter(({ id }) => !newest.includes(id));
  const weeks = Math.max(turns, Math.ceil(others.reduce((sum, { bytes }) => sum + bytes, 0) / bytesAtMost));
  const week = Math.floor(now / (7 * dayMs));
  const due = others.filter(({ id }) => turnOf(id) % weeks === week % weeks);
  // Another one begins each time, so that none is always the one that is too much.
  const first = due.length === 0 ? 0 : Math.floor(week / weeks) % due.length;
  let bytes = 0;
  const within = [...due.slice(first), ...due.slice(0, first)].filter((one, index) => {
    bytes += one.bytes;
    return index === 0 || bytes <= bytesAtMost;
  });
  return { read: [...newest, ...within.map(({ id }) => id)], weeks, left: due.length - within.length };
}

function turnOf(id: string): number {
  return Math.floor(takenAt(id) / between[kindOfBackup(id) ?? 'daily']);
}

/** The newest good one; where there is none, the newest. */
function newestOf(archives: readonly Archive[], kind: BackupKind): Archive | undefined {
  const all = archives
    .filter(({ id }) => kindOfBackup(id) === kind)
    .sort((a, b) => (a.publishedAt ?? '').localeCompare(b.publishedAt ?? ''));
  return all.findLast(({ state }) => state === 'verified') ?? all.at(-1);
}

/** That reading all of them takes longer than it should. */
export function judgeTurns({ weeks, left }: Turns, host: string): readonly Finding[] {
  if (weeks <= turns && left === 0) return [];
  const more = left === 0 ? '' : ` This time ${left} more would have been due.`;
  return [
    {
      check: 'Turns',
      verdict: 'warning',
      summary: `There is so much that it takes ${weeks} weeks until each archive was read whole.${more}`,
      remedy: `Keep fewer, or read all of them now and then: npx proxmox-mcp verify-backups --host ${host} --all`,
      value: weeks,
    },
  ];
}

/** The archive that is compared with its source, and an older one of its kind. */
export function whichToCompare(
  archives: readonly Archive[],
): { readonly backup: string; readonly older: string } | undefined {
  const good = archives
    .filter(
      ({ state, manifestSha256 }) => manifestSha256 !== undefined && (state === 'verified' || state === 'doubted'),
    )
    .sort((a, b) => (b.publishedAt ?? '').localeCompare(a.publishedAt ?? ''));
  const backup = good.find(({ id }) => !id.startsWith('monthly')) ?? good[0];
  if (backup === undefined) return undefined;
  const kind = kindOfBackup(backup.id);
  // A week before, where there is one: what goes on slowly is seen only from afar.
  const before = good.filter(({ id, state }) => id !== backup.id && kindOfBackup(id) === kind && state === 'verified');
  const older = before.find(({ id }) => takenAt(backup.id) - takenAt(id) >= 6 * dayMs) ?? before.at(-1);
  return { backup: backup.id, older: older?.id ?? backup.id };
}

/** What the list of archives says: their states, ages, sizes and gaps. */
export function judgeArchives(
  { now, archives, gone, elsewhere, notUnderstood }: Backups,
  host: string,
): readonly Finding[] {
  const clock = Date.parse(now);
  const again = `Make one: npx proxmox-mcp back-up --host ${host}`;
  const of = (state: Archive['state']) => archives.filter((one) => one.state === state).map(({ id }) => id);
  const kinds = backupKinds.flatMap((kind) => judgeKind(kind, archives, clock, again));
  const none: Finding = {
    check: 'Archives',
    verdict: 'failed',
    summary: 'There is no good archive of this host.',
    remedy: again,
  };
  return [
    ...(archives.some(({ state }) => state === 'verified') ? [] : [none]),
    ...kinds,
    ...some(
      'Changed archives',
      'failed',
      of('changed'),
      'They are not what was published any more',
      'Look at the disk of the backup folder (smartctl -a, dmesg), and who could write there; then remove them and back up again.',
    ),
    ...some(
      'Seals',
      'failed',
      of('unsealed'),
      "Their manifests, or the host's seals of them, are not what was published",
      'Look who could write to the backup folder; then back up again.',
    ),
    ...some(
      'Doubted archives',
      'warning',
      of('doubted'),
      'They hold less than the last good one did',
      `See what they lack: npx proxmox-mcp host accept-backup ${host}`,
    ),
    ...some(
      'Foreign archives',
      'warning',
      of('unproven'),
      'The host has no record of them, so nothing is known of them',
      `Move them to where they belong, if they are of another host. If they are of this one before it was installed anew: ${vouch(host, 'ID')}`,
    ),
    ...some(
      'Missing archives',
      'warning',
      gone,
      'They were published and are gone, though no retention removed them',
      'Find out who removed them.',
    ),
    ...some(
      'Former folder',
      'warning',
      elsewhere.map(({ id }) => id),
      'They lie in a former backup folder, where nobody looks after them',
      'Move them to the backup folder, or remove them.',
    ),
    ...(notUnderstood === 0
      ? []
      : [
          {
            check: 'List of archives',
            verdict: 'unknown',
            summary: `${notUnderstood} lines of the host's list are not understood.`,
          } as const,
        ]),
  ];
}

function some(
  check: string,
  verdict: Finding['verdict'],
  ids: readonly string[],
  summary: string,
  remedy: string,
): readonly Finding[] {
  return ids.length === 0
    ? []
    : [{ check, verdict, summary: `${summary}: ${readableList(ids)}.`, remedy, value: ids.length }];
}

function judgeKind(kind: BackupKind, archives: readonly Archive[], now: number, again: string): readonly Finding[] {
  const good = archives
    .filter(
      ({ id, state, publishedAt }) => kindOfBackup(id) === kind && state === 'verified' && publishedAt !== undefined,
    )
    .sort((a, b) => (b.publishedAt ?? '').localeCompare(a.publishedAt ?? ''));
  const [newest, ...others] = good;
  const [warning, failed] = oldFrom[kind];
  const check = `Newest ${kind} archive`;
  if (newest?.publishedAt === undefined) return noneOf(kind, archives, now, { check, failed, again });
  const age = now - Date.parse(newest.publishedAt);
  const told = `${newest.id} is ${readableDuration(Math.max(0, age))} old`;
  const verdict = age < -5 * 60_000 || age >= failed ? 'failed' : age >= warning ? 'warning' : 'ok';
  const summary = age < -5 * 60_000 ? `${newest.id} is of the future: a clock is or was wrong.` : `${told}.`;
  return [
    {
      check,
      verdict,
      summary,
      value: Math.round(age / 1000),
      ...(verdict !== 'ok' && { remedy: `See why there is no newer one. ${again}` }),
    },
    ...sizeTrend(kind, newest, others),
    ...(kind === 'daily' ? missingDays(good, now) : []),
  ];
}

/** Of a kind none counts, which one of another kind would hide. Where there never was one, only when it should have been made by now. */
function noneOf(
  kind: BackupKind,
  archives: readonly Archive[],
  now: number,
  { check, failed, again }: { readonly check: string; readonly failed: number; readonly again: string },
): readonly Finding[] {
  const there = archives.filter(({ id, state }) => kindOfBackup(id) === kind && state !== 'unproven').length;
  const remedy = `See why there is none. ${again} --kind ${kind}`;
  if (there > 0)
    return [{ check, verdict: 'failed', summary: `None of the ${there} that are there counts.`, remedy, value: there }];
  const since = Math.min(
    ...archives.flatMap(({ state, publishedAt }) =>
      state === 'verified' && publishedAt !== undefined ? [Date.parse(publishedAt)] : [],
    ),
  );
  if (now - since < failed || since === Number.POSITIVE_INFINITY) return [];
  const summary = `There is none, though others were made since ${new Date(since).toISOString().slice(0, 10)}.`;
  return [{ check, verdict: 'warning', summary, remedy, value: 0 }];
}

function sizeTrend(kind: BackupKind, newest: Archive, others: readonly Archive[]): readonly Finding[] {
  if (others.length < 3) return [];
  const sizes = others.map(({ bytes }) => bytes).sort((a, b) => a - b);
  const usual = sizes[Math.floor(sizes.length / 2)] ?? 0;
  const check = `Size of ${kind} archives`;
  const told = `${newest.id} has ${readableBytes(newest.bytes)}, and ${readableBytes(usual)} are usual`;
  if (newest.bytes * 2 < usual)
    return [
      {
        check,
        verdict: 'failed',
        summary: `${told}: less than half.`,
        remedy: 'See what it lacks, before older ones go.',
        value: newest.bytes,
      },
    ];
  if (newest.bytes > usual * 3)
    return [
      {
        check,
        verdict: 'warning',
        summary: `${told}: more than three times that.`,
        remedy: 'See what has grown: encrypted files no longer get smaller when packed.',
        value: newest.bytes,
      },
    ];
  return [{ check, verdict: 'ok', summary: `${told}.`, value: newest.bytes }];
}

/** Nights of the last week between two dailies, of which there is none. */
function missingDays(good: readonly Archive[], now: number): readonly Finding[] {
  const times = good.map(({ publishedAt = '' }) => Date.parse(publishedAt)).filter((time) => now - time < 8 * dayMs);
  const gaps = times.slice(1).flatMap((time, at) => {
    const next = times[at] ?? 0;
    return next - time > 36 * hourMs
      ? [`${Math.round((next - time) / dayMs) - 1 || 1} before ${new Date(next).toISOString().slice(0, 10)}`]
      : [];
  });
  if (gaps.length === 0) return [];
  return [
    {
      check: 'Nights without an archive',
      verdict: 'warning',
      summary: `In the last week: ${gaps.join(', ')}.`,
      remedy: 'See the failed runs of those nights: npx proxmox-mcp runs list --operation back-up',
      value: gaps.length,
    },
  ];
}

/** What reading one whole has found. */
/** How a host takes an archive that another key has sealed than its own. */
function vouch(host: string, id: string, key = 'FINGERPRINT'): string {
  return `npx proxmox-mcp host bring-backup ${host} ${id} --there --sign KEYFILE --seal ${key}`;
}

export function judgeRead(id: string, found: z.output<typeof readArchive.answer>, host: string): Finding {
  const { changed, torn, unsealed, 'sealed-by': sealedBy, files, differing = 0, wrong } = found;
  const names = wrong.map(({ how, path }) => `${how} ${cleanLine(path, 200)}`).join('\n');
  const bad = [
    ...(changed ? ['its checksum is not the one that was recorded'] : []),
    ...(torn ? ['it can not be read to its end'] : []),
    ...(unsealed ? ['its manifest is not the one that this host has sealed'] : []),
    ...(differing > 0 ? [`${differing} names or checksums in it are not those of its manifest`] : []),
  ];
  if (bad.length > 0)
    return {
      check: id,
      verdict: 'failed',
      summary: `It is no backup any more: ${bad.join('; ')}.`,
      remedy:
        'Back up again, look at the disk of the backup folder (smartctl -a, dmesg) and who could write there, and take the copy off the host if you need this one.',
      ...(names !== '' && { evidence: names }),
    };
  // A tar that holds nothing is whole, too.
  if (found.entries === 0 || files === 0)
    return { check: id, verdict: 'failed', summary: 'It holds nothing.', remedy: 'Back up again.' };
  if (sealedBy !== undefined)
    return {
      check: id,
      verdict: 'failed',
      summary: `All of it is as its manifest says, which is the one that was published. But ${sealedBy} has sealed that, which is no key of this host any more, so it is not restored before an administrator vouches for it.`,
      remedy: `If that is the key that host install told of this host before it was installed anew: ${vouch(host, id, sealedBy)}. If it is not, somebody else has made it.`,
    };
  const told =
    files === undefined
      ? `${found.entries} entries; it is of before there were manifests, so only its own checksum was compared`
      : `${files} checksums agree with the sealed manifest`;
  return { check: id, verdict: 'ok', summary: `${readableBytes(found.bytes)} read to the end: ${told}.` };
}

/** So many of them make a share that says something. */
const enough = 20;

/** What the comparison with the source, and with an older archive, has found. */
export function judgeSpot(id: string, older: string, found: z.output<typeof spotCheck.answer>): readonly Finding[] {
  const { files, same, changed, gone } = found.compared;
  const protect = `protect ${id} (npx proxmox-mcp host protect-backup)`;
  const parts = found.part.flatMap((one): Finding[] => {
    const check = `Source ${cleanLine(one.path, 200)}`;
    // Data grows by itself, and what is in a volume that was empty is new.
    const grows = one.path.startsWith('volumes/');
    if (one.live > 0 && one.archived === 0 && !grows)
      return [
        {
          check,
          verdict: 'failed',
          summary: `${one.live} files are there, and none of them in ${id}.`,
          remedy: 'Back up again, and see what it says of this part.',
        },
      ];
    if (one.archived >= 10 && one.live * 2 < one.archived)
      return [
        {
          check,
          verdict: 'failed',
          summary: `It was emptied: ${one.live} files are there, and ${one.archived} in ${id}.`,
          remedy: `If nobody meant that, don't back up over it: ${protect} and restore it.`,
        },
      ];
    if (one.live > one.archived * 1.1 + 10 && !grows)
      return [
        {
          check,
          verdict: 'warning',
          summary: `${one.live} files are there, and only ${one.archived} in ${id}.`,
          remedy: 'If they are not all new, back up again, and see what it says of this part.',
        },
      ];
    return [];
  });
  const unseen = found.unseen.map(
    (path): Finding => ({
      check: `Source ${cleanLine(path, 200)}`,
      verdict: 'unknown',
      summary: `It could not be compared with ${id}: Docker does not answer, or its data is not mounted.`,
      remedy: 'Look at Docker on the host (docker info), and at what should be mounted.',
    }),
  );
  const moved = changed + gone;
  const replaced = mostly({ files, moved, path: 'all' }, found.moved);
  const findings: Finding[] = [
    ...parts,
    ...unseen,
    replaced.length > 0
      ? {
          check: 'Source against archive',
          verdict: 'failed',
          summary: `Other ones than in ${id}, or gone: ${shares(replaced)}. Were they encrypted, replaced, or is another disk mounted?`,
          remedy: `If nobody meant that, don't back up over it: ${protect}.`,
          value: moved,
        }
      : {
          check: 'Source against archive',
          verdict: 'ok',
          summary: `${same} of ${files} files are as in ${id}, by size and time.`,
          value: moved,
        },
    found.rotten.length > 0
      ? {
          check: 'Content of the source',
          verdict: 'failed',
          summary: `Of ${found.sampled} files that seem unchanged since ${id}, some hold something else: a disk that rots, or somebody who hides what he changed.`,
          remedy: 'Look at the disk (smartctl -a, dmesg, zpool status), and at who was on the host.',
          evidence: found.rotten.map((path) => cleanLine(path, 200)).join('\n'),
        }
      : {
          check: 'Content of the source',
          verdict: 'ok',
          summary: `A sample of ${found.sampled} files holds what ${id} has of them.`,
          value: found.sampled,
        },
  ];
  if (found.before === undefined) return findings;
  const { common, changed: other } = found.before;
  const held = mostly({ files: common, moved: other, path: 'all' }, found.other);
  return [
    ...findings,
    held.length > 0
      ? {
          check: 'Archive against an older one',
          verdict: 'failed',
          summary: `Of the files that ${older} has, too, these hold something else in ${id}: ${shares(held)}. Does it faithfully hold an encrypted or replaced source?`,
          remedy: `Look into one of these files. If nobody meant that, protect ${older}: npx proxmox-mcp host protect-backup.`,
          value: other,
        }
      : {
          check: 'Archive against an older one',
          verdict: 'ok',
          summary: `Of ${common} files that ${older} has, too, ${other} hold something else.`,
          value: other,
        },
  ];
}

/** Files of a part, and how many of them are other ones. */
interface Share {
  readonly files: number;
  readonly moved: number;
  readonly path: string;
}

/** Where more than half are other ones: of all files, and of each part by itself, which may be little beside the rest. */
function mostly(all: Share, parts: readonly Share[]): readonly Share[] {
  return [all, ...parts].filter(({ files, moved }) => files >= enough && moved * 2 > files);
}

function shares(all: readonly Share[]): string {
  return readableList(
    all.map(
      ({ files, moved, path }) =>
        `${moved} of ${files} files ${path === 'all' ? 'in all' : `of ${cleanLine(path, 200)}`}`,
    ),
    10,
  );
}
