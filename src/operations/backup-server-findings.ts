import type { z } from 'zod';
import type { readGarbage, ServerSnapshot } from './backup-server.ts';
import type { Asked } from './backup-server-jobs.ts';
import type { Finding } from './finding.ts';
import { roughly } from './guest-disks.ts';
import { some } from './said.ts';

// What is said of maintenance of a backup server: its risks before, its log and its effect afterwards.

/** The snapshots that a verification has found damaged. */
export function damagedIn(snapshots: readonly ServerSnapshot[]): string[] {
  return snapshots.filter(({ verified }) => verified === 'failed').map(({ id }) => id);
}

/** What an administrator is to know before it. */
export function risksOf(
  action: Asked['action'],
  garbage: z.output<ReturnType<typeof readGarbage>['schema']>,
): string[] {
  switch (action) {
    case 'prune':
      return ['Pruning frees no space: a garbage collection does, and only of what nobody has used for a day'];
    case 'garbage-collect':
      return [
        `It frees only what nobody has used for 24 hours and 5 minutes${garbage['pending-bytes'] === undefined ? '' : `; ${roughly(garbage['pending-bytes'])} waited for that after the last one`}`,
        'It reads all indexes, which takes hours on slow disks',
      ];
    case 'verify':
      return ['It reads every chunk, which slows backups down meanwhile'];
    default:
      return ['It takes up the network and the disks of both sides'];
  }
}

/** Whether a line of its log says that something went wrong. */
export function isBad(line: string): boolean {
  return /^(ERROR|WARN(ING)?S?)\b|\b(failed|error)\b/i.test(line) && !/^TASK /.test(line);
}

/** What its log says. `warnings`: as many as the task has counted. */
export function logFindings(action: Asked['action'], lines: readonly string[], warnings: number): Finding[] {
  const bad = lines.filter(isBad);
  const isSync = action === 'sync';
  // What the last lines of a verification name.
  const from = action === 'verify' ? lines.findIndex((line) => /^Failed to verify the following/.test(line)) : -1;
  const named = from === -1 ? [] : lines.slice(from + 1).filter((line) => !/^TASK /.test(line));
  // A log of many lines may not have kept what the task has counted.
  if (bad.length === 0 && !(isSync && warnings > 0)) return [];
  return [
    {
      check: isSync ? 'Groups not synced' : 'Log',
      verdict: isSync || named.length > 0 ? 'failed' : 'warning',
      summary: isSync
        ? `Some groups were not synced, though the task counts as done${warnings > 0 ? ` (${warnings} warnings)` : ''}`
        : named.length > 0
          ? `The verification failed of ${some(
              named.map((line) => line.trim()),
              10,
            )}`
          : `${bad.length} lines of its log are errors or warnings`,
      remedy: 'Read them, put right what they say, then start it again.',
      evidence: (bad.length === 0 ? lines.slice(-20) : [...bad, ...named]).slice(0, 40).join('\n'),
    },
  ];
}

/** What was found when it had ended. */
export function effectFindings(
  action: Asked['action'],
  snapshots: readonly ServerSnapshot[],
  garbage: z.output<ReturnType<typeof readGarbage>['schema']>,
): Finding[] {
  if (action === 'garbage-collect') {
    const bad = garbage['still-bad'] ?? 0;
    return [
      {
        check: 'Freed',
        verdict: 'ok',
        summary: `${roughly(garbage['removed-bytes'] ?? 0)}; ${roughly(garbage['pending-bytes'] ?? 0)} wait until nobody has used them for a day`,
      },
      ...(bad === 0
        ? []
        : [
            {
              check: 'Bad chunks',
              verdict: 'failed' as const,
              summary: `${bad} damaged chunks are still there, which snapshots need`,
              remedy: 'Verify the datastore to learn which, and back these guests up again.',
            },
          ]),
    ];
  }
  if (action !== 'verify') return [];
  const damaged = damagedIn(snapshots);
  const without = snapshots
    .filter(({ verified, isUnfinished }) => verified === undefined && isUnfinished !== true)
    .map(({ id }) => id);
  return [
    ...(damaged.length === 0
      ? [{ check: 'Damaged', verdict: 'ok' as const, summary: 'None was found damaged' }]
      : [
          {
            check: 'Damaged',
            verdict: 'failed' as const,
            summary: `${damaged.length} snapshots are damaged: ${some(damaged, 10)}`,
            remedy: 'Back these guests up again: what is missing is uploaded anew. Look at the disks of the server.',
          },
        ]),
    ...(without.length === 0
      ? []
      : [
          {
            check: 'Not verified',
            verdict: 'warning' as const,
            summary: `${without.length} snapshots were not verified: ${some(without, 10)}`,
            remedy: 'They may have come meanwhile, or the API token may not verify them (Datastore.Verify).',
          },
        ]),
  ];
}
