import { isCancellation, patched } from '@temporalio/workflow';
import type { HealthActivities } from '../activities/check-health/check-health.ts';
import type {
  GuestArchives,
  HostArchives,
  ListBackupsActivities,
  NextBackup,
  ServerArchives,
} from '../activities/list-backups/list-backups.ts';
import type { Finding } from '../operations/finding.ts';
import { type BackupEntry, listBackups as definition } from '../operations/list-backups.ts';
import type { Section } from '../operations/report.ts';
import { readableBytes, readableDuration, readableTime } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { failureOf } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';

/** A guest whose newest backup is that old is told. */
const lateAfterSeconds = 8 * 86_400;
/** How many last good backups of guests, and guests without one, are a line each. */
const linesAtMost = 40;

/**
 * What backups are there, whichever way the host is reached by. What can't be looked at is a line of the report; a host
 * that is away is one.
 */
export const listBackups = operationWorkflow(definition, async (run) => {
  const { host, vmid, limit } = run.input;
  const ask = <A>(summary: string) => onHost<A>(host, 'look', summary);
  const { findings, ways, hasProxmox, hasHelper } = await run.step('Host', (summary) =>
    onHost<HealthActivities>(host, 'reach', summary).reachHost({ host }),
  );
  const problems: Finding[] = findings.filter(({ verdict }) => verdict !== 'ok' && verdict !== 'skipped');
  const server = patched('backup-server') ? await serverBackups() : undefined;
  if (!ways.commands && !ways.api && server !== undefined) {
    for (const step of definition.steps.slice(1)) run.skip(step, 'It is a Proxmox Backup Server');
    const zone = await ask<ListBackupsActivities>("Look up the host's time zone").timeZoneOf({ host });
    const context: Context = { host, zone, labels: new Map() };
    const { backups, total, lastGood } = server;
    return {
      output: {
        lastGood: [...lastGood],
        withoutBackup: [],
        backups: [...backups],
        total,
        isComplete: isAllSeen(server),
      },
      summary: `${host} holds ${total} snapshots of ${lastGood.length} groups that have one which is not known to be damaged.`,
      sections: [
        { title: 'Last backups', findings: [...ofServer(context, server), ...problems] },
        ...(backups.length === 0 ? [] : [table(context, backups, total)]),
      ],
    };
  }
  if (!ways.commands && !ways.api) {
    for (const step of definition.steps.slice(1)) run.skip(step, 'The host does not answer');
    const known = await ask<HealthActivities>('Look up what was known last').inspectLastKnown({ host });
    return {
      output: { lastGood: [], withoutBackup: [], backups: [], total: 0, isComplete: false },
      summary: `${host} does not answer, so its backups could not be listed.`,
      sections: [{ title: 'Host', findings: [...new Set([...findings, ...problems])] }, known],
    };
  }

  const wantsHost = vmid === undefined;
  const asksNext = wantsHost && patched('next-backups');
  const [zone, archives, guests, next] = await Promise.all([
    ask<ListBackupsActivities>("Look up the host's time zone").timeZoneOf({ host }),
    look(
      'Archives',
      !wantsHost ? 'Only a guest was asked for' : !ways.commands ? noCommands : !hasHelper ? noHelper : undefined,
      (summary) => ask<ListBackupsActivities>(summary).listHostArchives({ host, limit }),
    ),
    look(
      'Guests',
      !hasProxmox ? 'There is no Proxmox VE on this host' : !ways.api && !hasHelper ? noHelper : undefined,
      (summary) => ask<ListBackupsActivities>(summary).listGuestBackups({ host, ways, vmid, limit }),
    ),
    asksNext ? nextBackups() : undefined,
  ]);
  // Each is bounded by itself: many guests a night would push the host's own archives out.
  const backups = [...(archives?.backups ?? []), ...(guests?.backups ?? []), ...(server?.backups ?? [])].sort((a, b) =>
    a.takenAt < b.takenAt ? 1 : a.takenAt > b.takenAt ? -1 : 0,
  );
  const lastGood = [
    ...(archives?.lastGood === undefined ? [] : [archives.lastGood]),
    ...(guests?.lastGood ?? []),
    ...(server?.lastGood ?? []),
  ];
  const total = (archives?.total ?? 0) + (guests?.total ?? 0) + (server?.total ?? 0);
  const isComplete =
    problems.every(({ verdict }) => verdict !== 'unknown' && verdict !== 'failed') &&
    (guests?.isComplete ?? true) &&
    (server === undefined || isAllSeen(server));
  const labels = new Map(guests?.labels.map(({ vmid: number, label }) => [number, label]) ?? []);
  const context: Context = { host, zone, labels };
  return {
    output: {
      lastGood,
      withoutBackup: (guests?.without ?? []).map(({ vmid: number }) => number),
      backups,
      total,
      isComplete,
      ...(next !== undefined && { next: [...next] }),
      ...(guests !== undefined && { guests: guestsOf(guests) }),
    },
    summary: summarize(context, { archives, guests, total, wantsHost }),
    sections: [
      {
        title: 'Last backups',
        findings: [
          ...(archives === undefined ? [] : ofHost(context, archives)),
          ...(guests === undefined ? [] : ofGuests(context, guests)),
          ...(server === undefined ? [] : ofServer(context, server)),
          ...(next ?? []).map((one) => ofSchedule(context, one)),
          ...problems,
        ],
      },
      ...(backups.length === 0 ? [] : [table(context, backups, total)]),
    ],
  };

  async function serverBackups(): Promise<ServerArchives | undefined> {
    try {
      return await ask<ListBackupsActivities>('Ask its backup server').listServerBackups({ host, vmid, limit });
    } catch (error) {
      if (isCancellation(error)) throw error;
      const { message, remedy } = failureOf(error);
      problems.push({ check: 'Backup server', verdict: 'unknown', summary: message, remedy });
      return undefined;
    }
  }

  /** What is there is worth more than what will be. */
  async function nextBackups(): Promise<readonly NextBackup[] | undefined> {
    try {
      return await ask<ListBackupsActivities>('Ask the schedules').nextBackups({ host });
    } catch (error) {
      if (isCancellation(error)) throw error;
      const { message, remedy } = failureOf(error);
      problems.push({ check: 'Schedules', verdict: 'unknown', summary: message, remedy });
      return undefined;
    }
  }

  /** What can't be had is a line of the report: `why` of what there is no way to, else what was said. */
  async function look<T>(
    step: string,
    why: string | undefined,
    act: (summary: string) => Promise<T>,
  ): Promise<T | undefined> {
    if (why !== undefined) {
      run.skip(step, why);
      const verdict = why === noHelper ? 'unknown' : 'skipped';
      problems.push({
        check: step,
        verdict,
        summary: `${why}.`,
        ...(why === noHelper && { remedy: `Run: npx proxmox-mcp host install ${host}` }),
      });
      return undefined;
    }
    try {
      return await run.step(step, act);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const { message, remedy } = failureOf(error);
      problems.push({ check: step, verdict: 'unknown', summary: message, remedy });
      return undefined;
    }
  }
});

