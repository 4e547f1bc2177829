import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding, Verdict } from '../../operations/finding.ts';
import { readableBytes } from '../../reports/units.ts';
import { isMissing } from '../lib/output.ts';
import { finding, unexpected } from './finding.ts';
import {
  cpuSampleMs,
  cpuWarning,
  diskFailed,
  diskWarning,
  memoryFailed,
  memoryWarning,
  swapWarning,
} from './limits.ts';

/** Memory and processor from the kernel's own counters: they know no language and no column widths. */
export async function lookAtMemoryAndCpu(host: Host, options: RunOptions): Promise<Finding[]> {
  const first = await readCounters(host, options);
  await sleep(cpuSampleMs, undefined, options.signal ? { signal: options.signal } : {});
  const second = await readCounters(host, options);
  return [...memory(second), cpu(first, second)];
}

interface Counters {
  readonly bytes: ReadonlyMap<string, number>;
  /** user, nice, system, idle, iowait, irq, softirq, steal; see proc_stat(5). */
  readonly cpu: readonly number[];
}

async function readCounters(host: Host, options: RunOptions): Promise<Counters> {
  const result = await host.run('resourceCounters', {}, options);
  const bytes = new Map<string, number>();
  let cpuTimes: readonly number[] = [];
  for (const line of result.stdout.split('\n')) {
    const [key, ...values] = line.trim().split(/\s+/);
    if (key === 'cpu') cpuTimes = values.map(Number);
    // /proc/meminfo counts in kB; the ZFS cache's "name type data" lines in bytes.
    else if (key?.endsWith(':')) bytes.set(key.slice(0, -1), Number(values[0]) * 1024);
    else if (key === 'size' || key === 'c_min') bytes.set(`arc ${key}`, Number(values[1]));
  }
  if (cpuTimes.length < 4 || !bytes.has('MemTotal')) throw unexpected('/proc', `${result.stdout}${result.stderr}`);
  return { bytes, cpu: cpuTimes };
}

function memory({ bytes }: Counters): Finding[] {
  const total = bytes.get('MemTotal') ?? 0;
  const available = bytes.get('MemAvailable');
  if (available === undefined || total <= 0) {
    return [finding('Memory', 'unknown', 'The kernel does not say how much memory is available.')];
  }
  // The ZFS cache gives way down to its minimum, but the kernel doesn't count it as available.
  const reclaimable = Math.max(0, (bytes.get('arc size') ?? 0) - (bytes.get('arc c_min') ?? 0));
  const used = Math.max(0, total - available - reclaimable);
  const cache = reclaimable > 0 ? `, ZFS cache of ${readableBytes(reclaimable)} not counted` : '';
  const percent = (100 * used) / total;
  const lines = [
    finding(
      'Memory',
      level(percent, memoryWarning, memoryFailed),
      `${readableBytes(used)} of ${readableBytes(total)} used (${percent.toFixed(0)} %${cache}).`,
    ),
  ];
  const swap = bytes.get('SwapTotal') ?? 0;
  if (swap > 0) {
    const swapped = swap - (bytes.get('SwapFree') ?? swap);
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
  return finding('CPU', percent >= cpuWarning ? 'warning' : 'ok', `${percent.toFixed(0)} % used over about a second.`);
}

const count = z.coerce.number().nonnegative();
/** One line of `df --output=size,used,avail,itotal,iavail,file`; file systems without inodes print `-`. */
const diskLine = z.object({
  size: count,
  used: count,
  available: count,
  inodes: count.or(z.literal('-')),
  freeInodes: count.or(z.literal('-')),
  file: z.string().startsWith('/'),
});

/** Space and inodes where the installation is, and where the backups are when they are there. */
export async function lookAtDisk(host: Host, options: RunOptions): Promise<Finding[]> {
  const { installation, backups } = host.config.layout;
  const result = await host.run('diskSpace', {}, options);
  if (isMissing(result)) throw unexpected('df', result.stderr);
  const rows = new Map<string, z.infer<typeof diskLine>>();
  for (const line of result.stdout.split('\n').slice(1)) {
    const [size, used, available, inodes, freeInodes, ...file] = line.trim().split(/\s+/);
    if (size === undefined || size === '') continue;
    const parsed = diskLine.safeParse({ size, used, available, inodes, freeInodes, file: file.join(' ') });
    if (!parsed.success) throw unexpected('df', line);
    rows.set(parsed.data.file, parsed.data);
  }
  const said = (path: string) => result.stderr.split('\n').find((line) => line.includes(path));
  return [
    disk('Disk of the installation', installation, rows.get(installation), 'failed', said(installation)),
    disk('Disk of the backups', backups, rows.get(backups), 'skipped', said(backups)),
  ];
}

function disk(
  check: string,
  path: string,
  row: z.infer<typeof diskLine> | undefined,
  absent: Verdict,
  said: string | undefined,
): Finding {
  if (!row) {
    const missing = said?.includes('No such file') === true;
    return missing
      ? finding(check, absent, `${path} is not there${absent === 'skipped' ? ' yet' : ''}.`)
      : finding(check, 'unknown', `The disk of ${path} could not be looked at.`, said);
  }
  // As df does: what root keeps for itself is neither used nor available.
  const percent = row.used + row.available === 0 ? 100 : (100 * row.used) / (row.used + row.available);
  const inodes =
    typeof row.inodes === 'number' && typeof row.freeInodes === 'number' && row.inodes > 0
      ? (100 * (row.inodes - row.freeInodes)) / row.inodes
      : 0;
  const summary = `${readableBytes(row.used)} of ${readableBytes(row.size)} used (${percent.toFixed(0)} %), ${readableBytes(row.available)} free.`;
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
