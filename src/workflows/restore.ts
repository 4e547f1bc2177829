import { ApplicationFailure, isCancellation, workflowInfo } from '@temporalio/workflow';
import type { z } from 'zod';
import type { RestoreActivities, RestoreChoice, RestoreLook, RestoreRecord } from '../activities/restore/restore.ts';
import { stampOf } from '../operations/backup-id.ts';
import type { Finding } from '../operations/finding.ts';
import type { PlanDraft } from '../operations/plan.ts';
import type { Section } from '../operations/report.ts';
import { restore as definition } from '../operations/restore.ts';
import { readableBytes, readableList } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import type { Policy } from './lib/policies.ts';
import type { Done, Planned, PlanningRun, Run } from './lib/run.ts';
import { requireNotCancelled } from './lib/undo.ts';

/**
 * The guide's recovery. Staging changes nothing that is in use; from the first stop to healthy or back is one job on the host, because
 * what is restored may be this service, or the machine that it runs on: afterwards whichever worker is there reads the host's record.
 */
export const restore = operationWorkflow(definition, {
  plan: (run) => (run.input.what === 'undo' ? planUndo(run) : planRestore(run)),
  act: (run, known) => (known.kind === 'undo' ? undoRestore(run, known) : bringBack(run, known)),
});

type Input = z.output<typeof definition.input>;
type Output = z.output<typeof definition.output>;
type Known =
  | { readonly kind: 'undo'; readonly restore: string; readonly record: RestoreRecord }
  | { readonly kind: 'restore'; readonly restore: string; readonly choice: RestoreChoice; readonly look: RestoreLook };

function reach(host: string) {
  return (policy: Policy) => (summary: string) => onHost<RestoreActivities>(host, policy, summary);
}

/** The same in every plan of a run. */
function idOf(): string {
  return `restore-${stampOf(workflowInfo().startTime.getTime())}`;
}

function choiceOf({ host, backup = '', what, paths, volumes }: Input): RestoreChoice {
  if (what === 'undo') throw new Error('an undo has no archive');
  return { host, backup, what, selection: paths ?? volumes ?? [] };
}

async function planRestore(run: PlanningRun<Input>): Promise<Planned<Known, Output>> {
  const choice = choiceOf(run.input);
  const on = reach(choice.host);
  const look = await run.step('Look', (summary) => on('survey')(summary).lookForRestore(choice), describeLook);
  refuseProblems(choice, look);
  const restore = idOf();
  const calls = await on('look')('Plan').planRestore({ ...choice, restore, sha256: look.archive.sha256 });
  return {
    known: { kind: 'restore', restore, choice, look },
    would: {
      plan: planOf(choice, look, calls),
      output: { replaced: look.replaced.length, created: look.created.length, same: look.same, kept: [] },
      sections: [contents(look), ...differences(look)],
    },
  };
}

function planOf(
  { host, backup, what, selection }: RestoreChoice,
  look: RestoreLook,
  calls: { readonly stage: string; readonly apply: string; readonly undo: string },
): PlanDraft {
  return {
    summary: `restore ${selection.length > 0 ? `${what} (${readableList(selection)})` : what} of ${host} from ${backup}`,
    steps: [
      { title: 'Look', does: [] },
      { title: 'Stage', does: [calls.stage] },
      { title: 'Look again', does: [] },
      { title: 'Apply', does: [calls.apply] },
      { title: 'Verify', does: ['Looks that the host kept it, and that each file is as in the archive'] },
    ],
    state: [
      { name: 'Archive', value: `${look.archive.name}, SHA-256 ${look.archive.sha256}` },
      { name: 'What is replaced, as it is now', value: look.fingerprint },
      { name: 'Stands still meanwhile', value: look.stops.join(', ') || 'nothing' },
    ],
    affected: [
      ...look.stops.map((one) => `${one} is stopped, and started again`),
      ...look.folders.map(
        ({ path, created, changed, removed, same }) =>
          `${path} is replaced as a whole: ${created} come, ${changed} change, ${removed} go, ${same} stay`,
      ),
      ...some('replaced', look.replaced),
      ...some('new', look.created),
      ...look.newVolumes.map((name) => `The Docker volume ${name} is made`),
      ...look.space.map(
        ({ folder, needed, free }) =>
          `${readableBytes(needed)} of ${readableBytes(free)} free on the disk of ${folder} are needed`,
      ),
    ],
    risks: [
      ...(look.isOtherMachine ? [`The archive is of another machine: ${look.home}`] : []),
      ...look.differences,
      ...(look.touches.includes('network')
        ? ['The network configuration is written, and not applied: ifreload -a or a restart does that']
        : []),
      ...(look.touches.includes('ssh')
        ? [
            'Host keys of SSH may become others, which this service then refuses until they are pinned anew (host install)',
          ]
        : []),
      ...(look.touches.includes('restored')
        ? [
            'An older state of this service itself comes back: it executes nothing until an administrator lets it go on (npx proxmox-mcp restored --go-on)',
          ]
        : []),
      ...(look.isRead ? [] : ['The archive is larger than 4 GiB, and is read only while it is staged']),
    ],
    hostCalls: [{ host, calls: [calls.stage, calls.apply] }],
    undo: [
      'Until everything is unpacked and compared with the sealed manifest nothing on the host changes',
      'If it is not healthy afterwards, the host itself puts back what was there, without this service',
      `What was replaced is kept for 14 days; until then this goes back: ${calls.undo}`,
    ],
  };
}

