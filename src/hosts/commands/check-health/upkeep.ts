import { z } from 'zod';
import type { CommandResult } from '../../execution/executor.ts';
import { said } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { isMissing } from '../failure.ts';
import { isWithoutSystemd } from './systemctl.ts';

// What an administrator looks at first on any Debian host. None of it needs a privilege.

/** The host's own name, asked for to see whether it answers. */
export const hostAnswers = defineCommand({
  name: 'host-answers',
  summary: 'The name that the host has for itself, to see that it answers',
  doing: 'Asking whether the host answers',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: ['/usr/bin/uname', '-n'],
  timeoutMs: 10_000,
  answer: said.transform(({ stdout }) => stdout.trim()).pipe(z.string().min(1).max(255)),
});

/** systemd's failed units, one for each; `undefined` without systemd. */
export const failedUnits = defineCommand({
  name: 'failed-units',
  summary: 'The units of systemd that have failed',
  doing: 'Asking systemd for failed units',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/systemctl',
    'list-units',
    '--state=failed',
    '--all',
    '--plain',
    '--no-legend',
    '--no-pager',
    '--full',
  ],
  timeoutMs: 10_000,
  answersAnyExit: true,
  answer: z.preprocess((result) => readFailed(said.parse(result)), z.object({ units: z.array(z.string()).optional() })),
});

function readFailed(result: CommandResult): unknown {
  if (isWithoutSystemd(result)) return {};
  if (result.exitCode !== 0) return undefined;
  const lines = result.stdout.split('\n').filter((line) => line.trim() !== '');
  return { units: lines.map((line) => line.trim().split(/\s+/, 1)[0]) };
}

const running = z.object({
  /** Of the last 1, 5 and 15 minutes. */
  load: z.tuple([z.number(), z.number(), z.number()]),
  cpus: z.int().positive(),
  /** Unix seconds. */
  bootedAt: z.int().positive(),
  /** The running kernel, as `uname -r` says it. */
  kernel: z.string().min(1),
});

/** How busy the host is, since when it runs, and with which kernel. */
export const runningState = defineCommand({
  name: 'running-state',
  summary: 'Load, number of processors, time of the last start and running kernel',
  doing: "Reading the kernel's state",
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/grep',
    '-s',
    '-H',
    '-E',
    '^(cpu[0-9]+ |btime |[0-9])',
    '/proc/stat',
    '/proc/loadavg',
    '/proc/sys/kernel/osrelease',
  ],
  timeoutMs: 10_000,
  answersAnyExit: true,
  answer: z.preprocess((result) => readRunning(said.parse(result)), running),
});

function readRunning({ stdout }: CommandResult): unknown {
  const lines = stdout.split('\n');
  const of = (path: string) =>
    lines.filter((line) => line.startsWith(`${path}:`)).map((line) => line.slice(path.length + 1));
  const stat = of('/proc/stat');
  return {
    load: (of('/proc/loadavg')[0] ?? '').split(' ').slice(0, 3).map(Number),
    cpus: stat.filter((line) => line.startsWith('cpu')).length,
    bootedAt: Number(stat.find((line) => line.startsWith('btime '))?.slice('btime '.length)),
    kernel: of('/proc/sys/kernel/osrelease')[0],
  };
}

/** Packages of which there is a newer version, as apt would install them now; `hasApt` is false on another system. */
export const pendingUpdates = defineCommand({
  name: 'pending-updates',
  summary: 'Which packages apt would upgrade, without doing it',
  doing: 'Asking apt for updates',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/apt-get',
    '--simulate',
    '--quiet=2',
    '-o',
    'Debug::NoLocking=true',
    '-o',
    'APT::Get::Show-User-Simulation-Note=false',
    'dist-upgrade',
  ],
  timeoutMs: 30_000,
  maxOutputBytes: 1024 * 1024,
  answersAnyExit: true,
  answer: z.preprocess(
    (result) => readUpdates(said.parse(result)),
    z.object({ hasApt: z.boolean(), updates: z.array(z.object({ name: z.string(), isSecurity: z.boolean() })) }),
  ),
});

/** `Inst libc6 [2.41-12] (2.41-12+deb13u1 Debian-Security:13/stable-security [amd64])` */
function readUpdates(result: CommandResult): unknown {
  if (isMissing(result) || /No such file or directory/.test(result.stderr)) return { hasApt: false, updates: [] };
  if (result.exitCode !== 0) return undefined;
  const found = [...result.stdout.matchAll(/^Inst (\S+) (?:\[[^\]\n]*\] )?\(([^)\n]*)\)/gm)];
  return {
    hasApt: true,
    updates: found.map(([, name, from = '']) => ({ name, isSecurity: /security/i.test(from) })),
  };
}

const mark = z.object({
  path: z.string(),
  /** When its inode changed, and when its content: Unix seconds. */
  changedAt: z.number(),
  writtenAt: z.number(),
});

/** What the system has written down of updates: whether it wants a restart, how old the lists are, which kernels are there. */
export const updateMarks = defineCommand({
  name: 'update-marks',
  summary: "Times of apt's lists, of installed kernels and of the wish to be restarted",
  doing: 'Looking at what updates have left',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: [
    '/usr/bin/find',
    '/run/reboot-required',
    '/var/lib/apt/lists',
    '/var/lib/apt/periodic/update-success-stamp',
    '/var/cache/apt/pkgcache.bin',
    '/boot',
    '-maxdepth',
    '1',
    '-printf',
    '%C@ %T@ %p\\n',
  ],
  timeoutMs: 10_000,
  maxOutputBytes: 256 * 1024,
  // Most of them aren't there on most hosts.
  answersAnyExit: true,
  answer: z.preprocess((result) => readMarks(said.parse(result)), z.array(mark)),
});

function readMarks({ stdout }: CommandResult): unknown {
  return stdout
    .split('\n')
    .filter((line) => /^\d+(\.\d+)? \d+(\.\d+)? \//.test(line))
    .map((line) => {
      const [changedAt = '', writtenAt = '', ...path] = line.split(' ');
      return { path: path.join(' '), changedAt: Number(changedAt), writtenAt: Number(writtenAt) };
    });
}
