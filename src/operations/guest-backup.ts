import { z } from 'zod';
import { type ApiRead, type ApiStep, apiRead, effect, runMark, undoBy } from './api-change.ts';
import type { Finding } from './finding.ts';
import { type GuestConfig, madeBy, readState } from './guest-config.ts';
import { isCdrom, isCloudInit, isDiskKey, isUnusedKey, propertiesOf, roughly } from './guest-disks.ts';
import { said, some } from './said.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// A backup of a guest by vzdump, and how it is told from one that only looks like it: used where a guest is backed up, and where
// one is kept before it is replaced.

const archives = () =>
  z.array(
    z.object({
      volid: z.string(),
      vmid: z.union([z.number(), z.string()]).transform(Number).optional(),
      size: z.number().default(0),
      ctime: z.number().optional(),
      notes: z.string().optional(),
      subtype: z.string().optional(),
      protected: z.union([z.number(), z.boolean(), z.string()]).transform(Number).optional(),
      verification: z.object({ state: z.string().optional() }).optional(),
    }),
  );
export type GuestArchives = z.output<ReturnType<typeof archives>>;
export type GuestArchive = GuestArchives[number];

/** The backups of one guest in a storage, as its node sees it; of their notes the first line. */
export function readArchives(node: string, storage: string, vmid: number): ApiRead<ReturnType<typeof archives>> {
  return apiRead({
    template: '/nodes/*/storage/*/content',
    values: [node, storage],
    parameters: { content: 'backup', vmid },
    schema: archives(),
  });
}

/** What an archive's own configuration says. */
export interface ArchivedConfig {
  readonly config: GuestConfig;
  /** The guest's notes, as they were. */
  readonly notes: string;
  /** Of a VM: the disks whose data is in it; absent where the archive doesn't list them. */
  readonly data?: readonly string[];
}

/** Options of a guest that are looked at; others, as what cloud-init is given, stay in the archive. */
const kept =
  /^(?:(?:scsi|virtio|sata|ide|mp|net|unused|usb|hostpci|virtiofs)\d+|lxc\.[a-z_.0-9]+|efidisk0|tpmstate0|rootfs|name|hostname|ostype|agent|bios|template|unprivileged|protection|memory|cores)$/;

/** The configuration that an archive holds. It fails where the archive can't be read. */
export function readArchivedConfig(node: string, volume: string): ApiRead<z.ZodType<ArchivedConfig>> {
  const schema = z.string().transform((text): ArchivedConfig => {
    const config: Record<string, string> = {};
    const data: string[] = [];
    const notes: string[] = [];
    for (const line of text.split('\n')) {
      // Snapshots follow.
      if (line.startsWith('[')) break;
      const [, mapped] = /^#qmdump#map:([a-z]+\d+)(?:-backup)?:/.exec(line) ?? [];
      if (mapped !== undefined) data.push(mapped);
      else if (line.startsWith('#') && !line.startsWith('#qmdump#')) notes.push(decoded(line.slice(1)));
      const [, key = '', value = ''] = /^([a-z_]+\d*|lxc\.[a-z_.0-9]+)\s*[:=]\s*(.*)$/.exec(line) ?? [];
      if (kept.test(key)) config[key] = value.slice(0, 500);
    }
    return { config, notes: notes.join('\n').slice(0, 8_192), ...(data.length > 0 && { data }) };
  });
  return apiRead({
    template: '/nodes/*/vzdump/extractconfig',
    values: [node],
    parameters: { volume },
    schema: schema as unknown as z.ZodType<ArchivedConfig>,
  });
}

/** A line of notes stands there percent-encoded, or as it is. */
function decoded(line: string): string {
  try {
    return decodeURIComponent(line);
  } catch {
    return line;
  }
}

/** What a backup of a guest holds of its disks, by their keys, and what it leaves out, with why. */
export function heldOf(
  type: GuestPlace['type'],
  config: GuestConfig,
): { readonly held: readonly string[]; readonly left: readonly { readonly key: string; readonly why: string }[] } {
  const held: string[] = [];
  const left: { readonly key: string; readonly why: string }[] = [];
  for (const [key, line] of Object.entries(config)) {
    const { first, rest } = propertiesOf(line);
    if (isUnusedKey(key)) left.push({ key, why: `is not used by the guest (${said(first, 100)})` });
    if (!isDiskKey(type, key) || isCdrom(line) || isCloudInit(line)) continue;
    if (type === 'qemu') {
      if (rest.backup === '0') left.push({ key, why: 'is kept out of backups (backup=0)' });
      else held.push(key);
    } else if (first.startsWith('/')) {
      left.push({ key, why: `is a folder or a device of the node (${said(first, 100)}), which is never backed up` });
    } else if (key !== 'rootfs' && rest.backup !== '1') {
      left.push({ key, why: `is not marked for backups (backup=1): ${said(rest.mp ?? first, 100)}` });
    } else held.push(key);
  }
  return { held, left };
}

