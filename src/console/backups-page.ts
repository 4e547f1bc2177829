import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { kindOfBackup } from '../operations/backup-id.ts';
import { type BackupEntry, listBackups } from '../operations/list-backups.ts';
import type { Requester } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableBytes, readableDuration } from '../reports/units.ts';
import { schedulePagePath } from '../run-url.ts';
import type { Runs } from '../runs/runs.ts';
import { keptByKey } from './kept.ts';
import { plotOf } from './plot.ts';
import { readRun } from './read-run.ts';
import { type Badge, limits, momentsAt, pageOf } from './words.ts';

/** How long an answer of a host serves. */
const keptMs = 60_000;
/** As many as the operation lists at most. */
const listed = 200;

/** Where the backups of a host are shown, or one of them. */
export function backupsPath(query: Readonly<Record<string, string>>): string {
  return `/backups?${new URLSearchParams(query)}`;
}

/** Asks hosts for their backups, each at most once a minute, on behalf of who looks. */
export function createBackupsReader(runs: Pick<Runs, 'start' | 'wait'>) {
  const found = new Map<string, ReturnType<typeof keptByKey<Awaited<ReturnType<typeof read>>>>>();
  const read = (host: string, by: Requester) => readRun(runs, listBackups, { host, limit: listed }, by);
  return (host: string, by: Requester) => {
    const kept = found.get(by.name) ?? keptByKey(keptMs, (name: string) => read(name, by));
    found.set(by.name, kept);
    return kept(host);
  };
}

/** The page at `/backups`. */
export async function backupsView(
  read: ReturnType<typeof createBackupsReader>,
  config: Config,
  query: URLSearchParams,
  by: Requester,
  now = Date.now(),
) {
  const here = config.hosts.filter(({ isElsewhere }) => !isElsewhere);
  const host = here.find(({ name }) => name === query.get('host')) ?? here[0];
  if (host === undefined) {
    throw new ServiceError({
      code: 'not-found',
      message: 'No host is configured',
      remedy: 'Add one: npx proxmox-mcp host add',
    });
  }
  const { name, timeZone } = host;
  const moment = momentsAt(now);
  const common = {
    host: name,
    hosts: here.map((one) => ({
      name: one.name,
      page: backupsPath({ host: one.name }),
      isShown: one.name === name,
    })),
  };
  try {
    const { backups: newest, next = [], guests = [], lastGood, withoutBackup, isComplete } = await read(name, by);
    // The last good one of each may be older than all that are listed.
    const listedOnes = new Set(newest.map((one) => `${one.where} ${one.name}`));
    const backups = [...newest, ...lastGood.filter((one) => !listedOnes.has(`${one.where} ${one.name}`))];
    const labels = new Map(guests.map((one) => [one.vmid, cleanLine(one.label, limits.word)]));
    const labelOf = (vmid: number) => labels.get(vmid) ?? `Guest ${vmid}`;
    const nextOf = new Map(guests.map((one) => [one.vmid, one]));
    const own = backups.filter(({ kind }) => kind === 'host');
    const counts = ({ state }: BackupEntry) => state === 'verified';
    const plots = [
      plotOf(
        'Size',
        own.flatMap((one) =>
          one.bytes === undefined ? [] : { at: one.takenAt, value: one.bytes, counts: counts(one) },
        ),
        readableBytes,
        timeZone,
      ),
      plotOf(
        'Duration',
        own.flatMap((one) =>
          one.tookSeconds === undefined ? [] : { at: one.takenAt, value: one.tookSeconds, counts: counts(one) },
        ),
        (seconds) => readableDuration(seconds * 1_000),
        timeZone,
      ),
    ].filter((one) => one !== undefined);
    const numbers = [...new Set(backups.flatMap(({ vmid }) => vmid ?? []))].sort((a, b) => a - b);
    const groups = [
      { of: `Host ${name}`, all: own, due: undefined },
      ...numbers.map((vmid) => ({
        of: labelOf(vmid),
        all: backups.filter((one) => one.vmid === vmid),
        due: nextOf.get(vmid),
      })),
    ].filter(({ all }) => all.length > 0);
    return {
      ...common,
      plots,
      next: next.map(({ schedule, at, paused }) => ({
        schedule,
        paused,
        page: pageOf(schedule, schedulePagePath),
        ...(at !== undefined && { when: moment(at, timeZone) }),
      })),
      isComplete,
      without: withoutBackup.map((vmid) => {
        const due = nextOf.get(vmid)?.next;
        return { of: labelOf(vmid), ...(due !== undefined && { next: moment(due, timeZone) }) };
      }),
      // What can be looked into and compared: what the host has a sealed manifest of.
      own: own.filter(({ where }) => where !== '').map((one) => one.name),
      groups: groups.map(({ of, all, due }) => ({
        of,
        ...(due?.next !== undefined && { next: moment(due.next, timeZone), by: cleanLine(due.by ?? '', limits.word) }),
        entries: all.map((one) => entryView(one, timeZone, moment, name)),
      })),
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return {
      ...common,
      plots: [],
      next: [],
      groups: [],
      without: [],
      own: [],
      isComplete: true,
      problem: cleanLine(explain(error), limits.question),
    };
  }
}

const badges: Readonly<Record<BackupEntry['state'], Badge>> = {
  verified: { verdict: 'ok', word: 'verified' },
  doubted: { verdict: 'warning', word: 'doubted' },
  changed: { verdict: 'failed', word: 'changed' },
  unsealed: { verdict: 'failed', word: 'unsealed' },
  unproven: { verdict: 'unknown', word: 'unproven' },
  damaged: { verdict: 'failed', word: 'damaged' },
  unfinished: { verdict: 'warning', word: 'unfinished' },
  'not-verified': { verdict: 'unknown', word: 'not verified' },
};

function entryView(entry: BackupEntry, timeZone: string, moment: ReturnType<typeof momentsAt>, host: string) {
  const { name, takenAt, bytes, tookSeconds, state, checkedAt, copies = [], where } = entry;
  return {
    name: cleanLine(name, limits.note),
    where: cleanLine(where, limits.note),
    ...(entry.kind === 'host' && { page: backupsPath({ host, backup: name }) }),
    kind: kindOfBackup(name) ?? (entry.kind === 'guest' ? 'guest' : ''),
    when: moment(takenAt, timeZone),
    size: bytes === undefined ? '' : readableBytes(bytes),
    took: tookSeconds === undefined ? '' : readableDuration(tookSeconds * 1_000),
    state: badges[state],
    ...(checkedAt !== undefined && { checked: moment(checkedAt, timeZone) }),
    copies: copies.map(({ where: place, state: of, checkedAt: at, proves }) => ({
      state:
        of === 'whole'
          ? ({ verdict: 'ok', word: place } as const)
          : ({ verdict: 'failed', word: `${place}: ${of}` } as const),
      text:
        at === undefined
          ? ''
          : `${proves === 'content' ? 'content' : 'encrypted bytes'} compared ${moment(at, timeZone).relative}`,
    })),
  };
}
