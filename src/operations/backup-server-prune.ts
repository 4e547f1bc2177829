import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal, refuse } from './api-change.ts';
import { inNamespace, keepOptions, type ServerJob, type ServerSnapshot, snapshotId } from './backup-server.ts';
import { type Asked, jobOf, type SpacesSeen, spacesOf } from './backup-server-jobs.ts';

// What a prune of a backup server would take away, as the server itself says, and that it takes no group's last verified snapshot.

/** Asks of each group which of its snapshots would go: trials of the server's own, which change nothing. */
export function readGoing(
  input: Asked,
  seen: SpacesSeen,
  listed: readonly ServerSnapshot[],
): Readonly<Record<string, ApiRead<ReturnType<typeof goingOf>>>> {
  const job = jobOf(input, seen);
  if (input.job !== undefined && job === undefined) return {};
  const [ns = ''] = spacesOf(input, seen);
  const groups = new Set(listed.map(({ group }) => group));
  return Object.fromEntries(
    [...groups].map((group) => [
      `prune ${group}`,
      apiRead({
        template: '/admin/datastore/*/prune',
        values: [input.datastore],
        parameters: {
          'backup-type': group.slice(0, group.indexOf('/')),
          'backup-id': group.slice(group.indexOf('/') + 1),
          'dry-run': true,
          ...nsOf(ns),
          ...keepOf(input, job),
        },
        schema: goingOf(ns),
        asksOnly: true,
      }),
    ]),
  );
}

/** The ids of what would go, in what was seen. */
export function goingIn(seen: object): readonly string[] {
  return Object.entries(seen)
    .filter(([name]) => name.startsWith('prune '))
    .flatMap(([, ids]) => ids as readonly string[]);
}

/** Why a prune isn't done: a group would lose its last verified snapshot. */
export function refuseLastVerified(
  snapshots: readonly ServerSnapshot[],
  going: readonly string[],
): Refusal | undefined {
  const lost = lastVerifiedIn(snapshots, going);
  if (lost === undefined) return undefined;
  return refuse(
    'forbidden',
    `Of ${lost} the last verified snapshot would go, and nothing was done`,
    'Verify its newer ones first (action verify), or protect that snapshot; then start it again.',
  );
}

/** The first group whose last verified snapshot is among those. */
function lastVerifiedIn(snapshots: readonly ServerSnapshot[], going: readonly string[]): string | undefined {
  const gone = new Set(going);
  const left = new Map<string, boolean>();
  for (const { id, group, verified } of snapshots) {
    if (verified === 'ok') left.set(group, left.get(group) === true || !gone.has(id));
  }
  return [...left].find(([, isLeft]) => !isLeft)?.[0];
}

/** The ids of what would go. */
const goingOf = (ns: string) =>
  z
    .array(
      z.object({
        'backup-type': z.string(),
        'backup-id': z.string(),
        'backup-time': z.number(),
        keep: z.boolean(),
        protected: z.boolean().optional(),
      }),
    )
    .transform((all) =>
      all
        .filter(({ keep, protected: isKept }) => !keep && isKept !== true)
        .map((one) => inNamespace(ns, snapshotId(one))),
    );

/** What is kept, as the API has it: by the job, or by what was asked. */
export function keepOf(input: Asked, job: ServerJob | undefined): Readonly<Record<string, number>> {
  if (job !== undefined) return keepOptions(job);
  return keepOptions({
    'keep-last': input.keepLast,
    'keep-daily': input.keepDaily,
    'keep-weekly': input.keepWeekly,
    'keep-monthly': input.keepMonthly,
    'keep-yearly': input.keepYearly,
  });
}

/** A namespace as a parameter; the root is none. */
export function nsOf(namespace: string | undefined) {
  return namespace === undefined || namespace === '' ? {} : { ns: namespace };
}
