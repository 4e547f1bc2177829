// Made by `npm run generate` from the files of this folder. Don't edit.
import { snapshotGuest as snapshotGuestOperation } from '../operations/snapshot-guest.ts';
import { apiChangeWorkflow } from './lib/api-change.ts';
export { anchorLedger } from './anchor-ledger.ts';
export { askLedger } from './ask-ledger.ts';
export { backUp } from './back-up.ts';
export { changeGuests } from './change-guests.ts';
export { changePolicy } from './change-policy.ts';
export { changeSwitch } from './change-switch.ts';
export { checkHealth } from './check-health.ts';
export { controlGuest } from './control-guest.ts';
export { controlService } from './control-service.ts';
export { guestBatch } from './guest-batch.ts';
export { listBackups } from './list-backups.ts';
export { targetLock } from './target-lock.ts';
export { watchRuns } from './watch-runs.ts';
export const snapshotGuest = apiChangeWorkflow(snapshotGuestOperation);