const noCommands =
  'The archives of the host itself are listed only by commands on it, and it is reached by its API alone';
const noHelper = 'It is asked through the helper, which is not there or not well';

interface Context {
  readonly host: string;
  readonly zone: string;
  readonly labels: ReadonlyMap<number, string>;
}

function summarize(
  { host }: Context,
  {
    archives,
    guests,
    total,
    wantsHost,
  }: {
    readonly archives: HostArchives | undefined;
    readonly guests: GuestArchives | undefined;
    readonly total: number;
    readonly wantsHost: boolean;
  },
): string {
  const count = `There ${total === 1 ? 'is 1 backup' : `are ${total} backups`}.`;
  if (!wantsHost) {
    const [last] = guests?.lastGood ?? [];
    return last === undefined
      ? `No backup of this guest was found that is finished and not damaged. ${count}`
      : `The newest backup of this guest that is not known to be damaged is ${age(last)} old. ${count}`;
  }
  const own =
    archives === undefined
      ? ''
      : archives.lastGood === undefined
        ? `${host} itself has no good backup. `
        : `The last good backup of ${host} itself is ${age(archives.lastGood)} old. `;
  const [newest] = guests?.lastGood.toSorted((a, b) => a.ageSeconds - b.ageSeconds) ?? [];
  const without = guests?.without.length ?? 0;
  const ofGuests =
    guests === undefined
      ? ''
      : `${newest === undefined ? 'No guest has one' : `The last one of a guest is ${age(newest)} old`}${without === 0 || newest === undefined ? '' : `, and ${without} of them have none`}. `;
  return `${own}${ofGuests}${count}`;
}

