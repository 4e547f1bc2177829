import { isServiceError } from '../../errors.ts';
import { failedUnits, pendingUpdates, runningState, updateMarks } from '../../hosts/commands/check-health/upkeep.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableDuration } from '../../reports/units.ts';
import { finding } from './finding.ts';
import { loadWarning, packageListsDays } from './limits.ts';
import { judgeCpu, judgeMemory, judgeRootDisk } from './resources.ts';

const day = 86_400_000;
/** How many names one finding holds. */
const most = 8;

export async function inspectFailedUnits(host: Host, options: RunOptions): Promise<Finding> {
  const { units } = await host.run(failedUnits, {}, options);
  return judgeFailedUnits(units);
}

export function judgeFailedUnits(units: readonly string[] | undefined): Finding {
  const check = 'Failed units';
  if (units === undefined) return finding(check, 'skipped', "This host doesn't run systemd.");
  if (units.length === 0) return finding(check, 'ok', 'No unit of systemd has failed.');
  const names = units.map((unit) => cleanLine(unit, 100));
  const summary = `${units.length === 1 ? 'This unit of systemd has' : `${units.length} units of systemd have`} failed: ${namesOf(names)}.`;
  return finding(check, 'failed', summary, {
    remedy: `Run on the host: systemctl status ${names[0]}; once it is put right: systemctl reset-failed`,
  });
}

export async function inspectLoad(host: Host, options: RunOptions): Promise<Finding> {
  const { load, cpus } = await host.run(runningState, {}, options);
  return judgeLoad(load, cpus);
}

export function judgeLoad(load: readonly number[], cpus: number): Finding {
  const [one = 0, five = 0, fifteen = 0] = load;
  const all = [one, five, fifteen].map((value) => value.toFixed(2)).join(', ');
  const busy = fifteen / Math.max(1, cpus);
  const summary = `Load ${all} (1, 5, 15 minutes) on ${cpus === 1 ? 'one processor' : `${cpus} processors`}.`;
  if (busy < loadWarning) return finding('Load', 'ok', summary);
  return finding('Load', 'warning', `${summary} Work has waited for a quarter of an hour.`, {
    remedy: 'Run on the host: top; a storage that hangs raises the load, too (processes in state D)',
  });
}

export async function inspectUpdates(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  const [{ hasApt, updates }, marks, running] = await Promise.all([
    host.run(pendingUpdates, {}, options),
    host.run(updateMarks, {}, options),
    host.run(runningState, {}, options),
  ]);
  return [
    hasApt
      ? judgeUpdates(updates, listsMadeAt(marks), Date.now())
      : finding('Updates', 'skipped', 'This host has no apt, so nothing is known of its updates.'),
    judgeRestart(marks, running),
  ];
}

type Marks = readonly { readonly path: string; readonly changedAt: number; readonly writtenAt: number }[];

/** When apt last made its lists, in ms since 1970; undefined: it never has. */
export function listsMadeAt(marks: Marks): number | undefined {
  const lists = marks.filter(
    ({ path }) => path.startsWith('/var/lib/apt/lists/') && /_(InRelease|Release|Packages)/.test(path),
  );
  if (lists.length === 0) return undefined;
  const others = marks.filter(({ path }) =>
    ['/var/lib/apt/lists', '/var/lib/apt/lists/partial', '/var/lib/apt/periodic/update-success-stamp'].includes(path),
  );
  return Math.max(...[...lists, ...others].map(({ changedAt }) => changedAt)) * 1000;
}

export function judgeUpdates(
  updates: readonly { readonly name: string; readonly isSecurity: boolean }[],
  listsAt: number | undefined,
  now: number,
): Finding {
  const check = 'Updates';
  if (listsAt === undefined) {
    return finding(check, 'skipped', 'apt has no package lists here, so nothing is known of updates.', {
      remedy: 'Run on the host: apt update',
    });
  }
  const ageMs = Math.max(0, now - listsAt);
  const as = `by package lists ${readableDuration(ageMs)} old`;
  const security = updates.filter(({ isSecurity }) => isSecurity);
  const remedy = 'Run on the host: apt update && apt full-upgrade';
  if (ageMs > packageListsDays * day) {
    const known = updates.length === 0 ? 'none' : String(updates.length);
    return finding(
      check,
      'warning',
      `The package lists are ${readableDuration(ageMs)} old, so updates may be missing: ${known} known.`,
      {
        remedy: 'Run on the host: apt update; and see why nothing does it by itself: systemctl list-timers',
      },
    );
  }
  if (updates.length === 0) return finding(check, 'ok', `Nothing is to be upgraded, ${as}.`);
  const evidence = updates
    .slice(0, 100)
    .map(({ name, isSecurity }) => `${cleanLine(name, 100)}${isSecurity ? ' (security)' : ''}`)
    .join('\n');
  const counted = updates.length === 1 ? 'One package is' : `${updates.length} packages are`;
  if (security.length === 0) {
    // Nobody is red every morning for a translation that was mended.
    return finding(check, 'ok', `${counted} to be upgraded, none for security, ${as}.`, { evidence });
  }
  const names = namesOf(security.map(({ name }) => cleanLine(name, 100)));
  const summary = `${counted} to be upgraded, ${security.length} for security (${names}), ${as}.`;
  return finding(check, 'warning', summary, { remedy, evidence });
}

