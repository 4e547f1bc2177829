import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { isBackupId } from '../operations/backup-id.ts';
import { readableBytes } from '../reports/units.ts';
import type { CliContext } from './context.ts';
import { findCopy, readOwnIdentity } from './copies.ts';
import { type AgreeOptions, askToAgree, type LoginOptions, reach, withLogin } from './host-login.ts';
import { signText } from './sign.ts';
import { listenForInterruption, note, print } from './terminal.ts';

type Options = LoginOptions & Pick<AgreeOptions, 'yes'> & { readonly identity: string; readonly sign?: string };

/** `host bring-backup`: an encrypted copy comes back to a host, by an administrator who can decrypt it. */
export function bringBackupCommand(host: Command, context: CliContext): void {
  withLogin(host.command('bring-backup <name> <copy>'))
    .summary('Decrypt a copy here and bring it back to a host, where it counts again')
    .description(
      "Decrypt a copy of a backup in this process, with an identity of yours, and stream it over an administrator's own login as root into a folder of root's on the host. The host reads it whole and lets it count only if it has sealed it itself, or, as after a new installation, if an administrator of the host signs it (--sign). <copy> is the id of a backup of that host, or the path of a file ID.age. The identity is read here, goes nowhere and isn't kept.",
    )
    .requiredOption('--identity <file>', 'A file of age-keygen, also one with a passphrase; or an SSH private key')
    .option('--sign <keyfile>', 'SSH key of an administrator of the host, for a backup that it has not sealed itself')
    .option('--yes', "Don't ask")
    .action(async (name: string, wanted: string, options: Options) => {
      const loaded = context.inspect();
      const copy = copyMeant(loaded.config.copies.folder, name, wanted);
      const identity = await readOwnIdentity(options.identity);
      const [{ bringBackup }, { openCopy }, { readMembers }] = await Promise.all([
        import('../hosts/install/bring-backup.ts'),
        import('../backups/copies/identity.ts'),
        import('../backups/copies/members.ts'),
      ]);
      const { config, ...access } = await reach(context, name, options);
      const { sign } = options;
      const interruption = listenForInterruption();
      let said = 0;
      try {
        const outcome = await bringBackup(config, copy.backup, {
          ...access,
          bytes: copy.bytes,
          open: () => membersOf(async () => readMembers(await openCopy(copy.path, identity), copy.backup)),
          agree: askToAgree(`bring ${copy.backup} (${readableBytes(copy.bytes)}) back to ${name}`, options),
          sign: sign === undefined ? undefined : (text) => signShown(text, resolve(sign)),
          signal: interruption.signal,
          onBytes(bytes) {
            if (bytes - said < 256 * 1024 * 1024) return;
            said = bytes;
            note(`${readableBytes(bytes)} sent`);
          },
        });
        if (outcome === 'there-already') print(`${copy.backup} is on ${name} already: nothing to do.`);
        if (outcome === 'sealed') print(`${copy.backup} is on ${name} again: it is the one that ${name} has sealed.`);
        if (outcome === 'signed') print(`${copy.backup} is on ${name}: it counts there by your signature.`);
      } finally {
        interruption.dispose();
      }
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
