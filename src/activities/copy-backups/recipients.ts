import { readRecipients } from '../../backups/copies/recipients.ts';
import type { HostConfig } from '../../config.ts';
import { isServiceError } from '../../errors.ts';
import type { CopyState } from '../../hosts/commands/copy-backups/send-backup.ts';
import type { Finding } from '../../operations/finding.ts';

const check = 'Copies off the host';

/**
 * Who encrypts the copies of a host's backups, by what root has written there and what is configured here; undefined: no copy
 * can be made, for what the findings say.
 */
export function judgeRecipients(
  config: HostConfig,
  state: CopyState,
): { readonly by?: 'host' | 'service'; readonly findings: readonly Finding[] } {
  const { name, copies } = config;
  const install = `npx proxmox-mcp host install ${name}`;
  if (copies === undefined) return { findings: [onlyCopy(name)] };
  if (state.recipients.length === 0) {
    const summary = `Nobody is named on ${name} to whom copies could be encrypted, so the only copy of its backups lies on the host itself.`;
    return {
      findings: [
        { check, verdict: 'warning', summary, remedy: `BACKUP_RECIPIENTS is set; write it there: ${install}` },
      ],
    };
  }
  if (copies.encryption === 'host' && !state.hasAge) {
    const summary = `The program age is not on ${name}, so no copy of its backups can be encrypted there.`;
    const remedy =
      'Install it there as root: apt-get install age. Or set BACKUP_ENCRYPTION=service; docs/copies.md says what that costs.';
    return { findings: [{ check, verdict: 'failed', summary, remedy }] };
  }
  if (copies.encryption === 'service' && state.encryption !== 'service') {
    const summary = `BACKUP_ENCRYPTION is service, and root of ${name} has not allowed that.`;
    return { findings: [{ check, verdict: 'failed', summary, remedy: `Run: ${install}` }] };
  }
  return { by: copies.encryption, findings: differences(config, state, install) };
}

/** Copies are encrypted to those whom the host names: whoever was added here since can't decrypt them. */
function differences({ name, copies }: HostConfig, state: CopyState, install: string): readonly Finding[] {
  let wanted: readonly string[];
  try {
    wanted = readRecipients(copies?.recipients ?? []);
  } catch (error) {
    if (!isServiceError(error, 'configuration')) throw error;
    return [{ check: 'Recipients', verdict: 'warning', summary: error.message, remedy: error.remedy }];
  }
  const without = wanted.filter((one) => !state.recipients.includes(one)).length;
  const more = state.recipients.filter((one) => !wanted.includes(one)).length;
  if (without + more === 0) return [];
  const summary = `${name} encrypts to others than BACKUP_RECIPIENTS names: ${without} of those are not on the host, and ${more} others are.`;
  return [{ check: 'Recipients', verdict: 'warning', summary, remedy: `Run: ${install}` }];
}

/** Nobody is named to whom copies are encrypted. */
function onlyCopy(host: string): Finding {
  return {
    check,
    verdict: 'warning',
    summary: `No copy of the backups of ${host} leaves it: the only one lies on the host itself, and is lost with it.`,
    remedy: 'Set BACKUP_RECIPIENTS to whom copies are encrypted; docs/copies.md says how.',
  };
}
