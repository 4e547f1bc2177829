import { readFileSync } from 'node:fs';
import type { Config, HostConfig } from '../../config.ts';
import { type Check, failed, ok, skipped, warning } from './check.ts';

/** Whether the backups of the hosts lie anywhere else, and who can decrypt them. */
export function copiesChecks({ hosts, copies, demo }: Config): Check[] {
  return [
    ...(copies.identityFile === undefined ? [] : [ownIdentity(copies.identityFile)]),
    ...hosts
      .filter(({ ssh, local }) => ssh !== undefined || local !== undefined)
      .map((host) => recipientsOf(host, demo)),
  ];
}

function recipientsOf({ name, copies }: HostConfig, demo: boolean): Check {
  return {
    check: `${name}: copies of its backups`,
    tried: 'read BACKUP_RECIPIENTS and the files that it names',
    async run() {
      if (copies === undefined)
        return skipped(
          `no copy leaves ${name} (${demo ? "the demo's host has none" : 'BACKUP_RECIPIENTS is not set'}): the only one of its backups lies on the host itself`,
        );
      const { readRecipients } = await import('../../backups/copies/recipients.ts');
      const recipients = readRecipients(copies.recipients);
      const can = `${recipients.length} ${recipients.length === 1 ? 'recipient' : 'recipients'} can decrypt copies`;
      if (copies.encryption === 'host') return ok(`${can}; encrypted on the host`);
      return warning(
        `${can}; encrypted here, so that the service, and who has its key, sees what is in each backup: every secret of ${name}`,
        `Install age on ${name} and set BACKUP_ENCRYPTION=host, then run: npx proxmox-mcp host install ${name}`,
      );
    },
  };
}

/** An identity that the service has itself is looked at, and what it costs is said each time. */
function ownIdentity(file: string): Check {
  return {
    check: 'Copies: identity of the service',
    tried: `read ${file}`,
    async run() {
      const [{ readSecret }, { readIdentity }] = await Promise.all([
        import('../../secret-file.ts'),
        import('../../backups/copies/identity.ts'),
      ]);
      const read = readSecret(file);
      if ('expected' in read) return failed(`BACKUP_IDENTITY_FILE: expected ${read.expected}`, read.remedy);
      if (readFileSync(file, 'latin1').includes('age-encryption.org/'))
        return failed(
          `${file} is protected by a passphrase, which nobody types here`,
          'Name one without, or leave the key out.',
        );
      await readIdentity(file, () => Promise.reject(new Error('not asked')));
      return warning(
        `the service can decrypt the copies itself (BACKUP_IDENTITY_FILE): who gets its files gets every secret of the hosts in them`,
        'Leave the key out, unless the weekly proof of what the copies hold is worth that.',
      );
    },
  };
}
