import {
  judgeChangeControl,
  judgeServiceSwitch,
  lookAtChangeControl,
  notFoundOut,
} from '../../hosts/change-control.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import type { SwitchState } from '../../operations/switch.ts';

/** The kill switch as the service has it, and which hosts don't have it yet. */
export async function inspectChangeSwitch(
  changeSwitch: () => Promise<SwitchState>,
  timeZone: string,
): Promise<Finding> {
  try {
    return judgeServiceSwitch(await changeSwitch(), timeZone);
  } catch (error) {
    return notFoundOut('Kill switch', error);
  }
}

/** Whether changes are stopped on the host itself, whose signatures it takes, and for what it wants them. */
export async function inspectChangeControl(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  try {
    return judgeChangeControl(host.config, await lookAtChangeControl(host, options));
  } catch (error) {
    // The rest of the section isn't about this host's way.
    return [notFoundOut('Changes', error)];
  }
}
