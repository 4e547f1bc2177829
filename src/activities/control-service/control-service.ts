import { Context } from '@temporalio/activity';
import { callLine } from '../../hosts/commands/call-line.ts';
import { changeUnit, followUnitLog, restoreUnit, unitState } from '../../hosts/commands/control-service/units.ts';
import type { Hosts } from '../../hosts/host.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { repeatable } from '../lib/repeat.ts';
import { currentRun, runJob } from '../lib/run-job.ts';

export const queue = 'host';

/** One service on one host, without `.service`. */
export interface ServiceInput {
  readonly host: string;
  readonly unit: string;
}

export interface ServiceState {
  /** systemd's words: `active`, `inactive`, `failed`, `activating` … */
  readonly active: string;
  readonly detail: string;
  /** `enabled`, `disabled`, `static` … */
  readonly startsAtBoot: string;
  readonly since: string;
  readonly restarts: number;
  readonly canReload: boolean;
  /** It did its work and ended well, as services of the type oneshot do. */
  readonly endsByItself: boolean;
  readonly description: string;
}

export type ServiceAction = 'start' | 'stop' | 'restart' | 'reload' | 'enable' | 'disable';

/** Each may be run again at any time, and ends with the same. Throw `forbidden` where root has not admitted the service. */
export interface ControlServiceActivities {
  lookAtService(input: ServiceInput): Promise<ServiceState>;
  /** The end of its log, as the host said it. */
  readServiceLog(
    input: ServiceInput & { readonly lines: number; readonly seconds: number },
  ): Promise<{ readonly text: string; readonly truncated: boolean }>;
  /** The calls that {@link changeService} makes, each on one line. */
  planService(input: ServiceInput & { readonly action: ServiceAction }): Promise<readonly string[]>;
  /** Does it and waits until the service stays so. Throws `verification-failed` when it doesn't. */
  changeService(input: ServiceInput & { readonly action: ServiceAction; readonly fence: number }): Promise<void>;
  /** The undo: starts or stops it, and enables or disables it, as `former` says. */
  restoreService(input: ServiceInput & { readonly former: ServiceState; readonly fence: number }): Promise<void>;
}

export function createControlServiceActivities({ hosts }: { readonly hosts: Hosts }): ControlServiceActivities {
  return {
    async lookAtService({ host, unit }) {
      const options = { signal: Context.current().cancellationSignal };
      const state = await hosts.get(host).run(unitState, { unit }, options);
      return {
        active: state.ActiveState,
        detail: state.SubState,
        startsAtBoot: state.UnitFileState,
        since: state.ActiveEnterTimestamp,
        restarts: state.NRestarts,
        canReload: state.CanReload === 'yes',
        endsByItself: state.Type === 'oneshot' && state.Result === 'success',
        description: state.Description,
      };
    },

    async readServiceLog({ host, unit, lines, seconds }) {
      const args = { unit, lines: String(lines), seconds: String(seconds) };
      const { text, truncated } = await runJob(hosts.get(host), followUnitLog, args, { step: `log ${unit}` });
      return { text, truncated };
    },

    async planService({ host, unit, action }) {
      return [callLine(hosts.get(host).config, changeUnit, { action, unit })];
    },

    async changeService({ host, unit, action, fence }) {
      const step = { step: `${action} ${unit}`, fence: { host: fence } };
      await runJob(hosts.get(host), changeUnit, { action, unit }, step);
    },

    async restoreService({ host, unit, former, fence }) {
      const args = { unit, active: activeAs(former), enabled: enabledAs(former) };
      await withHeartbeat(() =>
        repeatable(() => hosts.get(host).run(restoreUnit, args, { fence: { host: fence }, run: currentRun() })),
      );
    },
  };
}

/** A service that was starting is one that was to run. */
function activeAs({ active }: ServiceState): 'active' | 'inactive' | 'failed' {
  if (active === 'failed') return active;
  return ['active', 'activating', 'reloading', 'refreshing'].includes(active) ? 'active' : 'inactive';
}

/** What is neither enabled nor disabled (static, generated, masked) can't be made so. */
function enabledAs({ startsAtBoot }: ServiceState): 'enabled' | 'disabled' | 'kept' {
  return startsAtBoot === 'enabled' || startsAtBoot === 'disabled' ? startsAtBoot : 'kept';
}
