import { ApplicationFailure, isCancellation, patched } from '@temporalio/workflow';
import type { z } from 'zod';
import type {
  ArchivedVolume,
  BackupActivities,
  BackupLook,
  CheckedArchives,
  CollectedFiles,
  CollectedHost,
  ComparedBackup,
  PublishedArchive,
} from '../activities/back-up/back-up.ts';
import type { BackupContents } from '../activities/back-up/look.ts';
import type { RetentionPlan } from '../backups/plan-retention.ts';
import { backUp as definition } from '../operations/back-up.ts';
import { copyBackups } from '../operations/copy-backups.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import type { Section } from '../operations/report.ts';
import { readableBytes } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { failureOf, isAboutTheWay } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { Done, Planned, PlanningRun, Run } from './lib/run.ts';

/**
 * The guide's backups. Everything is made under hidden names and read back before the archive gets its own; until
 * then a failure takes all of it back. An archive that holds less than the last good one is kept and the run fails: it
 * counts for nothing until an administrator accepts it. Removing old archives comes last and can't fail the backup.
 */
export const backUp = operationWorkflow(definition, {
  plan: (run) => withLastGood(run.input.host, () => planBackup(run)),
  act: (run, found) => withLastGood(run.input.host, () => makeBackup(run, found)),
});

async function planBackup(run: PlanningRun<BackupInput>): Promise<Planned<BackupLook, BackupOutput>> {
  const { host, kind, anyTarget } = run.input;
  const on = reach(host);
  const found = await run.step(
    'Look',
    (summary) => on('survey')(summary).lookForBackup({ host, kind, anyTarget }),
    describeLook,
  );
  if (!patched('plan')) return { known: found };
  const volumes = found.volumes.map(({ name }) => name);
  const { steps, retention: plan } = await on('look')('Plan').planBackup({ host, id: found.id, volumes });
  return {
    known: found,
    would: {
      plan: planOf(host, found, steps, plan),
      output: { removed: [...plan.remove], kept: plan.keep.length },
      sections: [...contents(found), retention(plan, 'Would remove'), ...listings({ found, plan })],
    },
  };
}

function planOf(host: string, found: BackupLook, steps: PlanDraft['steps'], { remove }: RetentionPlan): PlanDraft {
  return {
    summary: `back up ${host} to a new archive in ${found.folder}`,
    steps,
    state: [
      { name: 'Installation', value: found.isInstalled ? found.installation : 'none' },
      { name: 'Volumes', value: found.volumes.map(({ name }) => name).join(', ') || 'none' },
      { name: 'Backup folder', value: found.folder },
      { name: 'Retention removes', value: remove.join(', ') || 'nothing' },
    ],
    affected: [
      ...remove.map((id) => `The archive ${id} goes, as retention wants`),
      `${readableBytes(found.neededBytes)} of ${readableBytes(found.freeBytes)} free in ${found.folder} are needed while it is made`,
    ],
    risks: [],
    undo: [
      'Until the archive has its name everything is taken back',
      ...(remove.length === 0 ? [] : ['What retention removes can not be brought back']),
    ],
  };
}