function ofHost(
  context: Context,
  { lastGood, backups, folder, gone, goneCount, notUnderstood }: HostArchives,
): Finding[] {
  const check = `Host ${context.host}`;
  const again = `npx proxmox-mcp back-up --host ${context.host}`;
  const doubted = backups.filter(({ state }) => state === 'doubted').length;
  return [
    lastGood !== undefined
      ? { check, verdict: 'ok', summary: told(context, lastGood) }
      : {
          check,
          verdict: 'warning',
          summary: `There is no good backup of the host itself in ${folder}.${doubted === 0 ? '' : ` ${doubted} doubted ones are there.`}`,
          remedy:
            doubted === 0
              ? `Make one: ${again}`
              : `See what they lack: npx proxmox-mcp host accept-backup ${context.host}`,
        },
    ...(goneCount === 0
      ? []
      : [
          {
            check: 'Missing backups',
            verdict: 'warning',
            summary: `Published, and not there any more: ${gone.join(', ')}${goneCount > gone.length ? ` and ${goneCount - gone.length} more` : ''}.`,
          } as const,
        ]),
    ...(notUnderstood === 0
      ? []
      : [
          {
            check: 'List of backups',
            verdict: 'unknown',
            summary: `${notUnderstood} lines of the host's list are not understood.`,
            remedy: `If the helper there is of another version, run: npx proxmox-mcp host install ${context.host}`,
          } as const,
        ]),
  ];
}

function isAllSeen({ unseen }: ServerArchives): boolean {
  return unseen.length === 0;
}

/** Of each group its newest, as far as they are listed one by one. */
function ofServer(context: Context, { lastGood, unseen }: ServerArchives): Finding[] {
  const rest = lastGood.length - linesAtMost;
  return [
    ...lastGood
      .slice(0, linesAtMost)
      .map((one): Finding => ({ check: groupOf(one.name), verdict: 'ok', summary: told(context, one) })),
    ...(rest <= 0 ? [] : [{ check: 'Groups', verdict: 'ok', summary: `${rest} more have a backup.` } as const]),
    ...unseen.map(
      ({ where, why }): Finding => ({
        check: `Datastore ${where}`,
        verdict: 'unknown',
        summary: `Not all of its backups are listed. ${why}`,
        remedy: 'See the datastore on the page of the Proxmox Backup Server, and the rights of the API token there.',
      }),
    ),
  ];
}

/** `vm/100` */
function groupOf(name: string): string {
  return name.split('/').slice(0, 2).join('/');
}

/** With their names, and when each is backed up next. */
function guestsOf({ labels, next = [] }: GuestArchives) {
  const ofGuest = new Map(next.map(({ vmid, at, by }) => [vmid, { next: at, by }]));
  return labels.map(({ vmid, label }) => ({ vmid, label, ...ofGuest.get(vmid) }));
}

function ofSchedule({ zone }: Context, { schedule, at, paused }: NextBackup): Finding {
  const check = `Next by ${schedule.split('/').slice(0, 2).join(' ')}`;
  if (at !== undefined) return { check, verdict: 'ok', summary: readableTime(at, zone) };
  return {
    check,
    verdict: 'warning',
    summary: paused ? 'It is paused.' : 'It has no next time.',
    remedy: `Let it go on: npx proxmox-mcp schedules resume ${schedule}`,
  };
}

/** `service: 2026-11-22 05:00, encrypted bytes as written; nas` */
function copiesOf({ zone }: Context, { copies = [] }: BackupEntry): string {
  return copies
    .map(({ where, at, state, checkedAt, proves }) => {
      const how = state === 'whole' ? readableTime(at, zone) : state;
      const proof =
        checkedAt === undefined
          ? ''
          : `, ${proves === 'content' ? 'content' : 'encrypted bytes'} compared ${readableTime(checkedAt, zone)}`;
      return `${where}: ${how}${proof}`;
    })
    .join('; ');
}

