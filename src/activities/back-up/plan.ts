import type { HostConfig } from '../../config.ts';
import { checkArchive, removeBackup } from '../../hosts/commands/back-up/archives.ts';
import {
  archiveVolume,
  collectBackup,
  collectHost,
  describeBackup,
  packBackup,
  publishBackup,
  verifyBackup,
} from '../../hosts/commands/back-up/make-backup.ts';
import { callLine } from '../../hosts/commands/call-line.ts';
import type { ServiceCommand } from '../../hosts/commands/command.ts';
import { isBackupId } from '../../operations/backup-id.ts';
import type { Plan } from '../../operations/plan.ts';

/** What only the run itself can know is put into the calls by name. */
const unknown = { backup: 'daily-backup-20260101-020000', sha256: '0'.repeat(64) } as const;

/**
 * The calls of a backup, step by step: `NAME` is the archive's name, which is made of the time when it begins, and
 * `SHA256` the checksum that was read back.
 */
export function planSteps(
  config: HostConfig,
  of: {
    readonly volumes: readonly string[];
    /** Archives that are read again, and those that retention removes. */
    readonly read: readonly string[];
    readonly remove: readonly string[];
  },
): Plan['steps'] {
  const line = <C extends ServiceCommand>(command: C, args: Parameters<typeof callLine<C>>[2]) =>
    callLine(config, command, args).replaceAll(unknown.backup, 'NAME').replaceAll(unknown.sha256, 'SHA256');
  const { backup } = unknown;
  return [
    { title: 'Look', does: [] },
    { title: 'Collect', does: [line(collectBackup, { backup })] },
    { title: 'Host', does: [line(collectHost, { backup })] },
    { title: 'Volumes', does: of.volumes.map((volume) => line(archiveVolume, { backup, volume })) },
    { title: 'Pack', does: [line(describeBackup, { backup }), line(packBackup, { backup })] },
    { title: 'Verify', does: [line(verifyBackup, { backup })] },
    { title: 'Publish', does: [line(publishBackup, unknown)] },
    { title: 'Read again', does: of.read.map((id) => line(checkArchive, { backup: id })) },
    { title: 'Retention', does: of.remove.filter(isBackupId).map((id) => line(removeBackup, { backup: id })) },
  ];
}
