import type { Finding } from '../../operations/finding.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import type { ProxmoxStorage } from '../../proxmox/schemas.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableBytes } from '../../reports/units.ts';
import { finding } from './finding.ts';
import { storageFailed, storageWarning } from './limits.ts';

export async function inspectStorages(reader: ProxmoxReader): Promise<readonly Finding[]> {
  return judgeStorages(await reader.read('storages'));
}

/** Each storage of the node: whether it can be used now, and how full it is. */
export function judgeStorages(storages: readonly ProxmoxStorage[]): readonly Finding[] {
  if (storages.length === 0) {
    return [
      finding(
        'Storages',
        'unknown',
        'No storage is shown: there is none, or the API token may see none (Datastore.Audit on /storage).',
      ),
    ];
  }
  return storages.toSorted((a, b) => a.storage.localeCompare(b.storage)).map(judgeStorage);
}

function judgeStorage({ storage, type, enabled, active, total = 0, used = 0 }: ProxmoxStorage): Finding {
  const name = cleanLine(storage, 100);
  if (!enabled) return finding(name, 'skipped', `${name} is switched off in its definition.`);
  if (!active) {
    return finding(
      name,
      'failed',
      `${name} (${cleanLine(type, 30)}) is not active: its server, disk or mount is away.`,
      {
        remedy: `Run on the host: pvesm status --storage ${name}; for NFS, CIFS and PBS see whether the server answers`,
      },
    );
  }
  if (!(total > 0)) return finding(name, 'ok', `${name} is active; it doesn't tell its size.`);
  const percent = (100 * used) / total;
  const summary = `${name} is ${percent.toFixed(0)} % full: ${readableBytes(Math.max(0, total - used))} of ${readableBytes(total)} free.`;
  if (percent < storageWarning) return finding(name, 'ok', summary);
  return finding(name, percent >= storageFailed ? 'failed' : 'warning', summary, {
    remedy: 'Remove old backups, ISO images and disks that no guest uses (under the storage, Content), or enlarge it.',
  });
}