async function makeBackup(run: BackupRun, found: BackupLook): Promise<Done<BackupOutput>> {
  const { host, kind, anyTarget } = run.input;
  const on = reach(host);
  const [act, job, undo] = [on('act'), on('job'), on('undo')];
  // Runs that looked before the host's own configuration was backed up go on without it.
  const takesHost = patched('host-configuration');
  if (!takesHost && !found.isInstalled) {
    for (const title of definition.steps.slice(1)) run.skip(title, 'There is nothing to back up');
    return {
      output: { removed: [], kept: 0 },
      summary: `There is no installation on ${host}, so there was nothing to back up.`,
      sections: [{ title: 'Contents', findings: [nothingThere(found.installation)] }],
    };
  }
  const { id } = found;
  // Read anew for every call: the fence is another one after a person was asked.
  const backup = () => ({ host, id, fence: run.fence });

  run.onUndo(
    'Collect',
    () => undo('Remove what was begun').abandonBackup(backup()),
    async () => {
      const left = await on('survey')('Look at what is left').lookForBackup({ host, kind, anyTarget });
      return (left.leftovers ?? []).join(' ');
    },
  );
  const collected = await run.step(
    'Collect',
    (summary) => job(summary).collectBackup(backup()),
    ({ entries }) =>
      found.isInstalled ? `${entries} files and folders of the installation` : 'There is no installation',
  );
  let own: CollectedHost | undefined;
  if (takesHost) own = await run.step('Host', (summary) => job(summary).collectHost(backup()), describeHost);
  else run.skip('Host', 'The run was begun by an earlier version');
  const { volumes } = collected;
  let archived: readonly ArchivedVolume[] = [];
  if (volumes.length === 0) run.skip('Volumes', 'There are none');
  else
    archived = await run.step(
      'Volumes',
      (summary) => job(summary).archiveVolumes({ ...backup(), volumes }),
      () => volumes.join(', '),
    );
  const packed = await run.step(
    'Pack',
    (summary) => job(summary).packBackup(backup()),
    ({ bytes }) => readableBytes(bytes),
  );
  const verified = await run.step(
    'Verify',
    (summary) => job(summary).verifyBackup(backup()),
    ({ files }) => `${files} checksums agree`,
  );
  const published = await run.step(
    'Publish',
    (summary) => job(summary).publishBackup({ ...backup(), sha256: verified.sha256 }),
    ({ path }) => path,
  );
  run.commit();

  const checked = await readAgain();
  const kept = await removeOld();
  const reasons = packed.doubts.filter(({ verdict }) => verdict === 'failed');
  const copy = async () =>
    found.isCopied && patched('copies') ? await run.afterwards(copyBackups, { host }) : undefined;
  if (reasons.length > 0) {
    // Older good ones without a copy are there still, and those that are there are compared.
    // What becomes of that is another run's to say.
    if (patched('copies-beside-doubts')) await copy().catch(() => undefined);
    throw lessThanBefore(host, id, packed, reasons);
  }
  const copied = await copy();
  const archive: Finding[] = [
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
    ...attributes([collected, ...(own === undefined ? [] : [own]), ...archived]),
    ...archived.flatMap(({ name, named }) => (named === undefined ? [] : [otherName(name, named)])),
    ...changedFiles([collected, ...(own === undefined ? [] : [own]), ...archived]),
    ...guestsGone(packed),
    comparison(host, id, packed),
  ];
  return {
    output: {
      archive: { ...published, entries: verified.entries, volumes: [...volumes] },
      removed: [...kept.removed],
      kept: kept.kept,
    },
    summary: `Backed up ${host} to ${published.path} (${readableBytes(published.bytes)}).`,
    sections: [
      { title: 'Archive', findings: archive },
      ...contents(found, own),
      ...(checked === undefined ? [] : [{ title: 'Older archives', findings: [...checked] }]),
      ...(found.isCopied === undefined ? [] : [{ title: 'Second copy', findings: [secondCopy(host, copied)] }]),
      kept.section,
      ...listings({ found, collected, plan: kept.plan }),
    ],
  };

  async function readAgain(): Promise<readonly Finding[] | undefined> {
    try {
      const checked = await run.step(
        'Read again',
        (summary) => job(summary).checkArchives(backup()),
        ({ whole, broken, unsealed = [] }) => [...whole, ...broken, ...unsealed].join(', ') || 'None is due',
      );
      return olderArchives(checked);
    } catch (error) {
      if (isCancellation(error)) return undefined;
      return [{ check: 'Read again', verdict: 'warning', summary: failureOf(error).message }];
    }
  }

  async function removeOld(): Promise<{ removed: string[]; kept: number; section: Section; plan?: Listed }> {
    const removed: string[] = [];
    try {
      return await run.step('Retention', async (summary) => {
        const plan = await act(summary).planBackupRetention({ host });
        for (const old of plan.remove) {
          await job(`Remove ${old}`).removeBackup({ host, id: old, fence: run.fence });
          removed.push(old);
        }
        return { removed, kept: plan.keep.length, section: retention(plan, 'Removed'), plan };
      });
    } catch (error) {
      // The archive is published and stays, so the backup is done, whoever asked the run to stop meanwhile.
      const summary = isCancellation(error)
        ? 'The run was asked to stop while old archives were removed; the others are kept until the next backup.'
        : failureOf(error).message;
      const problem: Finding = { check: 'Retention', verdict: 'warning', summary };
      return { removed, kept: 0, section: { title: 'Retention', findings: [problem] } };
    }
  }
}

