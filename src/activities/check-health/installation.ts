import { diskSpace } from '../../hosts/commands/check-health/resources.ts';
import { serviceState } from '../../hosts/commands/check-health/service-state.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding, isOfTheCommand } from './finding.ts';

/**
 * Findings about the installation; or that there is none on this host, which is nothing wrong with it. That is asked only
 * where something isn't as it should be.
 */
export async function whereInstalled(
  host: Host,
  options: RunOptions,
  check: string,
  findings: readonly Finding[],
): Promise<readonly Finding[]> {
  if (findings.every(({ verdict }) => verdict === 'ok' || verdict === 'skipped')) return findings;
  if (await isInstalled(host, options)) return findings;
  return [finding(check, 'skipped', `There is no installation at ${host.config.layout.installation} on this host.`)];
}

/** Whether there is an installation. Not where there is neither its systemd unit nor its folder: one without the other is a fault. */
export async function isInstalled(host: Host, options: RunOptions): Promise<boolean> {
  const { installation } = host.config.layout;
  try {
    const [service, { complaints }] = await Promise.all([
      host.run(serviceState, {}, options),
      host.run(diskSpace, {}, options),
    ]);
    const hasUnit = service.kind === 'unit' && service.isThere;
    return hasUnit || !complaints.some(({ path, isAbsent }) => path === installation && isAbsent);
  } catch (error) {
    // Then nobody knows, and what was found stands.
    if (isOfTheCommand(error)) return true;
    throw error;
  }
}
