// Made by `npm run generate` from the files of this folder. Don't edit.
import { addDisk } from './add-disk.ts';
import { backUp } from './back-up.ts';
import { changeGuestFirewall } from './change-guest-firewall.ts';
import { changeGuests } from './change-guests.ts';
import { changeHa } from './change-ha.ts';
import { changePolicy } from './change-policy.ts';
import { changeReplication } from './change-replication.ts';
import { checkHealth } from './check-health.ts';
import { configureGuest } from './configure-guest.ts';
import { controlGuest } from './control-guest.ts';
import { controlService } from './control-service.ts';
import { downloadImage } from './download-image.ts';
import { fetchFile } from './fetch-file.ts';
import { listBackups } from './list-backups.ts';
import { migrateGuest } from './migrate-guest.ts';
import { moveDisk } from './move-disk.ts';
import { removeDisk } from './remove-disk.ts';
import { resizeDisk } from './resize-disk.ts';
import { runInGuest } from './run-in-guest.ts';
import { sendFile } from './send-file.ts';
import { snapshotGuest } from './snapshot-guest.ts';
import type { OperationDefinition } from './definition.ts';

/** Every operation, by name, with its own types. */
const typed = {
  'add-disk': addDisk,
  'back-up': backUp,
  'change-guest-firewall': changeGuestFirewall,
  'change-guests': changeGuests,
  'change-ha': changeHa,
  'change-policy': changePolicy,
  'change-replication': changeReplication,
  'check-health': checkHealth,
  'configure-guest': configureGuest,
  'control-guest': controlGuest,
  'control-service': controlService,
  'download-image': downloadImage,
  'fetch-file': fetchFile,
  'list-backups': listBackups,
  'migrate-guest': migrateGuest,
  'move-disk': moveDisk,
  'remove-disk': removeDisk,
  'resize-disk': resizeDisk,
  'run-in-guest': runInGuest,
  'send-file': sendFile,
  'snapshot-guest': snapshotGuest,
};

export type OperationName = keyof typeof typed;

/** Every operation, by name. */
export const catalogue: Readonly<Record<OperationName, OperationDefinition>> = typed;
