import type {
  ArchivedVolume,
  BackupLook,
  CheckedArchives,
  CollectedFiles,
  CollectedHost,
  ComparedBackup,
  PublishedArchive,
  VerifiedArchive,
} from '../../activities/back-up/back-up.ts';
import type { BackupContents } from '../../activities/back-up/look.ts';
import type { RetentionPlan } from '../../backups/plan-retention.ts';
import type { Finding } from '../../operations/finding.ts';
import type { Section } from '../../operations/report.ts';
import { readableBytes } from '../../reports/units.ts';
import { noSudoers } from './backup-contents.ts';

// What a backup's report says of the archive that it made, and of those that were there.

/** The archive that was made: whole, sealed, and holding what the last good one holds. */
export function archiveFindings({
  host,
  found,
  collected,
  own,
  archived,
  packed,
  verified,
  published,
}: {
  readonly host: string;
  readonly found: BackupLook;
  readonly collected: CollectedFiles;
  /** Absent of a run that was begun by an earlier version. */
  readonly own: CollectedHost | undefined;
  readonly archived: readonly ArchivedVolume[];
  readonly packed: ComparedBackup;
  readonly verified: VerifiedArchive;
  readonly published: PublishedArchive;
}): Finding[] {
  const parts = [collected, ...(own === undefined ? [] : [own]), ...archived];
  return [
    { check: 'Archive', verdict: 'ok', summary: `${published.path}, ${readableBytes(published.bytes)}` },
    {
      check: 'Read back',
      verdict: 'ok',
      summary: `${verified.files} checksums agree`,
      evidence: `sha256 ${published.sha256}`,
    },
    ...sealed(host, published),
    ...(collected.sudoers || !found.isInstalled ? [] : [noSudoers(found)]),
    ...replaced(found, collected),
    ...attributes(parts),
    ...archived.flatMap(({ name, named }) => (named === undefined ? [] : [otherName(name, named)])),
    ...changedFiles(parts),
    ...guestsGone(packed),
    comparison(host, found.id, packed),
  ];
}

function sealed(host: string, { seal }: PublishedArchive): readonly Finding[] {
  // Of a run that was begun by an earlier version there is none.
  if (seal === undefined) return [];
  const check = 'Seal of the manifest';
  if (seal.is !== 'other') return [{ check, verdict: 'ok', summary: seal.fingerprint }];
  return [
    {
      check,
      verdict: 'failed',
      summary: `It is by another key than this host had: ${seal.fingerprint} and not ${seal.known}. The host was installed anew, or it is not the one that it says it is.`,
      remedy: `Look at the host. If the key is the right one: npx proxmox-mcp host install ${host}`,
    },
  ];
}

/** What of the installation isn't in the archive. */
function replaced({ installation }: BackupContents, { replaced: names }: CollectedFiles): readonly Finding[] {
  if (names.length === 0) return [];
  return [
    {
      check: 'Left out',
      verdict: 'warning',
      summary: `Of ${installation} this is not in the archive, because the archive has its own of that name: ${names.join(', ')}. A recovery left it there.`,
      remedy: "Remove it there if it isn't needed.",
    },
  ];
}

function attributes(parts: readonly { readonly lost: readonly string[] }[]): readonly Finding[] {
  const lost = parts.flatMap((part) => part.lost);
  if (lost.length === 0) return [];
  return [
    {
      check: 'Attributes',
      verdict: 'warning',
      summary:
        'Capabilities, ACLs or extended attributes of some files are not in the archive, because the file system of the copy refuses them.',
      remedy: 'Set BACKUP_DIR to a file system that keeps them.',
      evidence: lost.join('\n'),
    },
  ];
}

function otherName(name: string, named: string): Finding {
  return {
    check: `Volume ${name}`,
    verdict: 'ok',
    summary: `The containers have it mounted as ${named}; in the archive it is volumes/${name}.`,
  };
}

/** Not a warning: of logs and the like nobody can do anything about it, and what is known to be a database is doubted. */
function changedFiles(parts: readonly { readonly changed: readonly string[] }[]): readonly Finding[] {
  const changed = parts.flatMap((part) => part.changed);
  if (changed.length === 0) return [];
  return [
    {
      check: 'Written to',
      verdict: 'ok',
      summary:
        'These were written to as long as they were copied; the archive has them as they were at some moment of it.',
      ...(changed.some((path) => path.startsWith('volume ')) && {
        remedy: 'If one in a volume is of a database: label its container proxmox-mcp.backup=pause (docs/backups.md).',
      }),
      evidence: changed.join('\n'),
    },
  ];
}

