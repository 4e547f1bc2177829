import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import { escapeName, parseEntry } from '../../backups/manifest.ts';
import { ServiceError } from '../../errors.ts';
import { listBackups } from '../../hosts/commands/back-up/archives.ts';
import { lastGood } from '../../hosts/commands/back-up/last-good.ts';
import { browseBackup } from '../../hosts/commands/compare-backups/compare.ts';
import type { Hosts } from '../../hosts/host.ts';
import type { browseBackup as definition } from '../../operations/browse-backup.ts';
import { cleanLine } from '../../reports/clean.ts';

export const queue = 'host';

export type BackupFolder = z.output<typeof definition.output> & { readonly notUnderstood: number };

/** Looks into an archive. */
export interface BrowseActivities {
  browseBackup(input: {
    readonly host: string;
    readonly backup?: string | undefined;
    readonly folder: string;
    readonly after: number;
  }): Promise<BackupFolder>;
}

export function createBrowseActivities({ hosts }: { readonly hosts: Hosts }): BrowseActivities {
  return {
    async browseBackup({ host: name, backup, folder, after }) {
      const host = hosts.get(name);
      const options = { signal: Context.current().cancellationSignal };
      const id = backup ?? lastGood(await host.run(listBackups, {}, options))?.id;
      if (id === undefined) {
        throw new ServiceError({
          code: 'not-found',
          message: `${name} has no good backup to look into`,
          remedy: `Name one: npx proxmox-mcp list-backups --host ${name}`,
        });
      }
      const at = folder.replace(/^\.?\/+|\/+$/g, '');
      const encoded = `f${Buffer.from(escapeName(at)).toString('base64url')}`;
      const { total, entry, notUnderstood } = await host.run(
        browseBackup,
        { backup: id, folder: encoded, from: String(after) },
        options,
      );
      const entries = entry.flatMap((line) => read(line, at) ?? []);
      return {
        backup: id,
        folder: at,
        total,
        entries,
        notUnderstood: notUnderstood + entry.length - entries.length,
      };
    },
  };
}

/** An entry as a reader sees it; the host has left its checksum out. */
function read(line: string, folder: string): BackupFolder['entries'][number] | undefined {
  const implied = /^d - - 0 0 - (.+)$/.exec(line)?.[1];
  const name = (path: string) => cleanLine(folder === '' ? path : path.slice(folder.length + 1), 300);
  if (implied !== undefined) return { name: name(implied), type: 'folder', bytes: 0, mode: '', owner: '' };
  // What the manifest's own parser takes has a checksum in that place where it is a file.
  const entry = parseEntry(
    line.replace(/^((\S) (?:\S+ ){5})/, (_, words, type) => `${words}${type === 'f' ? '0'.repeat(64) : '-'} `),
  );
  if (entry === undefined) return undefined;
  const { path, type, bytes, mode, uid, gid, modified, target } = entry;
  return {
    name: name(path),
    type,
    bytes,
    mode: mode.toString(8),
    owner: `${uid}:${gid}`,
    ...(modified >= 0 && modified < 253_402_300_800 && { modified: new Date(modified * 1000).toISOString() }),
    ...(target !== undefined && { target: cleanLine(target, 300) }),
  };
}