function reach(host: string) {
  return (policy: Policy) => (summary: string) => onHost<BackupActivities>(host, policy, summary);
}

type BackupInput = z.output<typeof definition.input>;
type BackupRun = Run<BackupInput>;
type BackupOutput = z.output<typeof definition.output>;

/** A failure says how old the last good backup is. Not where the host is away: it would only be waited for again. */
async function withLastGood<T>(host: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw await lastGoodTold(host, error);
  }
}

async function lastGoodTold(host: string, error: unknown): Promise<unknown> {
  const { code, message, remedy } = failureOf(error);
  // A run without an approval of its own begins anew.
  if (isCancellation(error) || isAboutTheWay(code) || code === 'approval-spent') return error;
  try {
    const last = await onHost<BackupActivities>(host, 'look', 'Look for the last good backup').tellLastGood({ host });
    return ApplicationFailure.create({
      message: `${message} ${last}`,
      type: code,
      nonRetryable: true,
      details: [{ code, remedy }],
    });
  } catch {
    return error;
  }
}

function lessThanBefore(
  host: string,
  id: string,
  { last }: ComparedBackup,
  doubts: ComparedBackup['doubts'],
): ApplicationFailure {
  const than = last === undefined ? '' : ` Compared with ${last}:`;
  const remedy = `Put it right and back up again. If it is meant to be so, an administrator lets it count: npx proxmox-mcp host accept-backup ${host} ${id}`;
  return ApplicationFailure.create({
    message: `The archive ${id} was made and read back, but it does not count as a good backup.${than} ${doubts.map(({ summary }) => summary).join('; ')}. ${remedy}`,
    type: 'verification-failed',
    nonRetryable: true,
    details: [{ code: 'verification-failed', remedy }],
  });
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

function secondCopy(host: string, run: string | undefined): Finding {
  const check = 'Copy off the host';
  if (run !== undefined) return { check, verdict: 'ok', summary: `It is copied off ${host} by the run ${run}.` };
  return {
    check,
    verdict: 'skipped',
    summary: `No copy of it leaves ${host}: the only one lies on the host itself, and is lost with it.`,
    remedy: 'Set BACKUP_RECIPIENTS to whom copies are encrypted; docs/copies.md says how.',
  };
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

function olderArchives({ whole, broken, unsealed = [] }: CheckedArchives): readonly Finding[] {
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

function describeLook(look: BackupLook): string {
  const free = `${readableBytes(look.freeBytes)} free`;
  if (!look.isInstalled) return `There is no installation; ${free}`;
  return `${look.entries} files and folders, ${readableBytes(look.bytes)}; ${free}`;
}

function describeHost({ parts }: CollectedHost): string {
  return sizeOf(parts);
}

function sizeOf(parts: CollectedHost['parts']): string {
  const files = parts.reduce((sum, one) => sum + one.files, 0);
  const bytes = parts.reduce((sum, one) => sum + one.bytes, 0);
  return `${files} ${files === 1 ? 'file' : 'files'}, ${readableBytes(bytes)}`;
}

function contents(look: BackupContents, copied?: CollectedHost): readonly Section[] {
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

function noSudoers(look: BackupContents): Finding {
  return {
    check: 'Sudoers',
    verdict: 'warning',
    summary: `${look.sudoers.path} isn't there, so it isn't in the archive`,
  };
}

function nothingThere(installation: string): Finding {
  return {
    check: 'Installation',
    verdict: 'skipped',
    summary: `There is no installation at ${installation} on this host, and no archive of one.`,
  };
}

/** A list of the host that may hold lines that nobody understands. */
interface Listed {
  readonly notUnderstood: number;
}

/** What else somebody put where the host's lists are read from; such lines are left alone. */
function listings({
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

function retention(plan: RetentionPlan, verb: 'Removed' | 'Would remove'): Section {
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
