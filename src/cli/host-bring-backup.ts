import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import type { BringOptions, KnownSeal, Provenance } from '../hosts/install/bring-backup.ts';
import { createSeals } from '../hosts/seals.ts';
import { isBackupId } from '../operations/backup-id.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableBytes } from '../reports/units.ts';
import { fingerprintOf } from '../ssh-wire.ts';
import type { CliContext } from './context.ts';
import { findCopy, readOwnIdentity } from './copies.ts';
import { type AgreeOptions, askToAgree, type LoginOptions, reach, withLogin } from './host-login.ts';
import { signText } from './sign.ts';
import { ask, listenForInterruption, note, print } from './terminal.ts';

type Options = LoginOptions &
  Pick<AgreeOptions, 'yes'> & {
    readonly identity?: string;
    readonly there?: boolean;
    readonly sign?: string;
    readonly seal?: string;
  };

/** `host bring-backup`: an encrypted copy comes back to a host, by an administrator who can decrypt it. */
export function bringBackupCommand(host: Command, context: CliContext): void {
  withLogin(host.command('bring-backup <name> <copy>'))
    .summary('Decrypt a copy here and bring it back to a host, where it counts again')
    .description(
      "Decrypt a copy of a backup in this process, with an identity of yours, and stream it over an administrator's own login as root into a folder of root's on the host. The host reads it whole and lets it count only if it has sealed it itself, or, as after a new installation, if an administrator of the host signs it (--sign). <copy> is the id of a backup of that host, or the path of a file ID.age. The identity is read here, goes nowhere and isn't kept. With --there nothing is decrypted: the archive lies in the host's own backup folder, with its manifest and seal, as after a new installation on the same disk.",
    )
    .option('--identity <file>', 'A file of age-keygen, also one with a passphrase; or an SSH private key')
    .option('--there', "The archive lies in the host's own backup folder, and the host has no record of it")
    .option('--sign <keyfile>', 'SSH key of an administrator of the host, for a backup that it has not sealed itself')
    .option(
      '--seal <fingerprint>',
      'SHA256:… as host install told it: only what that key has sealed is signed; without it, the key that this service remembers',
    )
    .option('--yes', "Don't ask; but it is no answer to what nobody vouches for")
    .action(async (name: string, wanted: string, options: Options) => {
      const { config: loaded } = context.inspect();
      const { sign } = options;
      const seal = sealMeant(options.seal, createSeals(loaded).pinned(name));
      const { backup, ...from } = await sourceOf(loaded.copies.folder, name, wanted, options);
      const { config, ...access } = await reach(context, name, options);
      const { bringBackup } = await import('../hosts/install/bring-backup.ts');
      const interruption = listenForInterruption();
      const size = from.bytes === undefined ? '' : ` (${readableBytes(from.bytes)})`;
      let said = 0;
      try {
        const outcome = await bringBackup(config, backup, {
          ...access,
          ...from,
          seal,
          agree: askToAgree(`bring ${backup}${size} back to ${name}`, options),
          sign:
            sign === undefined
              ? undefined
              : async (text, made) => {
                  await agreeToSign(name, backup, made, seal);
                  return await signShown(text, resolve(sign));
                },
          signal: interruption.signal,
          onBytes(bytes) {
            if (bytes - said < 256 * 1024 * 1024) return;
            said = bytes;
            note(`${readableBytes(bytes)} sent`);
          },
        });
        if (outcome === 'there-already') print(`${backup} is on ${name} already: nothing to do.`);
        if (outcome === 'sealed') print(`${backup} is on ${name} again: it is the one that ${name} has sealed.`);
        if (outcome === 'signed') print(`${backup} is on ${name}: it counts there by your signature.`);
      } finally {
        interruption.dispose();
      }
    });
}

