import { Context } from '@temporalio/activity';
import { encryptInto } from '../../backups/copies/encrypt.ts';
import { readIdentity } from '../../backups/copies/identity.ts';
import { bringTo } from '../../backups/copies/remotes.ts';
import { type Copy, type CopyProof, type CopyStore, createCopyStore } from '../../backups/copies/store.ts';
import { type KeptBackup, planRetention, type RetentionPlan } from '../../backups/plan-retention.ts';
import type { Config, HostConfig } from '../../config.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { type Archive, type Backups, listBackups } from '../../hosts/commands/back-up/archives.ts';
import { keepOf } from '../../hosts/commands/back-up/kept-backups.ts';
import { callLine } from '../../hosts/commands/call-line.ts';
import { type CopyState, copyState, sendBackup } from '../../hosts/commands/copy-backups/send-backup.ts';
import { progressing } from '../../hosts/execution/stillness.ts';
import type { Host, Hosts } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { judgeRecipients } from './recipients.ts';

export const queue = 'host';

/** An archive that is to be copied. */
export interface ToCopy {
  readonly backup: string;
  readonly bytes: number;
  /** Of the archive, as the host has verified it. */
  readonly sha256: string;
  readonly publishedAt?: string;
}

/** A copy that is there. */
export interface KnownCopy {
  readonly backup: string;
  readonly bytes: number;
  readonly madeAt: string;
  readonly state: Copy['state'];
  readonly checkedAt?: string;
  readonly proves?: 'ciphertext' | 'content';
  /** Further places where it was proved to lie. */
  readonly places: readonly string[];
}

export interface CopiesLook {
  readonly folder: string;
  /** What stands in the way of any copy, or makes it worth less. */
  readonly findings: readonly Finding[];
  /** undefined: no copy can be made. */
  readonly by?: 'host' | 'service';
  readonly recipients: readonly string[];
  /** The newest first. */
  readonly missing: readonly ToCopy[];
  /** Verified archives that were made before there were manifests: nobody could tell whether a copy of them is whole. */
  readonly unsealed: readonly string[];
  /** The newest first. */
  readonly copies: readonly KnownCopy[];
  /** Further places, as BACKUP_REMOTES names them. */
  readonly places: readonly string[];
  /** What would be asked of the host. */
  readonly calls: readonly string[];
}

