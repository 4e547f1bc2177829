import { createWriteStream, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { isBackupId } from '../operations/backup-id.ts';
import { cleanLine } from '../reports/clean.ts';
import { textTable } from '../reports/table.ts';
import { readableBytes, readableTime } from '../reports/units.ts';
import type { CliContext } from './context.ts';
import { byDefault } from './parse.ts';
import { askSecret, isAtTerminal, note, ownTimeZone, print, printJson } from './terminal.ts';

/** `copies list|decrypt`: the encrypted copies of the hosts' backups on this machine. */
export function copiesCommands(program: Command, context: CliContext): void {
  const copies = program.command('copies').description("The encrypted copies of the hosts' backups on this machine");

  byDefault(copies.command('list [host]', { isDefault: true }))
    .description('List the copies, of one host or all: what each holds, who can decrypt it, when it was last compared')
    .option('--json', 'Print them as JSON')
    .action(async (host: string | undefined, { json }: { json?: boolean }) => {
      const { createCopyStore } = await import('../backups/copies/store.ts');
      const store = createCopyStore(context.inspect().config.copies.folder);
      const found = store.hosts().filter((name) => host === undefined || name === host);
      const all = found.flatMap((name) => store.list(name));
      if (json) return printJson(all);
      if (all.length === 0) return note(`No copy in ${store.folder}. docs/copies.md says how there are some.`);
      const zone = ownTimeZone();
      const rows = all.map(({ host: of, backup, bytes, madeAt, state, checked, recipients, places }) => [
        of,
        backup,
        readableBytes(bytes),
        readableTime(madeAt, zone),
        state,
        checked === undefined ? '-' : `${readableTime(checked.at, zone)} (${checked.proves})`,
        Object.keys(places).join(' ') || '-',
        recipients.map((one) => cleanLine(one, 200).slice(0, 24)).join(' '),
      ]);
      print(textTable(['HOST', 'BACKUP', 'SIZE', 'COPIED', 'STATE', 'COMPARED', 'ALSO IN', 'RECIPIENTS'], rows));
    });

  copies
    .command('decrypt <copy>')
    .summary('Decrypt a copy into a tar on this machine')
    .description(
      'Decrypt a copy with an identity of yours into a tar with the archive, its manifest and its seal: HOST/ID as copies list shows it, or the path of a file ID.age. `age -d -i FILE COPY` does the same. The tar has its name only when all of it was decrypted and proved.',
    )
    .requiredOption('--identity <file>', 'A file of age-keygen, also one with a passphrase; or an SSH private key')
    .requiredOption('--to <file>', 'Where the tar is written, mode 0600; it must not be there yet')
    .action(async (wanted: string, { identity: file, to }: { identity: string; to: string }) => {
      const [, host = '', id = ''] = /^([a-z0-9-]+)\/([a-z]+-backup-\d{8}-\d{6})$/.exec(wanted) ?? [];
      const path = isBackupId(id) ? findCopy(context.inspect().config.copies.folder, host, id).path : resolve(wanted);
      const target = resolve(to);
      if (statSync(target, { throwIfNoEntry: false }) !== undefined) throw isThere(target);
      const identity = await readOwnIdentity(file);
      const [{ openCopy }, { pipeline }] = await Promise.all([
        import('../backups/copies/identity.ts'),
        import('node:stream/promises'),
      ]);
      const partial = `${target}.partial`;
      // One that is there, left by a call that was killed or put there by somebody else, would keep its own mode.
      await rm(partial, { force: true });
      try {
        await pipeline(
          await openCopy(path, identity),
          createWriteStream(partial, { mode: 0o600, flags: 'wx', flush: true }),
        );
        await rename(partial, target);
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
      print(`${target} is decrypted. It holds secrets of the host: remove it when it isn't needed any more.`);
    });
}

/** A copy by its id in the folder of copies; or a file of that name. Throws `not-found`. */
export function findCopy(folder: string, host: string, backup: string) {
  const path = folder.endsWith(`/${backup}.age`) ? folder : resolve(folder, host, `${backup}.age`);
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size !== undefined) return { backup, path, bytes: size };
  throw new ServiceError({
    code: 'not-found',
    message: `There is no copy ${path}`,
    remedy: 'See which there are: npx proxmox-mcp copies list; one in a further place is fetched from there first.',
  });
}

/** Reads an identity; its passphrase is typed on the terminal, and nothing of it is kept. */
export async function readOwnIdentity(file: string) {
  const { readIdentity } = await import('../backups/copies/identity.ts');
  return await readIdentity(resolve(file), async () => {
    if (!isAtTerminal()) {
      throw new ServiceError({
        code: 'invalid-input',
        message: `${file} is protected by a passphrase, and nobody can be asked for it (no terminal)`,
        remedy: 'Run it in a terminal.',
      });
    }
    return await askSecret(`Passphrase of ${file}: `);
  });
}

function isThere(path: string): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `${path} is there already, and nothing is written over it`,
    remedy: 'Name another file with --to.',
  });
}
