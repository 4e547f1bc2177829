import { setTimeout as sleep } from 'node:timers/promises';
import { type Counters, type Disk, diskSpace, resourceCounters } from '../../hosts/commands/check-health/resources.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding, Verdict } from '../../operations/finding.ts';
import { readableBytes } from '../../reports/units.ts';
import { finding } from './finding.ts';
import { whereInstalled } from './installation.ts';
import {
  cpuSampleMs,
  cpuWarning,
  diskFailed,
  diskWarning,
  memoryFailed,
  memoryWarning,
  swapWarning,
} from './limits.ts';

export async function inspectMemoryAndCpu(host: Host, options: RunOptions): Promise<Finding[]> {
  const first = await host.run(resourceCounters, {}, options);
  await sleep(cpuSampleMs, undefined, options.signal ? { signal: options.signal } : {});
  const second = await host.run(resourceCounters, {}, options);
  return [...judgeMemory(second), cpu(first, second)];
}

export function judgeMemory({
  memory: total,
  memoryAvailable,
  swap = 0,
  swapFree = swap,
  arc = 0,
  arcMinimum = 0,
}: Omit<Counters, 'cpu'>): Finding[] {
  if (memoryAvailable === undefined) {
    return [finding('Memory', 'unknown', 'The kernel does not say how much memory is available.')];
  }
  // The ZFS cache gives way down to its minimum, but the kernel doesn't count it as available.
  const reclaimable = Math.max(0, arc - arcMinimum);
  const used = Math.max(0, total - memoryAvailable - reclaimable);
  const cache = reclaimable > 0 ? `, ZFS cache of ${readableBytes(reclaimable)} not counted` : '';
  const percent = (100 * used) / total;
  const lines = [
    finding(
      'Memory',
      level(percent, memoryWarning, memoryFailed),
      `${readableBytes(used)} of ${readableBytes(total)} used (${percent.toFixed(0)} %${cache}).`,
    ),
  ];
  if (swap > 0) {
    const swapped = swap - swapFree;
    const share = (100 * swapped) / swap;
    lines.push(
      finding(
        'Swap',
        share >= swapWarning ? 'warning' : 'ok',
        `${readableBytes(swapped)} of ${readableBytes(swap)} used (${share.toFixed(0)} %).`,
      ),
    );
  }
  return lines;
}

function cpu(first: Counters, second: Counters): Finding {
  const deltas = second.cpu.slice(0, 8).map((value, index) => value - (first.cpu[index] ?? 0));
  const total = deltas.reduce((sum, value) => sum + value, 0);
  // Waiting for disks (iowait) is idle time of the processor.
  const idle = (deltas[3] ?? 0) + (deltas[4] ?? 0);
  if (total <= 0) return finding('CPU', 'unknown', 'The counters of processor time stood still.');
  const percent = Math.min(100, Math.max(0, (100 * (total - idle)) / total));
  return judgeCpu(percent, 'over about a second');
}

export function judgeCpu(percent: number, when: string): Finding {
  return finding('CPU', percent >= cpuWarning ? 'warning' : 'ok', `${percent.toFixed(0)} % used ${when}.`);
}

/** What of a file system is judged. */
type Space = Pick<Disk, 'size' | 'used' | 'available'> & Partial<Disk>;

export function judgeRootDisk(disk: Space): Finding {
  return judgeDisk('Root disk', disk);
}

/**
 * Space and inodes of the root disk, of that of the installation, and of that of the backups when they are there. What
 * is on the root disk is told with it.
 */
export async function inspectDisks(host: Host, options: RunOptions): Promise<Finding[]> {
  const { installation, backups } = host.config.layout;
  const { disks, complaints } = await host.run(diskSpace, {}, options);
  const judge = (check: string, path: string, absent: Finding): Finding => {
    const disk = disks.find((one) => one.path === path);
    if (disk) return judgeDisk(check, disk);
    const complaint = complaints.find((one) => one.path === path);
    if (complaint?.isAbsent) return absent;
    return finding(check, 'unknown', `The disk of ${path} could not be looked at.`, { evidence: complaint?.words });
  };
  const [ofInstallation, ofBackups] = ['Disk of the installation', 'Disk of the backups'];
  const gone = finding(ofInstallation, 'failed', `${installation} is not there.`, {
    remedy: 'Check INSTALLATION_DIR, or whether its disk is mounted.',
  });
  const none = finding(ofBackups, 'skipped', `${backups} is not there yet.`);
  const root = disks.find(({ path }) => path === '/');
  const isOnRoot = (path: string) => {
    const disk = disks.find((one) => one.path === path);
    // Free space of two disks is hardly ever the same to the byte.
    return disk !== undefined && disk.size === root?.size && disk.available === root.available;
  };
  // That there is none is said where the installation is looked at.
  const inUse = isOnRoot(installation)
    ? []
    : await whereInstalled(host, options, ofInstallation, [judge(ofInstallation, installation, gone)]);
  return [
    root === undefined ? finding('Root disk', 'unknown', 'The root disk could not be looked at.') : judgeRootDisk(root),
    ...inUse.filter(({ verdict }) => verdict !== 'skipped'),
    ...(isOnRoot(backups) ? [] : [judge(ofBackups, backups, none)]),
  ];
}

function judgeDisk(check: string, disk: Space): Finding {
  // As df does: what root keeps for itself is neither used nor available.
  const percent = disk.used + disk.available === 0 ? 100 : (100 * disk.used) / (disk.used + disk.available);
  const { inodes: all = 0, freeInodes: free = 0 } = disk;
  const inodes = all > 0 ? (100 * (all - free)) / all : 0;
  const summary = `${readableBytes(disk.used)} of ${readableBytes(disk.size)} used (${percent.toFixed(0)} %), ${readableBytes(disk.available)} free.`;
  if (inodes > percent && inodes >= diskWarning) {
    return finding(
      check,
      level(inodes, diskWarning, diskFailed),
      `${inodes.toFixed(0)} % of its inodes are used; ${summary}`,
    );
  }
  return finding(check, level(percent, diskWarning, diskFailed), summary);
}

function level(percent: number, warning: number, failed: number): Verdict {
  if (percent >= failed) return 'failed';
  return percent >= warning ? 'warning' : 'ok';
}
