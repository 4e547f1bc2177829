import { z } from 'zod';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { isMissing, lastWords } from '../lib/output.ts';
import { finding, unexpected } from './finding.ts';

/** Properties of `systemctl show`, see org.freedesktop.systemd1(5). */
const properties = z.object({
  LoadState: z.string(),
  ActiveState: z.string(),
  SubState: z.string(),
  UnitFileState: z.string(),
  Result: z.string().optional(),
  ActiveEnterTimestamp: z.string().optional(),
  NRestarts: z.coerce.number().optional(),
});

/** Whether the systemd unit runs, and whether it will after the next start of the host. */
export async function lookAtService(host: Host, options: RunOptions): Promise<Finding[]> {
  const { unit } = host.config.layout;
  const result = await host.run('serviceState', {}, options);
  if (isMissing(result) || /not been booted with systemd|Failed to connect to bus/i.test(result.stderr)) {
    return [
      finding(
        'Service',
        'skipped',
        `This host doesn't run systemd, so ${unit} can't be one of its services.`,
        lastWords(result),
      ),
    ];
  }
  if (result.exitCode !== 0) throw unexpected('systemctl show', `${result.stdout}${result.stderr}`);
  return readService(unit, result.stdout);
}

/** The findings from what `systemctl show` printed. */
export function readService(unit: string, output: string): Finding[] {
  const lines = output.split('\n').map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]);
  const parsed = properties.safeParse(Object.fromEntries(lines));
  if (!parsed.success) throw unexpected('systemctl show', output);
  const state = parsed.data;
  if (state.LoadState === 'not-found') {
    return [finding('Service', 'failed', `There is no systemd unit ${unit} on this host.`, output)];
  }
  return [running(unit, state, output), enabled(unit, state.UnitFileState)];
}

function running(unit: string, state: z.infer<typeof properties>, evidence: string): Finding {
  const since = state.ActiveEnterTimestamp ? ` since ${state.ActiveEnterTimestamp}` : '';
  switch (state.ActiveState) {
    case 'active':
      return finding('Running', 'ok', `${unit} is active (${state.SubState})${since}.`);
    case 'activating':
    case 'deactivating':
    case 'reloading':
    case 'refreshing': {
      const restarts = (state.NRestarts ?? 0) > 0 ? ` after ${state.NRestarts} restarts` : '';
      return finding('Running', 'warning', `${unit} is ${state.ActiveState} (${state.SubState})${restarts}.`, evidence);
    }
    case 'failed':
      return finding('Running', 'failed', `${unit} has failed (${state.Result ?? 'no reason given'}).`, evidence);
    default:
      return finding('Running', 'failed', `${unit} is ${state.ActiveState || 'in no known state'}.`, evidence);
  }
}

function enabled(unit: string, state: string): Finding {
  const check = 'Starts at boot';
  if (['enabled', 'enabled-runtime', 'alias', 'static', 'generated', 'indirect'].includes(state)) {
    // Of these only the first starts it by itself for good.
    return state === 'enabled'
      ? finding(check, 'ok', `${unit} is enabled.`)
      : finding(check, 'warning', `${unit} is ${state}: it starts only when something else asks for it.`);
  }
  if (state === '') return finding(check, 'unknown', `systemd doesn't say whether ${unit} is enabled.`);
  return finding(check, 'failed', `${unit} is ${state}: it won't start with the host. Run: systemctl enable ${unit}`);
}
