// Made by `npm run generate` from the files of this folder. Don't edit.
import { backUp } from './back-up.ts';
import { changeGuests } from './change-guests.ts';
import { changePolicy } from './change-policy.ts';
import { checkHealth } from './check-health.ts';
import { controlGuest } from './control-guest.ts';
import { controlService } from './control-service.ts';
import { listBackups } from './list-backups.ts';
import { snapshotGuest } from './snapshot-guest.ts';
import type { OperationDefinition } from './definition.ts';

/** Every operation, by name, with its own types. */
const typed = {
  'back-up': backUp,
  'change-guests': changeGuests,
  'change-policy': changePolicy,
  'check-health': checkHealth,
  'control-guest': controlGuest,
  'control-service': controlService,
  'list-backups': listBackups,
  'snapshot-guest': snapshotGuest,
};

export type OperationName = keyof typeof typed;

/** Every operation, by name. */
export const catalogue: Readonly<Record<OperationName, OperationDefinition>> = typed;
