// Made by `npm run generate` from the files of this folder. Don't edit.
import { addDisk } from './add-disk.ts';
import { backUpGuest } from './back-up-guest.ts';
import { backUpService } from './back-up-service.ts';
import { backUp } from './back-up.ts';
import { browseBackup } from './browse-backup.ts';
import { browseGuestBackup } from './browse-guest-backup.ts';
import { changeApi } from './change-api.ts';
import { changeGuestFirewall } from './change-guest-firewall.ts';
import { changeGuests } from './change-guests.ts';
import { changeHa } from './change-ha.ts';
import { changePolicy } from './change-policy.ts';
import { changeReplication } from './change-replication.ts';
import { checkBackupServer } from './check-backup-server.ts';
import { checkHealth } from './check-health.ts';
import { cloneGuest } from './clone-guest.ts';
import { compareBackups } from './compare-backups.ts';
import { configureGuest } from './configure-guest.ts';
import { controlGuest } from './control-guest.ts';
import { controlService } from './control-service.ts';
import { convertToTemplate } from './convert-to-template.ts';
import { copyBackups } from './copy-backups.ts';
import { createContainer } from './create-container.ts';
import { createVm } from './create-vm.ts';
import { deleteGuest } from './delete-guest.ts';
import { deleteSnapshot } from './delete-snapshot.ts';
import { downloadImage } from './download-image.ts';
import { fetchFile } from './fetch-file.ts';
import { labelGuest } from './label-guest.ts';
import { listBackups } from './list-backups.ts';
import { maintainBackupServer } from './maintain-backup-server.ts';
import { migrateGuest } from './migrate-guest.ts';
import { moveDisk } from './move-disk.ts';
import { removeDisk } from './remove-disk.ts';
import { resizeDisk } from './resize-disk.ts';
import { restoreGuest } from './restore-guest.ts';
import { restore } from './restore.ts';
import { resumeGuest } from './resume-guest.ts';
import { rollBackGuest } from './roll-back-guest.ts';
import { runInGuest } from './run-in-guest.ts';
import { sendFile } from './send-file.ts';
import { snapshotGuest } from './snapshot-guest.ts';
import { suspendGuest } from './suspend-guest.ts';
import { verifyBackups } from './verify-backups.ts';
import type { OperationDefinition } from './definition.ts';

/** Every operation, by name, with its own types. */
const typed = {
  'add-disk': addDisk,
  'back-up-guest': backUpGuest,
  'back-up-service': backUpService,
  'back-up': backUp,
  'browse-backup': browseBackup,
  'browse-guest-backup': browseGuestBackup,
  'change-api': changeApi,
  'change-guest-firewall': changeGuestFirewall,
  'change-guests': changeGuests,
  'change-ha': changeHa,
  'change-policy': changePolicy,
  'change-replication': changeReplication,
  'check-backup-server': checkBackupServer,
  'check-health': checkHealth,
  'clone-guest': cloneGuest,
  'compare-backups': compareBackups,
  'configure-guest': configureGuest,
  'control-guest': controlGuest,
  'control-service': controlService,
  'convert-to-template': convertToTemplate,
  'copy-backups': copyBackups,
  'create-container': createContainer,
  'create-vm': createVm,
  'delete-guest': deleteGuest,
  'delete-snapshot': deleteSnapshot,
  'download-image': downloadImage,
  'fetch-file': fetchFile,
  'label-guest': labelGuest,
  'list-backups': listBackups,
  'maintain-backup-server': maintainBackupServer,
  'migrate-guest': migrateGuest,
  'move-disk': moveDisk,
  'remove-disk': removeDisk,
  'resize-disk': resizeDisk,
  'restore-guest': restoreGuest,
  restore: restore,
  'resume-guest': resumeGuest,
  'roll-back-guest': rollBackGuest,
  'run-in-guest': runInGuest,
  'send-file': sendFile,
  'snapshot-guest': snapshotGuest,
  'suspend-guest': suspendGuest,
  'verify-backups': verifyBackups,
};

export type OperationName = keyof typeof typed;

/** Every operation, by name. */
export const catalogue: Readonly<Record<OperationName, OperationDefinition>> = typed;
