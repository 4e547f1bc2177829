import { describeHelper, reinstall } from '../../hosts/helper/state.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { readableList } from '../../reports/units.ts';
import { finding } from './finding.ts';

/**
 * Whether the worker runs with the configuration that is written down, which it reads when it starts.
 *
 * @param changed keys that have changed since then
 */
export function inspectConfiguration(changed: readonly string[]): Finding {
  const check = 'Configuration';
  if (changed.length === 0) return finding(check, 'ok', 'The service runs with what is written in its files.');
  const summary = `It has changed since the service was started (${readableList(changed)}): the service runs with the old one.`;
  return finding(check, 'failed', summary, {
    remedy: 'Restart the service: npx proxmox-mcp stop, then start it again.',
  });
}

/** Whether the host's helper was installed for this configuration, by this version. One that is missing is told elsewhere. */
export async function inspectHelper(host: Host, options: RunOptions): Promise<Finding[]> {
  const check = 'Helper';
  const state = await host.helper(options);
  if (state.kind === 'unknown') return [];
  const wrong = describeHelper(host.config, state);
  if (wrong === undefined) return [finding(check, 'ok', 'It was installed by this version, for this configuration.')];
  return [finding(check, 'failed', `${wrong}.`, { remedy: `${reinstall(host.config)}.` })];
}
