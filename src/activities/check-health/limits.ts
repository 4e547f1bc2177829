/** Where a health check starts to warn, and why there. */

/** Percent. Four fifths full leaves days to react; Debian's own tools and most monitors warn there. */
export const diskWarning = 80;
/** Percent. ext4 keeps 5 % for root: past it the service can't write, and neither can a backup. */
export const diskFailed = 95;

/** Percent of what can't be reclaimed. Above it the kernel begins to push out the file cache that guests live from. */
export const memoryWarning = 80;
/** Percent. The next guest that grows calls the out-of-memory killer, which on a Proxmox host ends guests. */
export const memoryFailed = 95;
/** Percent of swap in use: harmless when it holds what nobody needs, so it never fails. */
export const swapWarning = 80;

/** Percent over one second. A busy moment is no fault, so processor time only ever warns. */
export const cpuWarning = 90;
export const cpuSampleMs = 1_000;

/** Refused logins of the service's user in 24 hours. It has a key: one may be a slip, twenty are somebody trying. */
export const authenticationFailed = 20;

/** Restarts of a container since it was made: once can be an update of Docker, more is a loop. */
export const restartsWarning = 3;

/** Hours. A backup each night, and two hours for one that lasts longer than the last. */
export const backupWarningHours = 26;
/** Hours. Two nights were missed. */
export const backupFailedHours = 50;

/** A clock that is wrong by more than a day names archives, judges their age and counts logs by the wrong day. In ms. */
export const clockFailedMs = 24 * 3_600_000;

/** Seconds that the health endpoint may take before it is worth a look. */
export const slowEndpoint = 2;

/**
 * Hours, for guests whose last two backups lie further apart than a nightly one's may, or that have only one: they are
 * backed up weekly, and a week's was missed. Of others, two nights as above.
 */
export const weeklyBackupFailedHours = 8 * 24;

/** Load over fifteen minutes for each processor. Work has waited for all that time; it may be a backup, so it only warns. */
export const loadWarning = 2;

/** Percent of a storage. */
export const storageWarning = 85;
/** Percent of a storage: thin pools and copy-on-write file systems stop their guests when nothing is left. */
export const storageFailed = 95;

/** Days since apt's lists were made: older ones say nothing of what is to be upgraded today. */
export const packageListsDays = 8;

/** A host is given up as away after so many ms, a quick second try included. */
export const reachMs = 12_000;
/** A first try that failed as soon as this is worth a second one. */
export const retryReachMs = 4_000;

/** How many guests are told one by one; of more, those that are well are one line. */
export const guestsOneByOne = 12;
/** Whose settings are asked for one by one through the API. */
export const guestsAsked = 300;
