import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { ServiceError } from '../errors.ts';
import { switchState } from '../operations/switch.ts';
import { createChangeSwitch, switchOptions } from '../runs/switch.ts';
import type { ServerStore } from './store.ts';

const file = 'switch.json';

/** The kill switch: a stop stays a stop, and its number goes on, which the ledger knows it by. */
export const switchStore: ServerStore = {
  name: 'switch',
  keptBy: 'server',

  async export({ client }, into) {
    const state = await createChangeSwitch(client).get();
    into.write(file, state);
    return { text: state.on ? 'on: nothing may change' : 'off: changes are allowed' };
  },

  async import({ client, dryRun }, from) {
    const state = from.read(file, switchState);
    const text = state.on ? 'on: nothing may change' : 'off: changes are allowed';
    // Nobody has ever switched it.
    if (state.number === 0 && !state.on) return { text };
    const there = await createChangeSwitch(client).get();
    if (there.number >= state.number && (there.on || !state.on)) return { text: `${text}, as here already` };
    if (there.number > 0) throw another(there.number, state.number);
    if (dryRun) return { text };
    try {
      await client.workflow.start('changeSwitch', { ...switchOptions, args: [state], memo: { switch: state } });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      throw another(there.number, state.number);
    }
    return { text };
  },
};

function another(here: number, brought: number): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `The new server has a kill switch of its own (number ${here}), and the one that is brought is at number ${brought}`,
    remedy:
      'Import before the service is used on the new server. Or leave it out (--skip switch), and stop changes there yourself if they are to be stopped: npx proxmox-mcp changes stop',
  });
}
