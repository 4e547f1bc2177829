import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readRecipients } from '../../backups/copies/recipients.ts';
import {
  checkService,
  collectService,
  packService,
  publishService,
  unpackService,
} from '../../backups/service/archive.ts';
import {
  serviceBackupId,
  serviceBackupOf,
  serviceBackups,
  serviceBackupsToRemove,
} from '../../backups/service/names.ts';
import type { Config } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { requireUnbroken } from '../../ledger/verify-folder.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';

export const queue = 'ledger';

/** What would be backed up, and where to. */
export interface ServiceLook {
  readonly folder: string;
  /** Of the archives that are there, newest first. */
  readonly archives: readonly string[];
  readonly temporal: boolean;
}

export interface PackedService {
  readonly files: number;
  readonly bytes: number;
}

export type BackUpServiceActivities = ReturnType<typeof createBackUpServiceActivities>;

/** The archives of the service itself, made by the process that has the ledger open and the data folder before it. */
export function createBackUpServiceActivities({
  config,
  configFolder,
  ledger,
}: {
  readonly config: Config;
  readonly configFolder: string;
  readonly ledger: Ledger;
}) {
  const folder = serviceBackups(config);
  const archive = (id: string) => join(folder, `${id}.tar.gz`);
  const draft = (id: string) => join(folder, `.${id}.tar.gz.tmp`);
  const work = (id: string) => join(folder, `.${id}.work`);
  const ownTemporal = config.temporal.address === undefined;

  function archives(): readonly string[] {
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .flatMap((name) => serviceBackupOf(name) ?? [])
      .sort()
      .reverse();
  }

  return {
    /** Changes nothing. Throws `configuration` where a host's backup has all of this. */
    async lookAtService(): Promise<ServiceLook> {
      if (config.compose !== undefined) throw inContainers();
      return { folder, archives: archives(), temporal: ownTemporal };
    },

    /** Packs under a temporary name. Done again it begins anew. */
    async packService({ at }: { readonly at: number }): Promise<PackedService> {
      const id = serviceBackupId(at);
      return withHeartbeat(async () => {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        removeDrafts();
        try {
          const { dataDir, accessDir } = config;
          const sources = { dataDir, accessDir, configFolder, ownTemporal, copyLedger: ledger.copyTo };
          const { files } = await collectService(sources, work(id));
          await packService(work(id), draft(id));
          return { files, bytes: statSync(draft(id)).size };
        } finally {
          rmSync(work(id), { recursive: true, force: true });
        }
      });
    },

    /** Reads it back, and opens each database of it. Throws `unreadable` and `verification-failed`. */
    async verifyServiceArchive({ at }: { readonly at: number }): Promise<PackedService> {
      const id = serviceBackupId(at);
      return withHeartbeat(async () => {
        try {
          await unpackService(draft(id), work(id));
          const { files } = await checkService(work(id), (folder) =>
            requireUnbroken(folder, {
              called: 'The ledger in it',
              remedy: 'Look at the one that is in use: npx proxmox-mcp ledger verify',
            }),
          );
          return { files, bytes: statSync(draft(id)).size };
        } finally {
          rmSync(work(id), { recursive: true, force: true });
        }
      });
    },

    /** Gives it its name; done again it has it. */
    async publishServiceArchive({ at }: { readonly at: number }): Promise<string> {
      const id = serviceBackupId(at);
      const isThere = () => [archive(id), `${archive(id)}.age`].some((path) => existsSync(path));
      const recipients = readRecipients(config.serviceBackups.recipients, 'SERVICE_BACKUP_RECIPIENTS');
      if (existsSync(draft(id))) await withHeartbeat(() => publishService(draft(id), archive(id), recipients));
      if (isThere()) return id;
      throw new ServiceError({
        code: 'unreadable',
        message: `Neither ${archive(id)} nor its draft is there: somebody has removed it`,
        remedy: 'Back up again.',
      });
    },

    /** Removes those that the newest 14 leave over; never the one that was just made. Their ids. */
    async removeOldServiceArchives({ at }: { readonly at: number }): Promise<readonly string[]> {
      const going = serviceBackupsToRemove(archives(), serviceBackupId(at));
      for (const id of going) for (const end of ['', '.age']) rmSync(`${archive(id)}${end}`, { force: true });
      return going;
    },

    /** The undo: what was not published. */
    async removeServiceDrafts(): Promise<void> {
      removeDrafts();
    },
  };

  function removeDrafts(): void {
    if (!existsSync(folder)) return;
    for (const name of readdirSync(folder)) {
      if (/^\.service-backup-.*\.(tmp|work)$/.test(name)) rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

function inContainers(): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message:
      'The service runs in containers, and the backup of its host has their volumes: there is nothing else to back up',
    remedy: 'Back up the host that it runs on: npx proxmox-mcp back-up --host NAME',
  });
}
