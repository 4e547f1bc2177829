import { expect } from 'vitest';
import { type BackupInput, createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { ServiceError } from '../../../src/errors.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import type { TestHost } from '../../support/local-host.ts';

/** The host takes only names of its own present. */
export const id = freeBackupId('daily', Date.now(), []);
/** The top folder in its archive. */
export const top = id.replace('-backup', '');
export const input: BackupInput = { host: 'pve1', id, fence: 1 };

/** What there is of a published archive, by name. */
export const filesOf = (one: string, ending = 'tar.gz') =>
  ['manifest', 'manifest.sig', ending, `${ending}.sha256`].map((end) => `${one}.${end}`).sort();

/** The steps as the workflow does them; what each of them answered. */
export async function backUp(one: TestHost, given: BackupInput = input) {
  const activities = createBackupActivities(one);
  const collected = await one.run(() => activities.collectBackup(given));
  const own = await one.run(() => activities.collectHost(given));
  const archived = await one.run(() => activities.archiveVolumes({ ...given, volumes: collected.volumes }));
  const packed = await one.run(() => activities.packBackup(given));
  const verified = await one.run(() => activities.verifyBackup(given));
  const published = await one.run(() => activities.publishBackup({ ...given, sha256: verified.sha256 }));
  return { collected, own, archived, packed, verified, published };
}

/** What is found on a host. */
export async function lookFor(one: TestHost, anyTarget = false) {
  return await one.run(() => createBackupActivities(one).lookForBackup({ host: 'pve1', kind: 'daily', anyTarget }));
}

export async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ServiceError);
  return error as ServiceError;
}