/** What stays out of a guest's archive, each with what to do. */
export function leftOut(type: GuestPlace['type'], config: GuestConfig): Finding[] {
  return heldOf(type, config).left.map(({ key, why }) => ({
    check: 'Not in the archive',
    verdict: 'warning',
    summary: `${key} ${why}`,
    remedy: isUnusedKey(key)
      ? 'Attach it, or remove it if nobody needs it.'
      : why.includes('backup=')
        ? 'If it is to be backed up, change that in the options of the disk or mount point.'
        : 'Back up what is in it where it lies.',
  }));
}

/** Disks that the guest gets only at its next start: a backup has it as it runs. */
export function pendingDisks(type: GuestPlace['type'], now: GuestConfig, later: GuestConfig): Finding[] {
  const { held } = heldOf(type, now);
  return heldOf(type, later)
    .held.filter((key) => !held.includes(key))
    .map((key) => ({
      check: 'Not in the archive',
      verdict: 'warning',
      summary: `${key} is the guest's only from its next start`,
      remedy: 'Restart it, then back it up once more.',
    }));
}

/** How vzdump is told to do it. */
export interface BackupOptions {
  readonly storage: string;
  readonly mode: 'snapshot' | 'suspend' | 'stop';
  readonly compress: '0' | 'gzip' | 'lzo' | 'zstd';
  readonly notes: string;
  readonly isProtected: boolean;
  /** A storage for what is written meanwhile, of a VM. */
  readonly fleecing?: string | undefined;
  readonly bwlimitKiB?: number | undefined;
}

/** What was there when it was planned. */
export interface BackupFrom {
  readonly config: GuestConfig;
  readonly status: string;
  /** Backups of the guest on the storage. */
  readonly before: GuestArchives;
}

/** Less than that share of the usual size is worth a look. */
const usualShare = 0.5;

/**
 * One guest's backup: vzdump of that guest alone, so that its log is the guest's own. It counts by its new archive, which bears the
 * run's name in its notes, isn't empty, can be read, and names the guest's disks. It never lets Proxmox prune older ones.
 */
