import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { z } from 'zod';
import type { CompareActivities } from '../activities/compare-backups/compare-backups.ts';
import type { PastChanges, PastChangesActivities } from '../activities/past-changes/past-changes.ts';
import { compareBackups as definition } from '../operations/compare-backups.ts';
import type { Finding } from '../operations/finding.ts';
import type { Section } from '../operations/report.ts';
import { readableBytes, readableTime } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { failureOf } from './lib/failure.ts';
import { ledgerQueue } from './lib/messages.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import { policies } from './lib/policies.ts';
import { whileReading } from './lib/reading.ts';

type Output = z.output<typeof definition.output>;

/** How many of each kind the report names; the output has all that the host said. */
const named = 60;

/** What changed on a host between two of its backups, or since one, and what this service did meanwhile. */
export const compareBackups = operationWorkflow(definition, async (run) => {
  const { host, since, from, to } = run.input;
  const { note, ...chosen } = await run.step('Look', (summary) =>
    onHost<CompareActivities>(host, 'look', summary).chooseBackups({ host, since, from, to }),
  );
  const { notUnderstood, ...found } = await run.step('Compare', (summary) =>
    whileReading(host, () =>
      onHost<CompareActivities>(host, 'job', summary).compareBackups({ host, from: chosen.from, to: chosen.to }),
    ),
  );
  const problems: Finding[] = [];
  if (note !== undefined) problems.push({ check: 'Earlier backup', verdict: 'warning', summary: note });
  if (notUnderstood > 0) {
    problems.push({
      check: 'Comparison',
      verdict: 'unknown',
      summary: `${notUnderstood} lines of the host's answer are not understood.`,
      remedy: `If the helper there is of another version, run: npx proxmox-mcp host install ${host}`,
    });
  }
  const past = await run.step('Runs', (summary) => pastChanges(summary));
  if (past?.isComplete === false) {
    problems.push({ check: 'Runs', verdict: 'warning', summary: 'There may be more runs than are listed.' });
  }
  if (problems.every(({ verdict }) => verdict !== 'unknown')) problems.push(allRead(found));
  const output: Output = { ...chosen, ...found, ...(past !== undefined && { runs: [...past.changes] }) };
  return {
    output,
    summary: summarize(host, output),
    sections: [
      ...(problems.length === 0 ? [] : [{ title: 'What to know', findings: problems }]),
      ...sectionsOf(output),
    ],
  };

  /** The comparison is worth more than who it was: an unread ledger is a line of the report. */
  async function pastChanges(summary: string): Promise<PastChanges | undefined> {
    try {
      return await proxyActivities<PastChangesActivities>({
        ...policies.ledgerAtOnce,
        taskQueue: ledgerQueue,
        summary,
      }).listPastChanges({ host, since: chosen.fromAt, until: chosen.toAt });
    } catch (error) {
      if (isCancellation(error)) throw error;
      problems.push({ check: 'Runs', verdict: 'unknown', summary: failureOf(error).message });
      return undefined;
    }
  }
});

/** That all was read, however much of it has changed: a change is no fault. */
function allRead({ parts, packages, guests }: Pick<Output, 'parts' | 'packages' | 'guests'>): Finding {
  const isSame =
    parts.every(({ added, removed, changed }) => added + removed + changed === 0) &&
    (packages.count ?? 0) === 0 &&
    guests.length === 0;
  const summary = isSame ? 'All that both hold was compared, and nothing changed.' : 'All that both hold was compared.';
  return { check: 'Comparison', verdict: 'ok', summary };
}

function summarize(host: string, { from, to, parts, packages, guests, runs }: Output): string {
  const sum = (of: 'added' | 'removed' | 'changed') => parts.reduce((all, part) => all + part[of], 0);
  const files = `${sum('changed')} changed, ${sum('added')} new and ${sum('removed')} removed files and folders`;
  const until = to === 'now' ? 'now' : to;
  const done = runs === undefined ? '' : ` ${plural(runs.length, 'run')} of this service on it ended meanwhile.`;
  return `On ${host} from ${from} to ${until}: ${files}, ${packages.count === undefined ? 'packages unknown' : plural(packages.count, 'changed package')}, ${plural(guests.length, 'changed guest')}.${done}`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function sectionsOf({ parts, notCompared, files, packages, guests, runs }: Output): Section[] {
  const lines = files.filter((one) => one.lines !== undefined);
  return [
    ...table(
      'How much',
      ['Part', 'New', 'Removed', 'Changed', 'Only written again', 'Logs and the like'],
      parts.map(({ part, added, removed, changed, touched, volatile }) => [
        part,
        ...[added, removed, changed, touched, volatile].map(String),
      ]),
    ),
    ...table(
      'Runs of this service',
      ['Ended', 'Operation', 'Target', 'Outcome', 'By', 'Run'],
      (runs ?? []).map(({ at, operation, target, outcome, by, run }) => [
        readableTime(at),
        operation,
        target,
        outcome,
        by,
        run,
      ]),
    ),
    ...table(
      'Guests',
      ['Guest', 'Setting', 'Before', 'After'],
      guests.flatMap(({ vmid, change, settings }) =>
        settings.length === 0
          ? [[String(vmid), change, '', '']]
          : settings.map(({ setting, from, to }) => [String(vmid), setting, from, to]),
      ),
    ),
    ...table(
      'Packages',
      ['Package', 'Before', 'After'],
      packages.changes.map(({ name, from = 'not there', to = 'removed' }) => [name, from, to]),
    ),
    ...table(
      'Files',
      ['What', 'File', 'Difference', 'Size'],
      files.map(({ change, path, what, bytes }) => [
        change,
        path,
        what,
        [...new Set(bytes)].map(readableBytes).join(' to '),
      ]),
    ),
    ...(lines.length === 0
      ? []
      : [
          {
            title: 'Changed lines, secrets masked',
            quoted: lines
              .map((one) => [one.path, ...(one.lines ?? []), ...(one.more ? ['… and more'] : [])].join('\n'))
              .join('\n\n'),
          },
        ]),
    ...table(
      'Not compared',
      ['What'],
      notCompared.map((one) => [one]),
    ),
  ];
}

function table(title: string, columns: string[], rows: string[][]): Section[] {
  if (rows.length === 0) return [];
  const all = rows.length > named ? `${title}, the first ${named} of ${rows.length}` : title;
  return [{ title: all, columns, rows: rows.slice(0, named) }];
}
