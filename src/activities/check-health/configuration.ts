import { describeHelper, reinstall } from '../../hosts/helper/state.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { readableList } from '../../reports/units.ts';
import { finding } from './finding.ts';

const check = 'Configuration';

/**
 * Whether everybody works with the configuration that is written down: the worker, which reads it when it starts, and the
 * host's helper, which has it from its installation.
 *
 * @param changed keys that have changed since the worker read them
 */
export async function inspectConfiguration(
  host: Host,
  options: RunOptions,
  changed: readonly string[],
): Promise<Finding[]> {
  const stale = changed.length === 0 ? [] : [runsWithOld(changed)];
  const { ssh, local } = host.config;
  const helper = ssh || local ? describeHelper(host.config, await host.helper(options)) : undefined;
  if (helper !== undefined) {
    stale.push(finding(check, 'failed', `${helper}.`, { remedy: `${reinstall(host.config)}.` }));
  }
  if (stale.length > 0) return stale;
  return [finding(check, 'ok', 'The service and the host have the configuration that is written down.')];
}

function runsWithOld(changed: readonly string[]): Finding {
  const summary = `It has changed since the service was started (${readableList(changed)}): the service runs with the old one.`;
  return finding(check, 'failed', summary, {
    remedy: 'Restart the service: npx proxmox-mcp stop, then start it again.',
  });
}
