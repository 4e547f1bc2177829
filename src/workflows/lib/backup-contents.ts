import type { BackupLook, CollectedHost } from '../../activities/back-up/back-up.ts';
import type { BackupContents } from '../../activities/back-up/look.ts';
import type { Finding } from '../../operations/finding.ts';
import type { Section } from '../../operations/report.ts';
import { readableBytes } from '../../reports/units.ts';

// What a backup takes, as its plan and its report say it.

/** The checklist's line of the look. */
export function describeLook(look: BackupLook): string {
  const free = `${readableBytes(look.freeBytes)} free`;
  if (!look.isInstalled) return `There is no installation; ${free}`;
  return `${look.entries} files and folders, ${readableBytes(look.bytes)}; ${free}`;
}

/** The checklist's line of the host's own configuration. */
export function describeHost({ parts }: CollectedHost): string {
  return sizeOf(parts);
}

function sizeOf(parts: CollectedHost['parts']): string {
  const files = parts.reduce((sum, one) => sum + one.files, 0);
  const bytes = parts.reduce((sum, one) => sum + one.bytes, 0);
  return `${files} ${files === 1 ? 'file' : 'files'}, ${readableBytes(bytes)}`;
}

/** What is there to be backed up; `copied`: what of the host was, once that is done. */
export function contents(look: BackupContents, copied?: CollectedHost): readonly Section[] {
  const installation: Finding[] = look.isInstalled
    ? [
        {
          check: 'Installation',
          verdict: 'ok',
          summary: `${look.installation}: ${look.entries} files and folders, ${readableBytes(look.bytes)}`,
        },
        look.sudoers.there ? { check: 'Sudoers', verdict: 'ok', summary: look.sudoers.path } : noSudoers(look),
        ...look.volumes.map(
          ({ name, bytes }): Finding => ({ check: `Volume ${name}`, verdict: 'ok', summary: readableBytes(bytes) }),
        ),
      ]
    : [
        {
          check: 'Installation',
          verdict: 'skipped',
          summary: `There is none at ${look.installation} on this host, so nothing of one is in the backup.`,
        },
      ];
  const skipped = look.skippedVolumes.map(
    ({ name, why, verdict }): Finding => ({ check: `Volume ${name}`, verdict, summary: why }),
  );
  return [
    // Of a run that was begun by an earlier version there is none.
    ...((look.own as BackupContents['own'] | undefined) === undefined
      ? []
      : [hostContents(copied ?? look.own, copied)]),
    { title: 'Contents', findings: [...installation, ...skipped, ...look.concerns] },
  ];
}

type PartKind = BackupContents['own']['parts'][number]['kind'];

const partTitles: Readonly<Record<PartKind, string>> = {
  proxmox: 'Proxmox',
  network: 'Network',
  storage: 'Storage',
  packages: 'Packages and sources',
  schedules: 'Cron',
  keys: 'SSH keys',
  kernel: 'Kernel',
  system: 'System',
  chosen: 'Chosen folders',
};

/** One line for each part of the host's configuration: what of it is there, and that the host has none of it. */
function hostContents({ parts, absent, closed }: BackupContents['own'], copied?: CollectedHost): Section {
  const kinds = Object.keys(partTitles) as PartKind[];
  const findings = kinds.flatMap((kind): Finding[] => {
    const check = partTitles[kind];
    const of = <T extends { readonly kind: PartKind }>(all: readonly T[]) => all.filter((one) => one.kind === kind);
    const paths = (all: readonly { readonly path: string }[]) => all.map(({ path }) => path).join(', ');
    const [there, none, unread] = [of(parts), of(absent), of(closed)];
    const how = kind === 'proxmox' && copied?.database !== undefined ? `, the database by ${copied.database}` : '';
    // Who chose a folder expects it there; the rest nearly every host has only a part of.
    const lacking = kind === 'chosen' ? none.length > 0 : none.length > 0 && there.length + unread.length === 0;
    return [
      ...(there.length === 0
        ? []
        : [{ check, verdict: 'ok', summary: `${paths(there)}: ${sizeOf(there)}${how}` } as const]),
      ...(unread.length === 0
        ? []
        : [
            {
              check,
              verdict: 'warning',
              summary: `Could not be read, so it is not in the backup, or not whole: ${paths(unread)}`,
              remedy: 'Look at it on the host as root: ls -la and mount say more.',
            } as const,
          ]),
      ...(!lacking
        ? []
        : kind === 'chosen'
          ? [
              {
                check,
                verdict: 'warning',
                summary: `Not on this host: ${paths(none)}`,
                remedy: 'See BACKUP_PATHS.',
              } as const,
            ]
          : [{ check, verdict: 'skipped', summary: `This host has none: ${paths(none)}` } as const]),
    ];
  });
  return { title: "The host's configuration", findings };
}

/** An installation without its sudoers file. */
export function noSudoers(look: BackupContents): Finding {
  return {
    check: 'Sudoers',
    verdict: 'warning',
    summary: `${look.sudoers.path} isn't there, so it isn't in the archive`,
  };
}

/** A host with no installation, of a run that backs up nothing else. */
export function nothingThere(installation: string): Finding {
  return {
    check: 'Installation',
    verdict: 'skipped',
    summary: `There is no installation at ${installation} on this host, and no archive of one.`,
  };
}
