import { type Archive, type Backups, listBackups } from '../../hosts/commands/back-up/archives.ts';
import { clockToleranceMs, lastGood } from '../../hosts/commands/back-up/last-good.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Seals } from '../../hosts/seals.ts';
import { takenAt } from '../../operations/backup-id.ts';
import type { Finding } from '../../operations/finding.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableDuration, readableTime } from '../../reports/units.ts';
import { fingerprintOf } from '../../ssh-wire.ts';
import { finding } from './finding.ts';
import { isInstalled } from './installation.ts';
import { backupFailedHours, backupWarningHours, clockFailedMs } from './limits.ts';

const hour = 3_600_000;

interface BackupOptions extends RunOptions {
  /** What is known of the keys with which hosts seal manifests. */
  readonly seals?: Seals | undefined;
  /** Since when the service is to back the host up, in ms since 1970. */
  readonly knownSince?: () => Promise<number | undefined>;
}

/** What the host itself knows of its archives, and whether its clock can be believed. */
export async function inspectBackups(host: Host, { knownSince, seals, ...options }: BackupOptions): Promise<Finding[]> {
  const asked = Date.now();
  const backups = await host.run(listBackups, {}, options);
  const answered = Date.now();
  const place = { host: host.name, timeZone: host.config.timeZone, ...host.config.layout };
  const { archives, gone, elsewhere } = backups;
  const hasNone = archives.length + gone.length + elsewhere.length === 0;
  const good =
    hasNone && !(await isInstalled(host, options))
      ? judgeNone(host.name, { since: await knownSince?.(), now: answered })
      : judgeLastGood(backups, place);
  return [
    good,
    ...judgeArchives(backups, place),
    ...(seals === undefined ? [] : judgeSeal(seals, host.name, backups.sealKey)),
    judgeClock(backups.now, { from: asked, to: answered }),
  ];
}

/**
 * A host of which there was never any archive: nothing is wrong with that in its first days. Where the service is to back
 * it up for longer, none has ever come about.
 */
export function judgeNone(
  host: string,
  { since, now }: { readonly since: number | undefined; readonly now: number },
): Finding {
  const check = 'Last good backup';
  const remedy = `Make one: npx proxmox-mcp back-up --host ${host}`;
  const ageMs = since === undefined ? 0 : now - since;
  if (ageMs < backupFailedHours * hour)
    return finding(check, 'skipped', 'No backup of this host has been made yet.', { remedy });
  const summary = `No backup of this host was ever made, in the ${readableDuration(ageMs)} since its backups were scheduled.`;
  return finding(check, 'failed', summary, {
    remedy: `${remedy}; then see why the scheduled ones did not: npx proxmox-mcp runs list`,
  });
}

interface Place {
  readonly host: string;
  /** IANA name. */
  readonly timeZone?: string;
  readonly backups: string;
  readonly state: string;
}

/** Whether the host seals what it says of archives with the key that it had; of one that has none yet nothing. */
export function judgeSeal(seals: Seals, host: string, key: string | undefined): Finding[] {
  const check = 'Key of the seals';
  const known = seals.pinned(host);
  const remedy = `Look at the host: it was installed anew, or is not the one that it says it is. If it is right: npx proxmox-mcp host install ${host}`;
  if (key === undefined) {
    if (known === undefined) return [];
    return [
      finding(check, 'failed', 'The host had a key with which it seals its archives, and has none now.', { remedy }),
    ];
  }
  if (seals.judge(host, key) !== 'other') return [finding(check, 'ok', fingerprintOf(key))];
  const summary = `The host seals its archives with ${fingerprintOf(key)}, and not with ${fingerprintOf(known ?? '')} as before.`;
  return [finding(check, 'failed', summary, { remedy })];
}

/** Whether there is an archive that counts, and whether it is young enough for a backup each night. */
export function judgeLastGood(backups: Backups, { host, timeZone }: Place): Finding {
  const check = 'Last good backup';
  const remedy = `Make one: npx proxmox-mcp back-up --host ${host}; then see why the nightly one did not: npx proxmox-mcp runs list`;
  const last = lastGood(backups);
  if (last?.publishedAt === undefined) {
    const others = backups.archives.length;
    const beside = others === 0 ? '' : ` ${others} that do not count are there.`;
    return finding(check, 'failed', `There is no archive that the host itself has verified.${beside}`, { remedy });
  }
  const ageMs = Date.parse(backups.now) - Date.parse(last.publishedAt);
  const summary = `${last.id} was published ${readableDuration(ageMs)} ago, ${readableTime(last.publishedAt, timeZone)}.`;
  if (ageMs >= backupFailedHours * hour) return finding(check, 'failed', summary, { remedy });
  if (ageMs >= backupWarningHours * hour) return finding(check, 'warning', summary, { remedy });
  return finding(check, 'ok', summary);
}

