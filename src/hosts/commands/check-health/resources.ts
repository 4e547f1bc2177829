import { z } from 'zod';
import type { CommandResult } from '../../execution/executor.ts';
import { count, said } from '../answer.ts';
import { defineCommand } from '../command.ts';

const counters = z.object({
  /** user, nice, system, idle, iowait, irq, softirq, steal; see proc_stat(5). */
  cpu: z.array(z.number().nonnegative()).min(4),
  /** In bytes, as the rest. */
  memory: z.number().positive(),
  memoryAvailable: z.number().nonnegative().optional(),
  swap: z.number().nonnegative().optional(),
  swapFree: z.number().nonnegative().optional(),
  /** The ZFS cache, and what it keeps at least. */
  arc: z.number().nonnegative().optional(),
  arcMinimum: z.number().nonnegative().optional(),
});
export type Counters = z.output<typeof counters>;

/** The kernel's own counters: they know no language and no column widths. */
export const resourceCounters = defineCommand({
  name: 'resource-counters',
  summary: "The kernel's counters of processor time, memory and ZFS cache",
  doing: "Reading the kernel's counters",
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/grep',
    '-s',
    '-h',
    '-E',
    '^(cpu|MemTotal:|MemAvailable:|SwapTotal:|SwapFree:|size|c_min) ',
    '/proc/stat',
    '/proc/meminfo',
    '/proc/spl/kstat/zfs/arcstats',
  ],
  timeoutMs: 10_000,
  // Most hosts have no ZFS, and grep says so by its exit code.
  answersAnyExit: true,
  answer: z.preprocess((result) => readCounters(said.parse(result)), counters),
});

function readCounters({ stdout }: CommandResult): unknown {
  const lines = new Map(
    stdout.split('\n').map((line) => {
      const [key = '', ...values] = line.trim().split(/\s+/);
      return [key, values.map(Number)];
    }),
  );
  // /proc/meminfo counts in kB; the ZFS cache's "name type data" lines in bytes.
  const kilobytes = (key: string) => {
    const value = lines.get(key)?.[0];
    return value === undefined ? undefined : value * 1024;
  };
  return {
    cpu: lines.get('cpu'),
    memory: kilobytes('MemTotal:'),
    memoryAvailable: kilobytes('MemAvailable:'),
    swap: kilobytes('SwapTotal:'),
    swapFree: kilobytes('SwapFree:'),
    arc: lines.get('size')?.[1],
    arcMinimum: lines.get('c_min')?.[1],
  };
}

/** File systems without inodes print `-`. */
const inodes = z.union([count, z.literal('-')]).transform((value) => (value === '-' ? undefined : value));
const disk = z.object({
  size: count,
  used: count,
  available: count,
  inodes,
  freeInodes: inodes,
  path: z.string().startsWith('/'),
});
export type Disk = z.output<typeof disk>;

/** Space and inodes by path. Of a path that isn't in `disks`, df said why not in `complaints`. */
export const diskSpace = defineCommand({
  name: 'disk-space',
  summary: 'Space and inodes of the system, and where the installation and its backups are',
  doing: 'Looking at the disks',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/df',
    '--block-size=1',
    '--output=size,used,avail,itotal,iavail,file',
    '--',
    '/',
    { layout: 'installation' },
    { layout: 'backups' },
  ],
  timeoutMs: 10_000,
  // One path that isn't there doesn't hide the other.
  answersAnyExit: true,
  answer: z.preprocess(
    (result) => readDisks(said.parse(result)),
    z.object({
      disks: z.array(disk),
      complaints: z.array(z.object({ path: z.string(), isAbsent: z.boolean(), words: z.string() })),
    }),
  ),
});

function readDisks({ exitCode, stdout, stderr }: CommandResult): unknown {
  // df itself ends with 0 or 1.
  if (exitCode > 1) return undefined;
  const rows = stdout
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '');
  return {
    disks: rows.map((line) => {
      const [size, used, available, inodes, freeInodes, ...path] = line.trim().split(/\s+/);
      return { size, used, available, inodes, freeInodes, path: path.join(' ') };
    }),
    // `df: /srv/x: No such file or directory`; names with spaces stand in quotes.
    complaints: [...stderr.matchAll(/^\S+: '?(\/.*?)'?: (.+)$/gm)].map(([, path = '', words = '']) => ({
      path,
      isAbsent: words === 'No such file or directory',
      words,
    })),
  };
}