/** Said once: it isn't doubted, because guests come and go. */
function guestsGone({ last, gone = [] }: ComparedBackup): readonly Finding[] {
  if (gone.length === 0) return [];
  return [
    {
      check: 'Guests',
      verdict: 'warning',
      summary: `The configuration of these is not on the host any more, and is in ${last} still: ${gone.join(', ')}.`,
      remedy: `If they were not removed on purpose: tar -xOf ${last}.tar.gz --wildcards 'host/etc/pve/nodes/*/NUMBER.conf'`,
    },
  ];
}

function comparison(host: string, id: string, { last, doubts, accepted }: ComparedBackup): Finding {
  const with_ = last === undefined ? 'There is no earlier good backup to compare it with' : `Compared with ${last}`;
  const check = 'Contents compared';
  if (doubts.length > 0) {
    return {
      check,
      verdict: 'warning',
      summary: `${with_}; it does not count as a good backup until an administrator accepts it.`,
      remedy: `If it is meant to be so: npx proxmox-mcp host accept-backup ${host} ${id}`,
      evidence: doubts.map(({ summary }) => summary).join('\n'),
    };
  }
  if (accepted.length === 0) return { check, verdict: 'ok', summary: with_ };
  return {
    check,
    verdict: 'ok',
    summary: `${with_}; an administrator has accepted what is doubtful.`,
    evidence: accepted.map(({ summary }) => summary).join('\n'),
  };
}

/** Whether the archive is off the host, too; `run`: the one that copied it. */
export function secondCopy(host: string, run: string | undefined): Finding {
  const check = 'Copy off the host';
  if (run !== undefined) return { check, verdict: 'ok', summary: `It is copied off ${host} by the run ${run}.` };
  return {
    check,
    verdict: 'skipped',
    summary: `No copy of it leaves ${host}: the only one lies on the host itself, and is lost with it.`,
    remedy: 'Set BACKUP_RECIPIENTS to whom copies are encrypted; docs/copies.md says how.',
  };
}

/** What came of reading older archives again. */
export function olderArchives({ whole, broken, unsealed = [] }: CheckedArchives): readonly Finding[] {
  return [
    ...(unsealed.length === 0
      ? []
      : [
          {
            check: 'Seals',
            verdict: 'failed',
            summary: `Whole, but the manifest or its seal is not what was published any more: ${unsealed.join(', ')}`,
            remedy: 'See on the host who wrote into the backup folder, and make a new backup.',
          } as const,
        ]),
    ...(broken.length === 0
      ? []
      : [
          {
            check: 'Read again',
            verdict: 'failed',
            summary: `Not what was published any more: ${broken.join(', ')}`,
            remedy: 'Look at the disk of the backup folder (smartctl -a, dmesg), and remove what is broken.',
          } as const,
        ]),
    ...(whole.length === 0
      ? []
      : [{ check: 'Read again', verdict: 'ok', summary: `Whole: ${whole.join(', ')}` } as const]),
    ...(whole.length + broken.length + unsealed.length > 0
      ? []
      : [{ check: 'Read again', verdict: 'ok', summary: 'None was due' } as const]),
  ];
}

/** What retention keeps and removes. */
export function retention(plan: RetentionPlan, verb: 'Removed' | 'Would remove'): Section {
  return {
    title: 'Retention',
    findings: [
      {
        check: verb,
        verdict: 'ok',
        summary: plan.remove.length > 0 ? plan.remove.join(', ') : 'Nothing: no archive is to go',
      },
      ...(plan.refused === undefined
        ? []
        : [
            {
              check: 'Refused',
              verdict: 'warning',
              summary: `Archives that are old enough stay: ${plan.refused}`,
              remedy: 'Look at that first; what is old goes with the next backups.',
            } as const,
          ]),
      {
        check: 'Kept',
        verdict: 'ok',
        summary: plan.keep.map(({ id, why }) => `${id} (${why})`).join('; ') || 'Nothing yet',
      },
    ],
  };
}

/** A list of the host that may hold lines that nobody understands. */
export interface Listed {
  readonly notUnderstood: number;
}

/** What else somebody put where the host's lists are read from; such lines are left alone. */
export function listings({
  found,
  collected,
  plan,
}: {
  readonly found: Listed;
  readonly collected?: Listed;
  readonly plan?: Listed | undefined;
}): readonly Section[] {
  const counts = {
    'List of backups': Math.max(found.notUnderstood, plan?.notUnderstood ?? 0),
    'List of jobs': collected?.notUnderstood ?? 0,
  };
  const findings = Object.entries(counts).flatMap(([check, lines]): Finding[] => {
    if (lines === 0) return [];
    const summary = `${lines} lines of the listing aren't understood; what they may name was left alone`;
    return [{ check, verdict: 'unknown', summary, remedy: 'Look at the folder on the host.' }];
  });
  return findings.length === 0 ? [] : [{ title: 'Listings', findings }];
}
