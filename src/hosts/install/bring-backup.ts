import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { parseSeal } from '../../backups/copies/seal.ts';
import type { HostConfig } from '../../config.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { fingerprintOf } from '../../ssh-wire.ts';
import { admitIncoming, dropIncoming, openIncoming, takeIncoming } from '../commands/copy-backups/incoming.ts';
import { progressing } from '../execution/stillness.ts';
import { admitBackupText } from '../signed-plan.ts';
import type { Administrator } from './administrator.ts';
import { type Access, runBrought, withAdministrator } from './brought.ts';

/** A file of a backup, as it is decrypted here. */
export interface BroughtFile {
  readonly kind: 'manifest' | 'seal' | 'archive';
  readonly bytes: number;
  readonly content: AsyncIterable<Buffer>;
}

/** Who has made what is brought, as far as its manifest and the seal on that say: anybody who knows the recipients can make a copy. */
export interface Provenance {
  /** Lines of the manifest: of which host it says that it is, with which versions. */
  readonly says: readonly string[];
  /** Fingerprint of the key that has sealed it; undefined: no seal of a host holds. */
  readonly sealedBy?: string;
  /** That is the key which is known for the host's. */
  readonly isKnown: boolean;
}

/** The key with which the host has sealed its archives before it was installed anew. */
export interface KnownSeal {
  /** `SHA256:…` */
  readonly fingerprint: string;
  /** An administrator says so; else this service has remembered it, where whoever has its files could have changed it. */
  readonly isGiven: boolean;
}

