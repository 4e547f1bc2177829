// Made by `npm run generate` from the folders of this folder. Don't edit.
import { readAnchors, writeAnchor } from './anchor-ledger/journal.ts';
import { addAdministrator, listAdministrators, removeAdministrator } from './approve/administrators.ts';
import { admitPlan, approvalState } from './approve/plans.ts';
import { allowChanges, liftStop, showStop, stopChanges, switchState } from './approve/switch.ts';
import { acceptBackup, checkArchive, listBackups, makeSeal, protectBackup, removeBackup } from './back-up/archives.ts';
import { showDoubts } from './back-up/doubts.ts';
import { lookForBackup } from './back-up/look-for-backup.ts';
import { abandonBackup, archiveVolume, collectBackup, collectHost, describeBackup, packBackup, publishBackup, verifyBackup } from './back-up/make-backup.ts';
import { containerStates } from './check-health/container-states.ts';
import { healthEndpoint, proxyEndpoint } from './check-health/endpoints.ts';
import { guestSettings, proxmoxArchives, proxmoxFacts, proxmoxServices } from './check-health/proxmox.ts';
import { recentIssues } from './check-health/recent-issues.ts';
import { diskSpace, resourceCounters } from './check-health/resources.ts';
import { securityState } from './check-health/security-state.ts';
import { serviceState } from './check-health/service-state.ts';
import { failedUnits, hostAnswers, pendingUpdates, runningState, updateMarks } from './check-health/upkeep.ts';
import { browseBackup, compareBackups } from './compare-backups/compare.ts';
import { changeUnit, followUnitLog, restoreUnit, unitState } from './control-service/units.ts';
import { admitIncoming, dropIncoming, openIncoming, takeIncoming } from './copy-backups/incoming.ts';
import { copyState, sendBackup } from './copy-backups/send-backup.ts';
import { applyRestore, forgetRestore, lookForRestore, restoreState, stageRestore, undoRestore } from './restore/restore.ts';
import { containerAllows, execInContainer } from './run-in-guest/containers.ts';
import { machineIdentity } from './shared/machine.ts';
import { readArchive, spotCheck } from './verify-backups/archives.ts';
import type { Command } from './command.ts';

/** Every command that the service may run on a host: the policy, the helper, the docs and the tests are made of it. */
export const table: readonly Command[] = [
  writeAnchor,
  readAnchors,
  listAdministrators,
  addAdministrator,
  removeAdministrator,
  admitPlan,
  approvalState,
  stopChanges,
  switchState,
  allowChanges,
  showStop,
  liftStop,
  listBackups,
  checkArchive,
  removeBackup,
  protectBackup,
  makeSeal,
  acceptBackup,
  showDoubts,
  lookForBackup,
  collectBackup,
  collectHost,
  archiveVolume,
  describeBackup,
  packBackup,
  verifyBackup,
  publishBackup,
  abandonBackup,
  containerStates,
  healthEndpoint,
  proxyEndpoint,
  proxmoxFacts,
  proxmoxArchives,
  guestSettings,
  proxmoxServices,
  recentIssues,
  resourceCounters,
  diskSpace,
  securityState,
  serviceState,
  hostAnswers,
  failedUnits,
  runningState,
  pendingUpdates,
  updateMarks,
  compareBackups,
  browseBackup,
  unitState,
  changeUnit,
  restoreUnit,
  followUnitLog,
  openIncoming,
  takeIncoming,
  dropIncoming,
  admitIncoming,
  sendBackup,
  copyState,
  lookForRestore,
  stageRestore,
  applyRestore,
  undoRestore,
  restoreState,
  forgetRestore,
  containerAllows,
  execInContainer,
  machineIdentity,
  readArchive,
  spotCheck,
];