/** What is brought: a copy that is decrypted here, or what lies on the host. */
async function sourceOf(
  folder: string,
  host: string,
  wanted: string,
  { identity: file, there }: Options,
): Promise<{ readonly backup: string } & Pick<BringOptions, 'open' | 'bytes'>> {
  if (there) {
    if (isBackupId(wanted) && file === undefined) return { backup: wanted };
    throw notMeant('With --there the id of a backup is named, and no identity: nothing is decrypted');
  }
  if (file === undefined) throw notMeant('A copy is encrypted, so that an identity is needed: --identity FILE');
  const { backup, path, bytes } = copyMeant(folder, host, wanted);
  const identity = await readOwnIdentity(file);
  const [{ openCopy }, { readMembers }] = await Promise.all([
    import('../backups/copies/identity.ts'),
    import('../backups/copies/members.ts'),
  ]);
  return { backup, bytes, open: () => membersOf(async () => readMembers(await openCopy(path, identity), backup)) };
}

function sealMeant(given: string | undefined, pinned: string | undefined): KnownSeal | undefined {
  if (given !== undefined) {
    if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(given)) return { fingerprint: given, isGiven: true };
    throw notMeant('--seal is the fingerprint of the key that seals the archives of the host, SHA256:…');
  }
  return pinned === undefined ? undefined : { fingerprint: fingerprintOf(pinned), isGiven: false };
}

/**
 * Shows who has made what is to be signed. Where no key that somebody knows vouches for it, whoever can write to the folder of
 * copies may have made it, and root of the host will be what stands in it: only a person at a terminal says yes to that.
 */
async function agreeToSign(
  host: string,
  backup: string,
  { says, sealedBy, isKnown }: Provenance,
  seal: KnownSeal | undefined,
): Promise<void> {
  const by = sealedBy === undefined ? 'no seal of it holds' : `it is sealed by ${sealedBy}`;
  note(`\nThe manifest of ${backup} says, and ${by}:\n${says.map((line) => `  ${cleanLine(line, 200)}`).join('\n')}`);
  if (isKnown && seal?.isGiven) return note(`That is the key which you have given for ${host}.`);
  if (isKnown) {
    return note(
      `That is the key which this service remembers of ${host}. Who has the files of the service could have changed both: compare it with what host install told you then, or give that with --seal.`,
    );
  }
  note(
    `NOBODY VOUCHES FOR IT: that is no key which this service remembers of ${host}. Everybody can encrypt to your public key, so whoever can write to that file may have made it, and with a restore of it is root on ${host}.`,
  );
  const answer = await ask(`Sign it all the same? Type ${backup}: `);
  if (answer === backup) return;
  throw new ServiceError({
    code: answer === undefined ? 'not-signed' : 'cancelled',
    message: `Nobody vouches for ${backup}, so nothing was signed`,
    remedy: 'Give the fingerprint that host install told when the host was installed: --seal SHA256:…',
  });
}

async function* membersOf<T>(open: () => Promise<AsyncIterable<T>>): AsyncGenerator<T> {
  yield* await open();
}

async function signShown(text: string, keyFile: string): Promise<string> {
  note(`\nThe host did not seal this backup itself. To be signed for it:\n${text}`);
  return await signText(text, keyFile);
}

interface Meant {
  readonly backup: string;
  readonly path: string;
  readonly bytes: number;
}

/** By its id among the copies of that host, or by its path: then its file is called as it was. */
function copyMeant(folder: string, host: string, wanted: string): Meant {
  if (isBackupId(wanted)) return findCopy(folder, host, wanted);
  const path = resolve(wanted);
  const backup = basename(path, '.age');
  if (isBackupId(backup)) return findCopy(path, host, backup);
  throw new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(wanted.slice(0, 200))} is neither the id of a backup nor the path of a copy of one`,
    remedy: 'Give an id as npx proxmox-mcp copies list shows it, or a file named ID.age.',
  });
}

function notMeant(message: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message,
    remedy: 'Look at: npx proxmox-mcp host bring-backup --help',
  });
}