export interface BringOptions extends Access {
  /** Decrypts the copy, anew each time: manifest, seal and archive in this order. Undefined: they lie in the host's own folder. */
  readonly open?: (() => AsyncIterable<BroughtFile>) | undefined;
  /** Of all three; of a host's own it isn't known. */
  readonly bytes?: number | undefined;
  /** Shows what is about to be done, and asks. */
  readonly agree: (plan: readonly string[]) => Promise<boolean>;
  readonly seal?: KnownSeal | undefined;
  /**
   * Signs a text for a host that doesn't hold the key of the backup's seal; undefined: nobody can. Shows where it is from, and
   * throws where the person doesn't want it.
   */
  readonly sign?: ((text: string, from: Provenance) => Promise<string>) | undefined;
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

export type BroughtOutcome = 'sealed' | 'signed' | 'there-already' | 'declined';

/** How often a stream that broke is begun again. */
const attempts = 3;
const stillMs = 120_000;
const wholeMs = 24 * 3_600_000;

/**
 * Brings a backup back to a host, over an administrator's login, into a folder of root's; the host reads it whole, compares it
 * with its manifest and lets it count only if it has sealed that itself, or an administrator of the host has signed it. A
 * stream that broke is begun again. What isn't admitted is removed.
 *
 * Nobody is asked to sign what another key has sealed than the one that an administrator has given.
 *
 * Throws what connecting and becoming root throw, what decrypting throws, `verification-failed` and `not-signed`.
 */
export async function bringBackup(host: HostConfig, backup: string, options: BringOptions): Promise<BroughtOutcome> {
  return await withAdministrator(host, options, async (admin) => {
    const { state, host: identity, free } = await runBrought(admin, host, openIncoming, { backup });
    if (state === 'verified' || state === 'doubted') return 'there-already';
    let isAdmitted = false;
    try {
      // The archive may have to be copied once more to the disk of the backups.
      const { bytes = 0, open } = options;
      if (free < bytes * 1.02) throw noRoom(host, free, bytes);
      if (!(await options.agree(planOf(host, backup, state, open === undefined)))) return 'declined';
      const brought = await (open === undefined
        ? runBrought(admin, host, takeIncoming, { backup })
        : sendAll(admin, host, backup, { ...options, open }));
      const how = await admit(admin, host, backup, { identity, brought, options });
      isAdmitted = true;
      return how;
    } finally {
      // The next one would remove it, too; what matters is what was thrown.
      if (!isAdmitted) await runBrought(admin, host, dropIncoming, { backup }).catch(() => undefined);
    }
  });
}

/** What was brought, as this process, or the host, has read it. */
interface Brought {
  /** SHA-256 of manifest and archive. */
  readonly manifest: string;
  readonly archive: string;
  /** SHA-512 of the manifest: what its seal is made of. */
  readonly sealed: string;
  readonly seal: string;
  readonly says: readonly string[];
}

async function admit(
  admin: Administrator,
  host: HostConfig,
  backup: string,
  {
    identity,
    brought,
    options: { sign, seal },
  }: {
    readonly identity: string | undefined;
    readonly brought: Brought;
    readonly options: Pick<BringOptions, 'sign' | 'seal'>;
  },
): Promise<'sealed' | 'signed'> {
  try {
    await runBrought(admin, host, admitIncoming, { backup });
    return 'sealed';
  } catch (error) {
    // Another host has sealed it, or this one before it was installed anew.
    const isForeign = isServiceError(error, 'not-signed') && error.details.exitCode === 12;
    if (!isForeign || sign === undefined || identity === undefined) throw error;
  }
  const from = provenance(brought, seal);
  if (seal?.isGiven && !from.isKnown) throw ofAnother(host, backup, seal.fingerprint, from.sealedBy);
  const { manifest, archive } = brought;
  const signature = await sign(admitBackupText({ host: identity, backup, manifest, archive }), from);
  await feed(admin, host, backup, 'signature', Readable.from([Buffer.from(signature)]), undefined);
  await runBrought(admin, host, admitIncoming, { backup });
  return 'signed';
}

function provenance({ seal, sealed, says }: Brought, known: KnownSeal | undefined): Provenance {
  const found = parseSeal(seal);
  if (found === undefined || !found.holds(Buffer.from(sealed, 'hex'))) return { says, isKnown: false };
  const sealedBy = fingerprintOf(found.key);
  return { says, sealedBy, isKnown: sealedBy === known?.fingerprint };
}

/** Of a manifest's beginning, where everything stands that a person is shown. */
const longestHead = 64 * 1024;

/** Sends the three files; after a stream that broke only those that had not come. */
async function sendAll(
  admin: Administrator,
  host: HostConfig,
  backup: string,
  options: BringOptions & { readonly open: () => AsyncIterable<BroughtFile> },
): Promise<Brought> {
  const sums = new Map<string, { readonly sha256: string; readonly sha512: string; readonly head: string }>();
  for (let attempt = 1; ; attempt += 1) {
    let total = 0;
    try {
      for await (const { kind, content } of options.open()) {
        const [sha256, sha512] = [createHash('sha256'), createHash('sha512')];
        let head = '';
        const counted = async function* () {
          for await (const part of content) {
            sha256.update(part);
            if (kind === 'manifest') sha512.update(part);
            if (kind !== 'archive' && head.length < longestHead) head += part.toString('latin1');
            total += part.length;
            options.onBytes?.(total);
            yield part;
          }
        };
        if (sums.has(kind)) for await (const _ of counted());
        else await feed(admin, host, backup, kind, Readable.from(counted(), { objectMode: false }), options.signal);
        sums.set(kind, { sha256: sha256.digest('hex'), sha512: sha512.digest('hex'), head });
      }
      const of = (kind: BroughtFile['kind']) => sums.get(kind) ?? { sha256: '', sha512: '', head: '' };
      return {
        manifest: of('manifest').sha256,
        archive: of('archive').sha256,
        sealed: of('manifest').sha512,
        seal: of('seal').head,
        says: saysOf(of('manifest').head),
      };
    } catch (error) {
      const isBroken =
        error instanceof ServiceError &&
        (error.retryable || ['outcome-unknown', 'connection-lost'].includes(error.code));
      if (!isBroken || attempt === attempts || options.signal?.aborted) throw error;
    }
  }
}

function saysOf(head: string): readonly string[] {
  const before = head.split(/^entry /m)[0] ?? '';
  return before.split('\n').filter((line) => /^(host|version|archive) /.test(line));
}

async function feed(
  admin: Administrator,
  { name, layout }: HostConfig,
  backup: string,
  file: BroughtFile['kind'] | 'signature',
  content: Readable,
  signal: AbortSignal | undefined,
): Promise<void> {
  const progress = progressing(stillMs, signal ?? new AbortController().signal);
  content.on('data', progress.touch).pause();
  const to = `${layout.state}/incoming/${backup}/${file}`;
  try {
    const { exitCode, stderr } = await admin.feedProgram(
      ['dd', `of=${to}`, 'bs=1M', 'iflag=fullblock', 'conv=fsync', 'status=none'],
      content,
      wholeMs,
      progress.signal,
    );
    if (content.errored !== null) throw content.errored;
    if (exitCode === 0) return;
    const isFull = /No space left on device|Disk quota exceeded/.test(stderr);
    throw new ServiceError({
      code: isFull ? 'disk-full' : 'command-failed',
      message: `The ${file} of ${backup} could not be written on ${name}: ${stderr.trim().slice(0, 200) || `exit code ${exitCode}`}`,
      remedy: `Look at ${layout.state} on the host: it needs room for the whole archive.`,
      details: { host: name },
    });
  } catch (error) {
    // What failed first was decrypting.
    throw content.errored ?? error;
  } finally {
    progress.clear();
    content.destroy();
  }
}

function planOf({ name, layout }: HostConfig, backup: string, state: string, isThere: boolean): readonly string[] {
  const to = `${layout.state}/incoming/${backup}`;
  return [
    isThere
      ? `copy it from ${layout.backups} to ${to} on ${name}, which only root can read`
      : `decrypt the copy here, and stream it to ${to} on ${name}, which only root can read`,
    `let ${name} compare it with its manifest, and the manifest's seal with its own key; else with a signature of yours`,
    `then put it into ${layout.backups}, where it counts as verified${state === 'changed' ? '; what lies there is kept as ….changed' : ''}`,
  ];
}

function ofAnother({ name }: HostConfig, backup: string, wanted: string, found: string | undefined): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `${backup} is ${found === undefined ? 'sealed by nobody' : `sealed by ${found}`}, and not by ${wanted}: somebody else has made it`,
    remedy: `Take another copy; this one was not signed, and ${name} has nothing of it.`,
    details: { host: name },
  });
}

function noRoom({ name, layout }: HostConfig, free: number, bytes: number): ServiceError {
  return new ServiceError({
    code: 'disk-full',
    message: `There is no room for ${bytes} bytes in ${layout.state} on ${name}: ${free} are free`,
    remedy: 'Free space there, then try again.',
    details: { host: name },
  });
}
