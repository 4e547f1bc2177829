import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { plainPath } from '../operations/backup-files.ts';
import { browseGuestBackup } from '../operations/browse-guest-backup.ts';
import { readableBytes } from '../reports/units.ts';
import type { CliContext } from './context.ts';
import { listenForInterruption, note, print } from './terminal.ts';

interface FetchOptions {
  readonly host: string;
  readonly to: string;
  readonly tar?: boolean;
}

const noteEvery = 256 * 2 ** 20;

/** `backups fetch`: a file or folder out of a guest's backup, which no model gets to see. */
export function backupsFetchCommand(backups: Command, context: CliContext): void {
  backups
    .command('fetch <archive> <path>')
    .summary("Take a file or folder out of a guest's backup on a Proxmox Backup Server")
    .description(
      'Download a file or folder out of a backup of a VM or container into a file on this machine, through the Proxmox API of a host that has the storage. <archive> is the volume id that list-backups shows, <path> what browse-guest-backup lists: root.pxar.didx/etc/hosts, drive-scsi0.img.fidx/part/1/home/anna. A folder comes as zip, or with --tar as tar.zst, which keeps owners, modes and links. The file has its name only when it is known to be whole.',
    )
    .requiredOption('--host <name>', 'A configured host that has the storage')
    .requiredOption('--to <file>', 'Where it is written, mode 0600; it must not be there yet')
    .option('--tar', 'Of a folder: tar.zst in place of zip')
    .action(async (given: string, wanted: string, { host, to, tar = false }: FetchOptions) => {
      const archive = archiveOf(given);
      const path = plainPath(wanted);
      const target = resolve(to);
      if (path === '') {
        throw new ServiceError({
          code: 'invalid-input',
          message: 'A backup as a whole is no folder',
          remedy: 'Name a folder in it, e.g. root.pxar.didx/etc; the whole guest comes back by restore-guest.',
        });
      }
      if (statSync(target, { throwIfNoEntry: false }) !== undefined) {
        throw new ServiceError({
          code: 'already-exists',
          message: `${target} is there already, and nothing is written over it`,
          remedy: 'Name another file with --to.',
        });
      }
      const config = await context.config();
      const [{ createProxmoxApis }, { createLogger }, { fetchFromBackup }] = await Promise.all([
        import('../proxmox/connect.ts'),
        import('../logger.ts'),
        import('../proxmox/file-restore.ts'),
      ]);
      const log = createLogger({ level: 'error', name: 'cli' });
      const apis = createProxmoxApis(config, log, { learns: false });
      const interruption = listenForInterruption();
      let said = 0;
      try {
        const client = apis.get(host);
        const { signal } = interruption;
        const node = await apis.node(host, { signal });
        const { kind, bytes } = await fetchFromBackup(client, { node, archive, path, tar }, target, {
          signal,
          onBytes(length) {
            if (length - said < noteEvery) return;
            said = length;
            note(`${readableBytes(length)} came`);
          },
        });
        const what = kind === 'file' ? '' : `, a ${kind}`;
        print(`${target} is there: ${readableBytes(bytes)}${what}. It is as secret as it was in the guest.`);
        if (kind === 'tar.zst') note(`Nobody has read it through yet: tar --zstd -tf ${target}`);
      } finally {
        interruption.dispose();
        await apis.close();
      }
    });
}

function archiveOf(given: string): string {
  const { data, error } = browseGuestBackup.input.shape.archive.safeParse(given);
  if (data !== undefined) return data;
  throw new ServiceError({
    code: 'invalid-input',
    message: `"${given.slice(0, 100)}" is no backup: ${error?.issues[0]?.message ?? ''}`,
    remedy: 'Take it from: npx proxmox-mcp list-backups',
  });
}
