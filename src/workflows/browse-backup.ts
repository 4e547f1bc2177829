import type { BrowseActivities } from '../activities/browse-backup/browse-backup.ts';
import { browseBackup as definition } from '../operations/browse-backup.ts';
import { readableBytes, readableTime } from '../reports/units.ts';
import { onHost } from './lib/activities.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';

/** Lists a folder of an archive. */
export const browseBackup = operationWorkflow(definition, async (run) => {
  const { host, backup, folder, after } = run.input;
  const { notUnderstood, ...output } = await run.step('Look', (summary) =>
    onHost<BrowseActivities>(host, 'look', summary).browseBackup({ host, backup, folder, after }),
  );
  const { entries, total } = output;
  const where = output.folder === '' ? 'At the top of' : `In ${output.folder} of`;
  const shown = entries.length < total ? `, of which ${entries.length} are listed from the ${after + 1}. on` : '';
  return {
    output,
    summary: `${where} ${output.backup} of ${host} there ${total === 1 ? 'is 1 name' : `are ${total} names`}${shown}.`,
    sections: [
      {
        title: 'Entries',
        columns: ['Name', 'Type', 'Size', 'Mode', 'Owner', 'Written'],
        rows: entries.map((one) => [
          one.target === undefined ? one.name : `${one.name} → ${one.target}`,
          one.type,
          one.type === 'file' ? readableBytes(one.bytes) : '',
          one.mode,
          one.owner,
          one.modified === undefined ? '' : readableTime(one.modified),
        ]),
      },
      ...(notUnderstood === 0
        ? []
        : [
            {
              title: 'List',
              findings: [
                {
                  check: 'List of the archive',
                  verdict: 'unknown' as const,
                  summary: `${notUnderstood} lines of it are not understood.`,
                  remedy: `If the helper there is of another version, run: npx proxmox-mcp host install ${host}`,
                },
              ],
            },
          ]),
    ],
  };
});