/** At most ten paths, and how many more there are. */
function some(how: string, paths: readonly string[]): readonly string[] {
  return paths.length === 0 ? [] : [`${paths.length} ${how}: ${readableList(paths, 10)}`];
}

function refuseProblems(
  { host, backup }: RestoreChoice,
  { problems, space, touches, differences: other }: RestoreLook,
): void {
  const lacking = space
    .filter(({ needed, free }) => needed > free)
    .map(
      ({ folder, needed, free }) =>
        `${folder} has ${readableBytes(free)} free, and ${readableBytes(needed)} are needed`,
    );
  // Its format belongs to the version of Proxmox VE.
  const foreign = touches.includes('pve')
    ? other.filter((one) => one.startsWith('pve-manager ') && !isSameMajor(one))
    : [];
  const all = [...problems, ...lacking, ...foreign];
  if (all.length === 0) return;
  throw conflict(
    `${backup} can't be restored on ${host}: ${all.slice(0, 5).join('; ')}`,
    'Put that right on the host first.',
  );
}

/** `pve-manager was 9.0.1, and is 9.1.7` */
function isSameMajor(difference: string): boolean {
  const [was, is] = [...difference.matchAll(/ (\d+)\./g)].map(([, major]) => major);
  return was !== undefined && was === is;
}

function conflict(message: string, remedy: string): ApplicationFailure {
  return ApplicationFailure.create({
    message: `${message}. ${remedy}`,
    type: 'conflict',
    nonRetryable: true,
    details: [{ code: 'conflict', remedy }],
  });
}

async function bringBack(run: Run<Input>, known: Extract<Known, { kind: 'restore' }>): Promise<Done<Output>> {
  const { restore: id, choice, look } = known;
  const { host } = choice;
  const on = reach(host);
  // Read anew for every call: the fence is another one after a person was asked.
  const of = () => ({ host, restore: id, fence: run.fence });
  run.onUndo(
    'Stage',
    () => on('undo')(`Go back from ${id}`).undoRestore(of()),
    async () => (await on('look')('Look at what is left').lookAtRestore({ host, restore: id })).state,
  );
  const { lost } = await run.step('Stage', (summary) =>
    on('job')(summary).stageRestore({ ...of(), ...choice, sha256: look.archive.sha256 }),
  );
  await run.step('Look again', async (summary) => {
    const now = await on('survey')(summary).lookForRestore(choice);
    if (now.fingerprint !== look.fingerprint || now.stops.join() !== look.stops.join()) {
      throw conflict(
        `${host} changed while the archive was unpacked, so nothing was replaced`,
        'Start the restore again.',
      );
    }
  });
  requireNotCancelled();
  const record = await run.step(
    'Apply',
    (summary) => on('job')(summary).applyRestore(of()),
    ({ units }) => `${units} files and folders, and the host is well`,
  );
  // The host itself has judged it and kept it: that it doesn't answer now is said, and no reason to go back.
  run.commit();
  const after = await run.step(
    'Verify',
    (summary) => on('survey')(summary).lookForRestore(choice).catch(rethrowCancelled),
    (found) => (found === undefined ? 'The host does not answer' : describeLook(found)),
  );
  const others = [...(after?.replaced ?? []), ...(after?.created ?? [])].filter(
    (path) => !after?.folders.some((one) => one.path === path),
  );
  await forgetOld(run, host, look.old);
  return {
    output: {
      restore: id,
      replaced: look.replaced.length,
      created: look.created.length + look.newVolumes.length,
      same: look.same,
      kept: [...record.folders],
    },
    summary: `${choice.what} of ${host} is as in ${choice.backup}: ${look.replaced.length} replaced, ${look.created.length} new.`,
    sections: [contents(look), safety(id, record), ...afterwards(look, after && others, lost), ...differences(look)],
  };
}