/** One finding for each thing that is wrong with archives, with their names; none where nothing is. */
export function judgeArchives(answer: Backups, { host, backups, state }: Place): Finding[] {
  const again = `npx proxmox-mcp back-up --host ${host}`;
  const inState = (wanted: Archive['state']) => answer.archives.filter((one) => one.state === wanted).map(idOf);
  const latest = Date.parse(answer.now) + clockToleranceMs;
  const ofFuture = answer.archives.filter(({ id, publishedAt = answer.now }) => {
    // A date that no calendar has is as little worth.
    return !(takenAt(id) <= latest) || Date.parse(publishedAt) > latest;
  });
  return [
    ...listed('Changed backups', 'failed', inState('changed'), 'is not what was published any more', (ids) => ({
      remedy: `Make a new one: ${again}. See on the host when they were written: ls -l ${files(backups, ids)}`,
    })),
    ...listed('Seals of backups', 'failed', inState('unsealed'), 'has lost its manifest, or the seal of it', (ids) => ({
      remedy: `Make a new one: ${again}. See on the host what is there: ls -l ${files(backups, ids)}`,
    })),
    ...listed('Doubted backups', 'warning', inState('doubted'), 'holds less than the last good one did', (ids) => ({
      remedy: `See what is missing, and accept it if that is meant: npx proxmox-mcp host accept-backup ${host} ${ids.at(-1)}`,
    })),
    ...listed('Missing backups', 'warning', answer.gone, 'was published and is gone', (ids) => ({
      remedy: `Put back what was moved away (${backups}); for one that is not missed, run on the host: rm -r ${ids.map((id) => word(`${state}/backups/${id}`)).join(' ')}`,
    })),
    ...listed('Backups elsewhere', 'warning', answer.elsewhere.map(idOf), 'lies in a former folder', (ids) => {
      const shown = answer.elsewhere.filter(({ id }) => ids.includes(id));
      const moves = shown.map(({ id, folder }) => `mv -n ${files(folder, [id])} ${word(`${backups}/`)}`);
      return {
        remedy: `Retention does not look there. Run on the host: ${moves.join('; ')}`,
        evidence: shown.map(({ id, folder }) => `${folder}/${id}`).join('\n'),
      };
    }),
    ...listed(
      'Dates of backups',
      'warning',
      ofFuture.map(idOf),
      "has a date of the future by the host's clock",
      () => ({
        remedy: `Set the clock of the host right (timedatectl), then make a new one: ${again}`,
      }),
    ),
    ...(answer.unsafe === undefined ? [] : [unsafe(answer.unsafe)]),
    ...(answer.notUnderstood === 0 ? [] : [strange(answer.notUnderstood, host, backups)]),
  ];
}

function idOf({ id }: { readonly id: string }): string {
  return id;
}

/** How many names one finding holds. */
const most = 5;

function listed(
  check: string,
  verdict: 'warning' | 'failed',
  ids: readonly string[],
  what: string,
  more: (shown: readonly string[]) => Pick<Finding, 'remedy' | 'evidence'>,
): Finding[] {
  if (ids.length === 0) return [];
  // The newest count most.
  const shown = [...ids].sort().slice(-most);
  const rest = ids.length > shown.length ? ` and ${ids.length - shown.length} more` : '';
  const { remedy, evidence } = more(shown);
  const summary = ids.length === 1 ? `${ids[0]} ${what}.` : `Each of these ${what}: ${shown.join(', ')}${rest}.`;
  return [finding(check, verdict, summary, { ...(remedy !== undefined && { remedy }), evidence })];
}

function unsafe(path: string): Finding {
  const summary = `Others than root may remove archives by way of ${cleanLine(path, 300)}.`;
  const remedy = `Run on the host: chown root:root ${word(path)}; chmod go-w ${word(path)}`;
  return finding('Folder of the backups', 'warning', summary, { remedy });
}

function strange(lines: number, host: string, backups: string): Finding {
  const summary = `${lines} lines of the host's list of archives are not understood.`;
  const remedy = `If the helper there is of another version, run: npx proxmox-mcp host install ${host}. Else look on the host at what is named like an archive: ls -la ${word(backups)}`;
  return finding('List of backups', 'unknown', summary, { remedy });
}

/**
 * The host's clock against this service's.
 *
 * @param now the host's time, ISO 8601
 * @param asked when it was asked and when it had answered, in ms since 1970: it looked somewhere between
 */
export function judgeClock(now: string, asked: { readonly from: number; readonly to: number }): Finding {
  const check = 'Clock';
  // The host says whole seconds.
  const there = Date.parse(now);
  const ahead = Math.max(0, there - asked.to);
  const behind = Math.max(0, asked.from - (there + 1_000));
  const off = Math.max(ahead, behind);
  if (off <= clockToleranceMs) return finding(check, 'ok', "The host's clock agrees with this service's.");
  const summary = `The host's clock is ${readableDuration(off)} ${ahead > 0 ? 'ahead of' : 'behind'} this service's: it says ${readableTime(now)}.`;
  return finding(check, off > clockFailedMs ? 'failed' : 'warning', summary, {
    remedy: 'Run on both machines, and set right the one that is wrong: timedatectl',
  });
}

/** The files of archives in a command to be typed. */
function files(folder: string, ids: readonly string[]): string {
  return ids.map((id) => `${word(`${folder}/${id}`)}.*`).join(' ');
}

/** One word of a shell, for a person to type. What was taken out of it to be shown makes it name nothing. */
function word(path: string): string {
  const shown = cleanLine(path, 4_096);
  return /^[A-Za-z0-9_/.@+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}