export interface CopiedBackup {
  readonly backup: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The copies of a host's backups. All may be done again at any time. */
export interface CopyBackupsActivities {
  /** @param backup - only this archive */
  lookAtCopies(input: { readonly host: string; readonly backup?: string | undefined }): Promise<CopiesLook>;
  /** Streams one archive off the host. One that has a whole copy isn't sent again. */
  copyBackup(input: { readonly host: string; readonly archive: ToCopy }): Promise<CopiedBackup>;
  /** Compares a copy with what was written; with an identity of the service's own also with its sealed manifest. */
  verifyCopy(input: { readonly host: string; readonly backup: string }): Promise<CopyProof>;
  /** Removes what was begun of copies and is written to no more. */
  dropParts(input: { readonly host: string }): Promise<void>;
  /** Brings a copy to a further place, and reads it back there. */
  bringCopy(input: { readonly host: string; readonly backup: string; readonly place: string }): Promise<void>;
  /**
   * Removes copies by the rules of the host's own backups: never the last ones that are whole, none whose archive is still on the
   * host, which would only be copied again, and nothing where something looks wrong.
   *
   * @param dryRun - only says which
   */
  retainCopies(input: { readonly host: string; readonly dryRun: boolean }): Promise<RetentionPlan>;
}

export function createCopyBackupsActivities({
  hosts,
  config,
}: {
  readonly hosts: Hosts;
  readonly config: Config;
}): CopyBackupsActivities {
  const store = createCopyStore(config.copies.folder);
  const signal = () => Context.current().cancellationSignal;
  return {
    async lookAtCopies({ host: name, backup }) {
      const host = hosts.get(name);
      const options = { signal: signal() };
      const [{ archives }, state] = await Promise.all([
        host.run(listBackups, {}, options),
        host.run(copyState, {}, options),
      ]);
      const { by, findings } = judgeRecipients(host.config, state);
      const copies = store.list(name);
      const verified = archives
        .filter((archive) => archive.state === 'verified' && (backup === undefined || archive.id === backup))
        .sort((a, b) => (b.publishedAt ?? '').localeCompare(a.publishedAt ?? ''));
      if (backup !== undefined && verified.length === 0) throw notThere(name, backup);
      const lacking = verified.filter(({ id }) => copies.find((copy) => copy.backup === id)?.state !== 'whole');
      const missing = lacking.filter(({ id }) => state.sendable.includes(id)).map(toCopy);
      return {
        folder: store.folder,
        findings: [...findings, ...state.brought.map((id) => leftDecrypted(host.config, id))],
        ...(by !== undefined && { by }),
        recipients: state.recipients,
        missing,
        unsealed: lacking.filter(({ id }) => !state.sendable.includes(id)).map(({ id }) => id),
        copies: copies.map(knownCopy),
        places: config.copies.remotes,
        calls: by === undefined ? [] : missing.map((one) => callOf(host, one.backup, by)),
      };
    },

    async copyBackup({ host: name, archive }) {
      const host = hosts.get(name);
      const known = store.find(name, archive.backup);
      if (known?.state === 'whole' && known.archive.sha256 === archive.sha256) return copied(known);
      const state = await host.run(copyState, {}, { signal: signal() });
      const { by } = judgeRecipients(host.config, state);
      if (by === undefined) throw nobodyToEncryptTo(name);
      return copied(await withHeartbeat(() => receive(store, host, archive, { by, state })));
    },

    async verifyCopy({ host, backup }) {
      const { identityFile } = config.copies;
      const identity =
        identityFile === undefined
          ? undefined
          : await readIdentity(identityFile, async () => {
              throw protectedIdentity(identityFile);
            });
      return await withHeartbeat(() => store.verify(host, backup, identity, { signal: signal() }));
    },

    dropParts: ({ host }) => store.dropParts(host),

    async bringCopy({ host, backup, place }) {
      const copy = store.find(host, backup);
      if (copy?.state !== 'whole') throw notThere(host, backup);
      await withHeartbeat(() => bringTo(place, copy, { signal: signal() }));
      store.placed(host, backup, place);
    },

    async retainCopies({ host: name, dryRun }) {
      const host = hosts.get(name);
      const onHost = await host.run(listBackups, {}, { signal: signal() });
      const plan = planCopyRetention(host.config, store.list(name), onHost, new Date());
      if (!dryRun) for (const id of plan.remove) await store.remove(name, id);
      return plan;
    },
  };
}

/** Which copies go, by what is configured for the host's own backups. */
function planCopyRetention(host: HostConfig, copies: readonly Copy[], onHost: Backups, now: Date): RetentionPlan {
  const backups = copies.flatMap(({ backup, bytes, state, madeAt, archive }): KeptBackup[] => {
    if (state === 'gone') return [];
    const provenAt = onHost.proven.find(({ id }) => id === backup)?.at;
    return [
      {
        id: backup,
        bytes,
        state: state === 'whole' ? 'verified' : 'changed',
        writtenAt: madeAt,
        publishedAt: archive.publishedAt ?? madeAt,
        isProtected: onHost.protected.includes(backup) || onHost.archives.some(({ id }) => id === backup),
        ...(provenAt !== undefined && { provenAt }),
      },
    ];
  });
  const gone = copies.filter(({ state }) => state === 'gone').map(({ backup }) => backup);
  const options = { keep: keepOf(host), timeZone: host.timeZone, now };
  return planRetention({ now: now.toISOString(), backups, gone }, options);
}

/** Without a byte for so long the stream is dead; ms. Before the first one the host reads and encrypts, no longer. */
const stillMs = 120_000;

async function receive(
  store: CopyStore,
  host: Host,
  archive: ToCopy,
  { by, state }: { readonly by: 'host' | 'service'; readonly state: CopyState },
): Promise<Copy> {
  const context = Context.current();
  const progress = progressing(stillMs, context.cancellationSignal);
  const { backup, bytes, sha256, publishedAt } = archive;
  const of = {
    recipients: [...state.recipients],
    encryptedBy: by,
    archive: { bytes, sha256, ...(publishedAt !== undefined && { publishedAt }) },
  };
  try {
    return await store.write(
      host.name,
      backup,
      of,
      async (to) => {
        if (by === 'host')
          return await host.run(sendBackup, { backup, how: 'age' }, { stdoutTo: to, signal: progress.signal });
        const { input, done } = await encryptInto(state.recipients, to);
        const [sent] = await Promise.all([
          host.run(sendBackup, { backup, how: 'plain' }, { stdoutTo: input, signal: progress.signal }),
          done,
        ]);
        return sent;
      },
      {
        onBytes(written) {
          progress.touch();
          context.heartbeat({ backup, bytes: written });
        },
      },
    );
  } catch (error) {
    if (progress.isStill() && isServiceError(error, 'cancelled')) throw still(host.name, backup, error);
    throw error;
  } finally {
    progress.clear();
  }
}

function toCopy({ id, bytes, sha256 = '', publishedAt }: Archive): ToCopy {
  return { backup: id, bytes, sha256, ...(publishedAt !== undefined && { publishedAt }) };
}

function knownCopy({ backup, bytes, madeAt, state, checked, places }: Copy): KnownCopy {
  return {
    backup,
    bytes,
    madeAt,
    state,
    ...(checked && { checkedAt: checked.at, proves: checked.proves }),
    places: Object.keys(places),
  };
}

function leftDecrypted({ name, layout }: HostConfig, backup: string): Finding {
  return {
    check: 'Brought back',
    verdict: 'warning',
    summary: `${backup} was brought to ${name} more than a day ago and never admitted: it lies decrypted in ${layout.state}/incoming/${backup}.`,
    remedy: `Bring it again: npx proxmox-mcp host bring-backup ${name} ${backup} --identity FILE; or remove that folder on the host as root.`,
  };
}

function copied({ backup, bytes, sha256 }: Copy): CopiedBackup {
  return { backup, bytes, sha256 };
}

function callOf(host: Host, backup: string, by: 'host' | 'service'): string {
  return callLine(host.config, sendBackup, { backup, how: by === 'host' ? 'age' : 'plain' });
}

function notThere(host: string, backup: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no verified archive ${backup} on ${host}`,
    remedy: `See which there are: npx proxmox-mcp list-backups --host ${host}`,
    details: { host },
  });
}

function nobodyToEncryptTo(host: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `Nobody is named on ${host} to whom copies of its backups could be encrypted`,
    remedy: `Set BACKUP_RECIPIENTS, then run: npx proxmox-mcp host install ${host}`,
    details: { host },
  });
}

function still(host: string, backup: string, cause: unknown): ServiceError {
  return new ServiceError({
    code: 'timeout',
    message: `The copy of ${backup} of ${host} stood still for ${stillMs / 1000} s and was given up`,
    remedy: 'It is begun again by itself; look at the network and the load of the host if that stays.',
    retryable: true,
    cause,
    details: { host },
  });
}

function protectedIdentity(file: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `BACKUP_IDENTITY_FILE, ${file}, is protected by a passphrase, which nobody types here`,
    remedy: 'Name a file with mode 0600 without a passphrase, or leave the key out.',
  });
}