export function backUpStep(
  guest: GuestPlace,
  options: BackupOptions,
  { config, status, before }: BackupFrom,
  {
    title = 'Back up',
    isKept = false,
    facts = ({ volid, size, ctime = 0 }) => ({
      archive: volid,
      bytes: size,
      takenAt: new Date(ctime * 1000).toISOString(),
    }),
  }: {
    readonly title?: string;
    /** It stays, whatever becomes of the run. */
    readonly isKept?: boolean;
    readonly facts?: (archive: GuestArchive) => Readonly<Record<string, unknown>>;
  } = {},
): ApiStep {
  const { node, vmid, type } = guest;
  const { storage, mode, compress, notes, isProtected, fleecing, bwlimitKiB } = options;
  const label = guestLabel(guest);
  const { held, left } = heldOf(type, config);
  const known = new Set(before.map(({ volid }) => volid));
  const newOnes = (all: GuestArchives) =>
    all.filter(({ volid, vmid: of }) => !known.has(volid) && (of ?? vmid) === vmid);
  const mine = (all: GuestArchives, run: string) => newOnes(all).find((one) => madeBy(one.notes) === run);
  const reads = { archives: readArchives(node, storage, vmid), state: readState(guest) };
  return {
    title,
    call: {
      method: 'POST',
      template: '/nodes/*/vzdump',
      values: [node],
      parameters: {
        vmid,
        storage,
        mode,
        compress,
        // Its first line is what lists show. A backslash begins an escape there, and braces a variable.
        'notes-template': `Proxmox MCP: ${runMark}\\n{{guestname}}${notes === '' ? '' : `: ${notes.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`}`,
        protected: isProtected,
        remove: false,
        ...(fleecing === undefined || type === 'lxc' ? {} : { fleecing: `enabled=1,storage=${fleecing}` }),
        ...(bwlimitKiB === undefined ? {} : { bwlimit: bwlimitKiB }),
      },
    },
    task: { node, id: String(vmid), types: ['vzdump'] },
    log: {
      isProgress,
      findings: (lines) =>
        logFindings(
          lines,
          left.map(({ key }) => key),
        ),
    },
    effect: effect({
      reads,
      more(now, run): { readonly archived?: ApiRead } {
        const archive = mine(now.archives, run);
        return archive === undefined || archive.size <= 1
          ? {}
          : { archived: readArchivedConfig(node, archive.volid) as ApiRead };
      },
      lacks(now, run) {
        const archive = mine(now.archives, run);
        if (archive === undefined) {
          const [other] = newOnes(now.archives);
          if (other !== undefined) {
            return `the new archive ${said(other.volid)} of the ${label} does not name this run: another one has made it`;
          }
          return before.length === 0
            ? `there is no archive of the ${label} on ${storage}`
            : `${storage} has only older archives of the ${label}`;
        }
        if (archive.size <= 1) return `the archive ${said(archive.volid)} is empty, or not finished`;
        const { config: saved, data } = archivedIn(now);
        const missing = held.find((key) => saved[key] === undefined || (data !== undefined && !data.includes(key)));
        if (missing !== undefined) return `the archive ${said(archive.volid)} does not hold the disk ${missing}`;
        if (now.state.lock === 'backup') return `the ${label} is left locked (backup)`;
        return undefined;
      },
      facts(now, run) {
        const archive = mine(now.archives, run);
        return archive === undefined ? {} : facts(archive);
      },
      findings(now, run) {
        const archive = mine(now.archives, run);
        return [
          ...(archive === undefined ? [] : archiveFindings(archive, before)),
          ...(archive === undefined ? [] : clockFindings(archive, before, node)),
          ...(status === 'running' && now.state.status !== 'running'
            ? [
                {
                  check: 'State',
                  verdict: 'warning' as const,
                  summary: `The ${label} ran before, and is off now`,
                  remedy: 'Start it (control-guest), and look in its log for why it went off.',
                },
              ]
            : []),
        ];
      },
      withinSeconds: 15,
      // One that is pruned right away by somebody's rules is no backup.
      staysSeconds: 2,
    }),
    ...(!isKept && {
      undo: undoBy({
        says: 'the archive that it has made is removed, unless it is protected or the only one of the guest there',
        reads: { archives: reads.archives },
        plan({ archives: all }, run) {
          const archive = mine(all, run);
          const others = all.filter(({ volid, size }) => volid !== archive?.volid && size > 1);
          if (archive === undefined || archive.protected === 1 || others.length === 0) return undefined;
          return {
            call: {
              method: 'DELETE',
              template: '/nodes/*/storage/*/content/*',
              values: [node, storage, archive.volid],
            },
            task: { node, id: `${vmid}@${storage}`, types: ['imgdel'] },
            effect: effect({
              reads: { archives: reads.archives },
              lacks: (now) =>
                now.archives.some(({ volid }) => volid === archive.volid)
                  ? `the archive ${said(archive.volid)} is still there`
                  : undefined,
              withinSeconds: 60,
            }),
          };
        },
      }),
    }),
  };
}

/** What {@link ApiEffect.more} has read, where there was something to read. */
function archivedIn(now: object): ArchivedConfig {
  return (now as { readonly archived?: ArchivedConfig }).archived ?? { config: {}, notes: '' };
}

function archiveFindings({ volid, size }: GuestArchive, before: GuestArchives): Finding[] {
  const sizes = before
    .filter((one) => one.size > 1)
    .toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0))
    .slice(0, 5)
    .map((one) => one.size)
    .sort((a, b) => a - b);
  const usual = sizes[Math.floor(sizes.length / 2)];
  return [
    { check: 'Archive', verdict: 'ok', summary: `${said(volid)}, ${roughly(size)}; it can be read`, value: size },
    ...(usual !== undefined && size < usual * usualShare
      ? [
          {
            check: 'Size',
            verdict: 'warning' as const,
            summary: `It has ${roughly(size)}, and the last ones had ${roughly(usual)}`,
            remedy: 'Look whether something is gone from the guest, or a disk from its backup, before older ones go.',
          },
        ]
      : []),
  ];
}

