import { createCopyStore } from '../../backups/copies/store.ts';
import type { HostConfig } from '../../config.ts';
import type { Finding } from '../../operations/finding.ts';
import { readableDuration } from '../../reports/units.ts';
import { finding } from './finding.ts';
import { backupFailedHours, backupWarningHours } from './limits.ts';

const check = 'Copies off the host';
const hour = 3_600_000;

/** Whether the backups of a host lie anywhere else, as the service knows it from the copies that it has. */
export function inspectCopies(host: HostConfig, folder: string, now: Date): Finding[] {
  const again = `npx proxmox-mcp copy-backups --host ${host.name}`;
  if (host.copies === undefined) {
    const summary = `No copy of the backups of ${host.name} leaves it: the only one lies on the host itself, and is lost with it.`;
    const remedy = 'Set BACKUP_RECIPIENTS to whom copies are encrypted; docs/copies.md says how.';
    return [finding(check, 'skipped', summary, { remedy })];
  }
  const copies = createCopyStore(folder).list(host.name);
  const broken = copies.filter(({ state }) => state !== 'whole').map(({ backup }) => backup);
  const lost: Finding[] =
    broken.length === 0
      ? []
      : [
          finding('Broken copies', 'failed', `Not what was written any more, or gone: ${broken.join(', ')}.`, {
            remedy: `Look at the disk of ${folder}; what is still on the host is copied again: ${again}`,
          }),
        ];
  const newest = copies.find(({ state }) => state === 'whole');
  if (newest === undefined)
    return [
      finding(check, 'warning', `There is no copy of a backup of ${host.name} yet.`, { remedy: `Make one: ${again}` }),
      ...lost,
    ];
  const ageMs = now.getTime() - Date.parse(newest.archive.publishedAt ?? newest.madeAt);
  const proves =
    newest.checked?.proves === 'content' ? 'its content was compared' : 'of its content nothing is proved here';
  const summary = `The newest copy is ${newest.backup}, ${readableDuration(ageMs)} old; ${proves}.`;
  const verdict = ageMs >= backupFailedHours * hour ? 'failed' : ageMs >= backupWarningHours * hour ? 'warning' : 'ok';
  return [
    finding(check, verdict, summary, verdict === 'ok' ? {} : { remedy: `Copy what is there: ${again}` }),
    ...lost,
  ];
}
