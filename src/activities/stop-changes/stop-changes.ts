import { Context } from '@temporalio/activity';
import { byWord, stopChanges, whyWord } from '../../hosts/commands/approve/switch.ts';
import type { Hosts } from '../../hosts/host.ts';
import { principalText } from '../../operations/run.ts';
import type { SwitchState } from '../../operations/switch.ts';

export const queue = 'host';

/** The part of the kill switch that is on each host. */
export function createStopChangesActivities({ hosts }: { readonly hosts: Hosts }) {
  return {
    /**
     * Has a host's helper refuse changes from now on; since when it does. One that refuses them already keeps the record of
     * who stopped them first.
     */
    async stopChangesOnHost({
      host,
      by,
      why,
    }: Pick<SwitchState, 'by' | 'why'> & { readonly host: string }): Promise<string> {
      const words = {
        by: byWord(by === undefined ? 'somebody' : principalText(by)),
        why: whyWord(why || 'no reason was given'),
      };
      const options = { signal: Context.current().cancellationSignal };
      const { since } = await hosts.get(host).run(stopChanges, words, options);
      return since ?? new Date().toISOString();
    },
  };
}

export type StopChangesActivities = ReturnType<typeof createStopChangesActivities>;