function rethrowCancelled(error: unknown): undefined {
  if (isCancellation(error)) throw error;
  return undefined;
}

/** It is done whatever comes of tidying up. */
async function forgetOld(run: Run<Input>, host: string, restores: readonly string[]): Promise<void> {
  if (restores.length === 0) return;
  try {
    await reach(host)('act')('Remove what old restores replaced').forgetRestores({ host, restores, fence: run.fence });
  } catch {
    // The next restore tries again.
  }
}

async function planUndo(run: PlanningRun<Input>): Promise<Planned<Known, Output>> {
  const { host, restore: id = '' } = run.input;
  const on = reach(host);
  const record = await run.step(
    'Look',
    (summary) => on('look')(summary).lookAtRestore({ host, restore: id }),
    ({ state }) => state,
  );
  if (record.state === 'absent' || record.isForgotten) {
    const why = record.isForgotten ? 'what it replaced was removed already' : 'the host has no record of it';
    throw conflict(`${id} on ${host} can't be undone: ${why}`, 'Restore from an archive instead.');
  }
  const { call, stops } = await on('look')('Plan').planUndoOfRestore({ host, restore: id });
  return {
    known: { kind: 'undo', restore: id, record },
    would: {
      plan: {
        summary: `go back from ${id} on ${host}`,
        steps: [
          { title: 'Look', does: [] },
          { title: 'Apply', does: [call] },
          { title: 'Verify', does: ['Looks that the host has gone back'] },
        ],
        state: [
          { name: 'Restore', value: record.state },
          { name: 'Is put back', value: record.aside.join(', ') || 'nothing' },
          { name: 'Stands still meanwhile', value: stops.join(', ') || 'nothing' },
        ],
        affected: [...stops.map((one) => `${one} is stopped, and started again`), ...some('put back', record.aside)],
        risks: ['What was written since the restore goes with what was restored'],
        hostCalls: [{ host, calls: [call] }],
        undo: ['Not by itself: restore from the archive again'],
      },
      output: { replaced: record.aside.length, created: 0, same: 0, kept: [] },
    },
  };
}

async function undoRestore(
  run: Run<Input>,
  { restore: id, record }: Extract<Known, { kind: 'undo' }>,
): Promise<Done<Output>> {
  const { host } = run.input;
  const on = reach(host);
  for (const title of ['Stage', 'Look again']) run.skip(title, 'What was there before lies on the host');
  await run.step('Apply', (summary) => on('undo')(summary).undoRestore({ host, restore: id, fence: run.fence }));
  const { state } = await run.step(
    'Verify',
    (summary) => on('look')(summary).lookAtRestore({ host, restore: id }),
    (one) => one.state,
  );
  if (state !== 'undone')
    throw conflict(`${id} on ${host} is ${state}, not undone`, 'Look at the host, then try again.');
  run.commit();
  return {
    output: { restore: id, replaced: record.aside.length, created: 0, same: 0, kept: [] },
    summary: `${host} is as it was before ${id}.`,
    sections: [
      {
        title: 'Put back',
        findings: [
          { check: 'Put back', verdict: 'ok', summary: readableList(record.aside, 20) || 'Nothing had been replaced' },
        ],
      },
    ],
  };
}

function describeLook({ replaced, created, same }: RestoreLook): string {
  return `${replaced.length} to be replaced, ${created.length} new, ${same} the same`;
}

