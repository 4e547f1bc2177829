import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { HostConfig } from '../../config.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { admitIncoming, dropIncoming, openIncoming } from '../commands/copy-backups/incoming.ts';
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

export interface BringOptions extends Access {
  /** Decrypts the copy, anew each time: manifest, seal and archive in this order. */
  readonly open: () => AsyncIterable<BroughtFile>;
  /** Of all three. */
  readonly bytes: number;
  /** Shows what is about to be done, and asks. */
  readonly agree: (plan: readonly string[]) => Promise<boolean>;
  /** Signs a text for a host that hasn't sealed the backup itself; undefined: nobody can. */
  readonly sign?: ((text: string) => Promise<string>) | undefined;
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
 * Throws what connecting and becoming root throw, what decrypting throws, `verification-failed` and `not-signed`.
 */
export async function bringBackup(host: HostConfig, backup: string, options: BringOptions): Promise<BroughtOutcome> {
  return await withAdministrator(host, options, async (admin) => {
    const { state, host: identity, free } = await runBrought(admin, host, openIncoming, { backup });
    if (state === 'verified' || state === 'doubted') return 'there-already';
    let isAdmitted = false;
    try {
      // The archive may have to be copied once more to the disk of the backups.
      if (free < options.bytes * 1.02) throw noRoom(host, free, options.bytes);
      if (!(await options.agree(planOf(host, backup, state)))) return 'declined';
      const sums = await sendAll(admin, host, backup, options);
      const how = await admit(admin, host, backup, { identity, sums, sign: options.sign });
      isAdmitted = true;
      return how;
    } finally {
      // The next one would remove it, too; what matters is what was thrown.
      if (!isAdmitted) await runBrought(admin, host, dropIncoming, { backup }).catch(() => undefined);
    }
  });
}

interface Sums {
  readonly manifest: string;
  readonly archive: string;
}

async function admit(
  admin: Administrator,
  host: HostConfig,
  backup: string,
  { identity, sums, sign }: { readonly identity: string | undefined; readonly sums: Sums } & Pick<BringOptions, 'sign'>,
): Promise<'sealed' | 'signed'> {
  try {
    await runBrought(admin, host, admitIncoming, { backup });
    return 'sealed';
  } catch (error) {
    // Another host has sealed it, or this one before it was installed anew.
    const isForeign = isServiceError(error, 'not-signed') && error.details.exitCode === 12;
    if (!isForeign || sign === undefined || identity === undefined) throw error;
  }
  const signature = await sign(admitBackupText({ host: identity, backup, ...sums }));
  await feed(admin, host, backup, 'signature', Readable.from([Buffer.from(signature)]), undefined);
  await runBrought(admin, host, admitIncoming, { backup });
  return 'signed';
}

/** Sends the three files; after a stream that broke only those that had not come. */
async function sendAll(admin: Administrator, host: HostConfig, backup: string, options: BringOptions): Promise<Sums> {
  const sums = new Map<string, string>();
  for (let attempt = 1; ; attempt += 1) {
    let total = 0;
    try {
      for await (const { kind, content } of options.open()) {
        const hash = createHash('sha256');
        const counted = async function* () {
          for await (const part of content) {
            hash.update(part);
            total += part.length;
            options.onBytes?.(total);
            yield part;
          }
        };
        if (sums.has(kind)) for await (const _ of counted());
        else await feed(admin, host, backup, kind, Readable.from(counted(), { objectMode: false }), options.signal);
        sums.set(kind, hash.digest('hex'));
      }
      return { manifest: sums.get('manifest') ?? '', archive: sums.get('archive') ?? '' };
    } catch (error) {
      const isBroken =
        error instanceof ServiceError &&
        (error.retryable || ['outcome-unknown', 'connection-lost'].includes(error.code));
      if (!isBroken || attempt === attempts || options.signal?.aborted) throw error;
    }
  }
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

function planOf({ name, layout }: HostConfig, backup: string, state: string): readonly string[] {
  return [
    `decrypt the copy here, and stream it to ${layout.state}/incoming/${backup} on ${name}, which only root can read`,
    `let ${name} compare it with its manifest, and the manifest's seal with its own key; else with a signature of yours`,
    `then put it into ${layout.backups}, where it counts as verified${state === 'changed' ? '; what lies there is kept as ….changed' : ''}`,
  ];
}

function noRoom({ name, layout }: HostConfig, free: number, bytes: number): ServiceError {
  return new ServiceError({
    code: 'disk-full',
    message: `There is no room for ${bytes} bytes in ${layout.state} on ${name}: ${free} are free`,
    remedy: 'Free space there, then try again.',
    details: { host: name },
  });
}