/** Whether the system asks for a restart, or runs an older kernel than it has got since it was started. */
export function judgeRestart(
  marks: Marks,
  { kernel, bootedAt }: { readonly kernel: string; readonly bootedAt: number },
): Finding {
  const check = 'Restart needed';
  const remedy = 'Restart the host when its guests can be without it.';
  if (marks.some(({ path }) => path === '/run/reboot-required')) {
    return finding(check, 'warning', 'The system asks for a restart (/run/reboot-required).', { remedy });
  }
  const kernels = marks.flatMap(({ path, changedAt }) => {
    const version = /^\/boot\/vmlinuz-([A-Za-z0-9.+~_-]{1,100})$/.exec(path)?.[1];
    return version === undefined ? [] : [{ version, changedAt }];
  });
  const since = kernels.filter(({ version, changedAt }) => changedAt > bootedAt && isNewer(version, kernel));
  const newest = since
    .map(({ version }) => version)
    .sort((a, b) => (isNewer(a, b) ? 1 : -1))
    .at(-1);
  if (newest !== undefined) {
    return finding(
      check,
      'warning',
      `${cleanLine(kernel, 100)} runs, and ${newest} was installed since the last start.`,
      { remedy },
    );
  }
  return finding(check, 'ok', 'Nothing asks for a restart.');
}

/** Whether a kernel's version is a later one: its numbers are compared in order. */
function isNewer(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) =>
    text
      .split(/[^0-9]+/)
      .filter((part) => part !== '')
      .map(Number),
  );
  for (let index = 0; index < Math.max(a?.length ?? 0, b?.length ?? 0); index += 1) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** The same of a host that has only an API, as far as that tells it. */
export async function inspectNode(reader: ProxmoxReader): Promise<readonly Finding[]> {
  const { memory, swap, cpu, loadavg, cpuinfo, rootfs } = await reader.read('status');
  return [
    ...judgeMemory({
      memory: memory.total,
      memoryAvailable: Math.max(0, memory.total - memory.used),
      swap: swap.total,
      swapFree: swap.free,
    }),
    judgeCpu(cpu * 100, 'now'),
    judgeRootDisk({ size: rootfs.total, used: rootfs.used, available: rootfs.avail }),
    judgeLoad(loadavg, cpuinfo.cpus),
    await inspectNodeUpdates(reader),
    finding(
      'Units and restart',
      'skipped',
      'Failed units, and whether a restart is needed, are told only by commands on the host.',
    ),
  ];
}

async function inspectNodeUpdates(reader: ProxmoxReader): Promise<Finding> {
  try {
    const updates = await reader.read('updates');
    if (updates.length === 0)
      return finding('Updates', 'ok', 'Nothing is to be upgraded, by the node’s package lists.');
    const security = updates.filter(({ Origin = '', Package }) => /security/i.test(`${Origin} ${Package}`)).length;
    const evidence = updates
      .slice(0, 100)
      .map(({ Package, Version = '' }) => cleanLine(`${Package} ${Version}`, 150))
      .join('\n');
    const counted = updates.length === 1 ? 'One package is' : `${updates.length} packages are`;
    const more = security > 0 ? `, ${security} for security` : '; the API does not say which for security';
    return finding('Updates', security > 0 ? 'warning' : 'ok', `${counted} to be upgraded${more}.`, { evidence });
  } catch (error) {
    // The right to change the node, which a token that only looks shouldn't have.
    if (!isServiceError(error, 'proxmox-permission')) throw error;
    return finding(
      'Updates',
      'skipped',
      'The API tells updates only to an API token with Sys.Modify, which is more than looking needs.',
    );
  }
}

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
