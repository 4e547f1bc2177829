import { type ServiceState, serviceState } from '../../hosts/commands/check-health/service-state.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';
import { whereInstalled } from './installation.ts';

type Unit = Extract<ServiceState, { readonly kind: 'unit' }>;

/** Whether the systemd unit runs, and whether it will after the next start of the host. */
export async function inspectUnit(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  const { unit } = host.config.layout;
  const state = await host.run(serviceState, {}, options);
  if (state.kind === 'no-systemd') {
    const summary = `This host doesn't run systemd, so ${unit} can't be one of its services.`;
    return [finding('Service', 'skipped', summary, { evidence: state.words })];
  }
  return whereInstalled(host, options, 'Service', judgeUnit(unit, state));
}

export function judgeUnit(unit: string, state: Unit): Finding[] {
  if (!state.isThere)
    return [finding('Service', 'failed', `There is no systemd unit ${unit} on this host.`, { evidence: state.shown })];
  return [running(unit, state), enabled(unit, state.file)];
}

function running(unit: string, { active, sub, result, since, restarts, shown: evidence }: Unit): Finding {
  const remedy = `Run on the host: systemctl status ${unit}; journalctl -u ${unit} -n 50`;
  switch (active) {
    case 'active':
      return finding('Running', 'ok', `${unit} is active (${sub})${since ? ` since ${since}` : ''}.`);
    case 'activating':
    case 'deactivating':
    case 'reloading':
    case 'refreshing': {
      const again = restarts > 0 ? ` after ${restarts} restarts` : '';
      return finding('Running', 'warning', `${unit} is ${active} (${sub})${again}.`, { remedy, evidence });
    }
    case 'failed':
      return finding('Running', 'failed', `${unit} has failed (${result ?? 'no reason given'}).`, { remedy, evidence });
    default:
      return finding('Running', 'failed', `${unit} is ${active || 'in no known state'}.`, { remedy, evidence });
  }
}

function enabled(unit: string, file: string): Finding {
  const check = 'Starts at boot';
  const remedy = `Run: systemctl enable ${unit}`;
  if (['enabled', 'enabled-runtime', 'alias', 'static', 'generated', 'indirect'].includes(file)) {
    // Of these only the first starts it by itself for good.
    return file === 'enabled'
      ? finding(check, 'ok', `${unit} is enabled.`)
      : finding(check, 'warning', `${unit} is ${file}: it starts only when something else asks for it.`);
  }
  if (file === '') return finding(check, 'unknown', `systemd doesn't say whether ${unit} is enabled.`);
  return finding(check, 'failed', `${unit} is ${file}: it won't start with the host.`, { remedy });
}
