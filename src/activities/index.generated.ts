// Made by `npm run generate` from the folders of this folder. Don't edit.
import { createAnchorActivities } from './anchor-ledger/anchor-ledger.ts';
import { createApiChangeActivities } from './api-change/api-change.ts';
import { createApprovalActivities } from './approvals/approvals.ts';
import { createBackUpServiceActivities } from './back-up-service/back-up-service.ts';
import { createBackupActivities } from './back-up/back-up.ts';
import { createBrowseActivities } from './browse-backup/browse-backup.ts';
import { createChangeApiActivities } from './change-api/change-api.ts';
import { createChangeGuestsActivities } from './change-guests/change-guests.ts';
import { createChangePolicyActivities } from './change-policy/change-policy.ts';
import { createHealthActivities } from './check-health/check-health.ts';
import { createCompareActivities } from './compare-backups/compare-backups.ts';
import { createContactActivities } from './contacts/contacts.ts';
import { createControlGuestActivities } from './control-guest/control-guest.ts';
import { createControlServiceActivities } from './control-service/control-service.ts';
import { createCopyBackupsActivities } from './copy-backups/copy-backups.ts';
import { createGuestActivities } from './guests/guests.ts';
import { createLedgerStoreActivities } from './ledger/ledger.ts';
import { createListBackupsActivities } from './list-backups/list-backups.ts';
import { createListHostsActivities } from './list-hosts/list-hosts.ts';
import { createLockActivities } from './lock/lock.ts';
import { createNotifyActivities } from './notify/notify.ts';
import { createPastChangesActivities } from './past-changes/past-changes.ts';
import { createReadingJobsActivities } from './reading-jobs/reading-jobs.ts';
import { createRestoreActivities } from './restore/restore.ts';
import { createRunInGuestActivities } from './run-in-guest/run-in-guest.ts';
import { createSigningActivities } from './signing/signing.ts';
import { createStopChangesActivities } from './stop-changes/stop-changes.ts';
import { createVerifyBackupsActivities } from './verify-backups/verify-backups.ts';
import { createWatchActivities } from './watch-runs/watch-runs.ts';
import type { ActivityDependencies, LedgerDependencies } from './dependencies.ts';

/** The activities of the hosts’ own queues. */
export function createHostActivities(dependencies: ActivityDependencies) {
  return {
    ...createAnchorActivities(dependencies),
    ...createApiChangeActivities(dependencies),
    ...createBackupActivities(dependencies),
    ...createBrowseActivities(dependencies),
    ...createChangeApiActivities(dependencies),
    ...createChangeGuestsActivities(dependencies),
    ...createHealthActivities(dependencies),
    ...createCompareActivities(dependencies),
    ...createControlGuestActivities(dependencies),
    ...createControlServiceActivities(dependencies),
    ...createCopyBackupsActivities(dependencies),
    ...createGuestActivities(dependencies),
    ...createListBackupsActivities(dependencies),
    ...createReadingJobsActivities(dependencies),
    ...createRestoreActivities(dependencies),
    ...createRunInGuestActivities(dependencies),
    ...createSigningActivities(dependencies),
    ...createStopChangesActivities(dependencies),
    ...createVerifyBackupsActivities(dependencies),
  };
}

/** The activities of the service’s queue. */
export function createServiceActivities(dependencies: ActivityDependencies) {
  return {
    ...createListHostsActivities(dependencies),
    ...createLockActivities(dependencies),
    ...createNotifyActivities(dependencies),
    ...createWatchActivities(dependencies),
  };
}

/** The activities of the ledger’s queue. */
export function createLedgerActivities(dependencies: LedgerDependencies) {
  return {
    ...createApprovalActivities(dependencies),
    ...createBackUpServiceActivities(dependencies),
    ...createChangePolicyActivities(dependencies),
    ...createContactActivities(dependencies),
    ...createLedgerStoreActivities(dependencies),
    ...createPastChangesActivities(dependencies),
  };
}