function contents(look: RestoreLook): Section {
  const { folders, names } = look;
  return {
    title: 'Restored',
    findings: [
      {
        check: 'Archive',
        verdict: 'ok',
        summary: `${look.archive.name}, ${readableBytes(look.archive.bytes)}, sealed by this host`,
      },
      ...folders.map(
        ({ path, created, changed, removed, same }): Finding => ({
          check: path,
          verdict: 'ok',
          summary: `${created} new, ${changed} changed, ${removed} gone, ${same} the same`,
        }),
      ),
      ...list('Replaced', look.replaced),
      ...list('New', look.created),
      ...list('Come in folders', names.comes),
      ...list('Change in folders', names.changes),
      ...list('Go from folders', names.goes),
      ...look.left.map(
        ({ why, entries, first }): Finding => ({
          check: 'Left out',
          verdict: why === 'pve' ? 'ok' : 'warning',
          summary: `${leftBecause[why] ?? why}: ${entries}, for example ${first}`,
        }),
      ),
    ],
  };
}

const leftBecause: Readonly<Record<string, string>> = {
  machine: 'Of another machine’s disks and network cards, so it stays as it is here; path restores it',
  accounts:
    'Accounts of another machine, whose numbers may be other names here: docs/emergency.md, "A new machine", says how those that are missing are added',
  pve: 'Of /etc/pve, which is a file system of its own: its database is restored by pve-database',
  name: 'Its name holds characters that only a restore of the folder around it can take',
  helper:
    'The policy of another version of the helper, which would keep the service out: host install makes the one of now',
  dump: 'A dump of a container’s own, which its own program reads in',
};

function list(check: string, paths: readonly string[]): readonly Finding[] {
  return paths.length === 0 ? [] : [{ check, verdict: 'ok', summary: `${paths.length}: ${readableList(paths, 10)}` }];
}

function safety(id: string, { folders, aside }: RestoreRecord): Section {
  return {
    title: 'What was replaced',
    findings: [
      {
        check: 'Safety copy',
        verdict: 'ok',
        summary:
          aside.length === 0
            ? 'Nothing was replaced'
            : `Kept for 14 days in ${folders.map((folder) => `${folder}/old`).join(', ')}; to go back: restore with what undo, restore ${id}`,
      },
    ],
  };
}

function afterwards(
  look: RestoreLook,
  others: readonly string[] | undefined,
  lost: readonly string[],
): readonly Section[] {
  const findings: Finding[] = [
    ...(others === undefined
      ? [
          {
            check: 'Verify',
            verdict: 'warning',
            summary: 'The host kept the restore and was well, and could not be looked at again afterwards.',
            remedy:
              'Look at it with a plan of the same restore (dryRun). If keys of SSH came back, pin them: host install.',
          } as const,
        ]
      : []),
    ...(look.touches.includes('restored')
      ? [
          {
            check: 'Service',
            verdict: 'warning',
            summary: 'An older state of this service came back, and it executes nothing.',
            remedy: 'See what was open: npx proxmox-mcp restored. Let it go on: npx proxmox-mcp restored --go-on.',
          } as const,
        ]
      : []),
    ...(others === undefined || others.length === 0
      ? []
      : [
          {
            check: 'Since then',
            verdict: 'warning',
            summary: `Something has changed these again: ${readableList(others, 10)}`,
          } as const,
        ]),
    ...(lost.length === 0
      ? []
      : [
          {
            check: 'Attributes',
            verdict: 'warning',
            summary: 'The file system refuses some attributes or ACLs',
            evidence: lost.join('\n'),
          } as const,
        ]),
    ...(look.touches.includes('network')
      ? [
          {
            check: 'Network',
            verdict: 'warning',
            summary: 'Its configuration is written, and not applied.',
            remedy: 'Compare it with the cards of this machine (ip link), then run ifreload -a with a console at hand.',
          } as const,
        ]
      : []),
  ];
  return findings.length === 0 ? [] : [{ title: 'Afterwards', findings }];
}

function differences({ isOtherMachine, home, differences: all }: RestoreLook): readonly Section[] {
  const findings: Finding[] = [
    ...(isOtherMachine
      ? [{ check: 'Machine', verdict: 'warning', summary: `The archive is of ${home}` } as const]
      : []),
    ...all.map((summary): Finding => ({ check: 'Version', verdict: 'warning', summary })),
  ];
  return findings.length === 0 ? [] : [{ title: 'Other than when it was backed up', findings }];
}