/** One of another time zone, of another cluster on the same storage, or of a wrong clock says nothing against the new one. */
function clockFindings(archive: GuestArchive, before: GuestArchives, node: string): Finding[] {
  const newer = before.filter(({ ctime = 0 }) => ctime > (archive.ctime ?? 0));
  if (newer.length === 0) return [];
  return [
    {
      check: 'Time',
      verdict: 'warning',
      summary: `${newer.length} backups that were there before are dated after it: ${some(
        newer.map(({ volid }) => volid),
        3,
      )}`,
      remedy: `Look at the clock of ${node}. What prunes by age takes the new one for older than these: remove those that are dated wrong.`,
    },
  ];
}

/** `INFO:  37% (12.0 GiB of 32.0 GiB) in 45s, read: …` */
function isProgress(line: string): boolean {
  return /^INFO:\s+\d+% \(/.test(line) && !/^INFO: 100% /.test(line);
}

/** What the log of one guest's backup says beside that it ended. */
function logFindings(lines: readonly string[], left: readonly string[]): readonly Finding[] {
  const like = (pattern: RegExp) => lines.filter((line) => pattern.test(line));
  const of = (check: string, found: readonly string[], summary: string, remedy: string): Finding[] =>
    found.length === 0 ? [] : [{ check, verdict: 'warning', summary, remedy, evidence: found.slice(0, 20).join('\n') }];
  const freeze = like(/fs-?freeze.*(failed|timeout|error)|agent configured but not running/i);
  const mode = like(/trying 'suspend' mode instead/);
  const begun = like(/^INFO: Starting Backup of VM \d+/);
  const finished = like(/^INFO: Finished Backup of VM \d+/);
  const problems = like(/^(ERROR|WARN(ING)?):? /).filter((line) => !freeze.includes(line));
  return [
    ...of(
      'File systems at rest',
      freeze,
      'The guest agent did not bring the file systems to rest, so the archive is as after a power cut',
      'Look whether qemu-guest-agent runs in the guest; of a database keep a dump of its own, too.',
    ),
    ...of(
      'Mode',
      mode,
      'Its storage takes no snapshots, so the guest stood still meanwhile',
      'Move its disks to a storage that takes snapshots, or back it up when nobody needs it.',
    ),
    ...of('Log', problems, `Its log has ${problems.length} errors or warnings`, 'Read them: a part may be missing.'),
    ...(begun.length > 0 && finished.length === 0
      ? [
          {
            check: 'Log',
            verdict: 'warning' as const,
            summary: 'Its log does not say that the backup was finished',
            remedy: "Look at the task's log.",
            evidence: lines.slice(-5).join('\n'),
          },
        ]
      : []),
    ...of(
      'Left out',
      // What was to be expected is said already.
      like(/\bexclud(e|ing) (disk|bind|device|volume)/).filter(
        (line) => !left.some((key) => new RegExp(`\\b${key}\\b`).test(line)),
      ),
      'Proxmox left out what was to be in it',
      'See whether it is to be so, in the options of the disk or mount point.',
    ),
  ];
}

/** How many bytes it will take: as the last one, else as much as its disks may have. */
export function backupEstimate(
  config: GuestConfig,
  type: GuestPlace['type'],
  before: GuestArchives,
  sizeOf: (line: string) => number,
): number {
  // A backup server's unfinished snapshot is listed with 1 byte.
  const [last] = before.filter(({ size }) => size > 1).toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0));
  if (last !== undefined) return last.size;
  return heldOf(type, config).held.reduce((sum, key) => sum + sizeOf(config[key] ?? ''), 0);
}

/** Windows whose agent is asked to freeze: VSS takes that for a full backup. */
export function vssRemark(guest: GuestPlace, { ostype = '', agent = '' }: GuestConfig): string[] {
  const hasAgent = /^(1|enabled=1)\b/.test(agent) && !/freeze-fs-on-backup=0/.test(agent);
  if (!/^w/.test(ostype) || !hasAgent) return [];
  return [
    `The ${guestLabel(guest)} is Windows with a guest agent: VSS takes this for a full backup, which begins the chain of another backup product anew`,
  ];
}

/** What vzdump takes as notes, without variables of its own. */
export function backupNotes() {
  return z
    .string()
    .max(400)
    .regex(/^[^{}\p{Cc}]*$/u, 'expected one line without braces, e.g. before the upgrade')
    .default('')
    .describe('Why it was taken; shown below the run that has made it');
}