function ofGuests(context: Context, { lastGood, without, unseen, next = [] }: GuestArchives): Finding[] {
  const nextOf = new Map(
    next.map((one) => [one.vmid, `. The next by ${one.by}: ${readableTime(one.at, context.zone)}`]),
  );
  const byNumber = lastGood.toSorted((a, b) => (a.vmid ?? 0) - (b.vmid ?? 0));
  const more = (count: number) => (count > linesAtMost ? `${count - linesAtMost} more` : undefined);
  const rest = more(byNumber.length);
  return [
    ...byNumber.slice(0, linesAtMost).map(
      (one): Finding =>
        one.ageSeconds > lateAfterSeconds
          ? {
              check: labelOf(context, one),
              verdict: 'warning',
              summary: `${told(context, one)}${nextOf.get(one.vmid ?? 0) ?? ''}`,
              remedy: 'See why there is no newer one (Datacenter > Backup), then back it up (back-up-guest).',
            }
          : {
              check: labelOf(context, one),
              verdict: 'ok',
              summary: `${told(context, one)}${nextOf.get(one.vmid ?? 0) ?? ''}`,
            },
    ),
    ...(rest === undefined ? [] : [{ check: 'Guests', verdict: 'ok', summary: `${rest} have a backup.` } as const]),
    ...(without.length === 0
      ? []
      : [
          {
            check: 'Guests without a backup',
            verdict: 'warning',
            summary: `${without
              .slice(0, linesAtMost)
              .map(({ label }) => label)
              .join(', ')}${without.length > linesAtMost ? ` and ${more(without.length)}` : ''}.`,
            remedy: 'Add them to a job under Datacenter > Backup, or back one up on the host: vzdump NUMBER',
          } as const,
        ]),
    ...unseen.map(
      ({ storage, state, why = '' }): Finding => ({
        check: `Storage ${storage}`,
        verdict: 'unknown',
        summary: `Its backups are ${state === 'read' ? 'not all listed' : 'not listed'}. ${why}`.trim(),
        remedy: 'See Datacenter > Storage, and the rights of the API token.',
      }),
    ),
  ];
}

function age({ ageSeconds }: BackupEntry): string {
  return readableDuration(ageSeconds * 1000);
}

function labelOf({ labels }: Context, { vmid, name }: BackupEntry): string {
  return vmid === undefined ? groupOf(name) : (labels.get(vmid) ?? `Guest ${vmid}`);
}

function told({ zone }: Context, entry: BackupEntry): string {
  const size = entry.bytes === undefined ? '' : `, ${readableBytes(entry.bytes)}`;
  return `${age(entry)} ago (${readableTime(entry.takenAt, zone)}${size}, ${verifiedWords[entry.state]}): ${entry.name} in ${entry.where}`;
}

const verifiedWords: Readonly<Record<BackupEntry['state'], string>> = {
  verified: 'verified',
  doubted: 'doubted: holds less than the last good one',
  changed: 'changed since it was published',
  unsealed: 'unsealed: its manifest or the seal of it is not what was published',
  unproven: 'unproven: the host has no record of it',
  damaged: 'damaged: the backup server found it so',
  unfinished: 'unfinished: being written, cut off or empty',
  'not-verified': 'not verified',
};

function table(context: Context, backups: readonly BackupEntry[], total: number): Section {
  return {
    title: total > backups.length ? `Backups, the newest ${backups.length} of ${total}` : 'Backups',
    columns: ['Taken', 'Age', 'Of', 'Size', 'Took', 'Verified', 'Copies', 'Name', 'Where'],
    rows: backups.map((one) => [
      readableTime(one.takenAt, context.zone),
      age(one),
      one.kind === 'host' ? `Host ${context.host}` : labelOf(context, one),
      one.bytes === undefined ? '' : readableBytes(one.bytes),
      one.tookSeconds === undefined ? '' : readableDuration(one.tookSeconds * 1000),
      one.state === 'verified'
        ? one.kind === 'host'
          ? 'by the host itself'
          : 'by the backup server'
        : verifiedWords[one.state],
      copiesOf(context, one),
      one.name,
      one.where,
    ]),
  };
}
