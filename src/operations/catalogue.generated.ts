// Made by `npm run generate` from the files of this folder. Don't edit.
import { addDisk } from './add-disk.ts';
import { backUp } from './back-up.ts';
import { changeApi } from './change-api.ts';
import { changeGuests } from './change-guests.ts';
import { changePolicy } from './change-policy.ts';
import { checkHealth } from './check-health.ts';
import { cloneGuest } from './clone-guest.ts';
import { configureGuest } from './configure-guest.ts';
import { controlGuest } from './control-guest.ts';
import { controlService } from './control-service.ts';
import { convertToTemplate } from './convert-to-template.ts';
import { createContainer } from './create-container.ts';
import { createVm } from './create-vm.ts';
import { deleteGuest } from './delete-guest.ts';
import { deleteSnapshot } from './delete-snapshot.ts';
import { downloadImage } from './download-image.ts';
import { labelGuest } from './label-guest.ts';
import { listBackups } from './list-backups.ts';
import { migrateGuest } from './migrate-guest.ts';
import { moveDisk } from './move-disk.ts';
import { removeDisk } from './remove-disk.ts';
import { resizeDisk } from './resize-disk.ts';
import { resumeGuest } from './resume-guest.ts';
import { rollBackGuest } from './roll-back-guest.ts';
import { snapshotGuest } from './snapshot-guest.ts';
import { suspendGuest } from './suspend-guest.ts';
import type { OperationDefinition } from './definition.ts';

/** Every operation, by name, with its own types. */
const typed = {
  'add-disk': addDisk,
  'back-up': backUp,
  'change-api': changeApi,
  'change-guests': changeGuests,
  'change-policy': changePolicy,
  'check-health': checkHealth,
  'clone-guest': cloneGuest,
  'configure-guest': configureGuest,
  'control-guest': controlGuest,
  'control-service': controlService,
  'convert-to-template': convertToTemplate,
  'create-container': createContainer,
  'create-vm': createVm,
  'delete-guest': deleteGuest,
  'delete-snapshot': deleteSnapshot,
  'download-image': downloadImage,
  'label-guest': labelGuest,
  'list-backups': listBackups,
  'migrate-guest': migrateGuest,
  'move-disk': moveDisk,
  'remove-disk': removeDisk,
  'resize-disk': resizeDisk,
  'resume-guest': resumeGuest,
  'roll-back-guest': rollBackGuest,
  'snapshot-guest': snapshotGuest,
  'suspend-guest': suspendGuest,
};

export type OperationName = keyof typeof typed;

/** Every operation, by name. */
export const catalogue: Readonly<Record<OperationName, OperationDefinition>> = typed;
