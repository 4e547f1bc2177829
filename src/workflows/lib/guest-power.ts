import type { GuestLook } from '../../activities/control-guest/control-guest.ts';

export type PowerState = GuestLook['state'];

/** How long a guest that runs again, or goes off, is looked at before it counts. */
export const settleSeconds = { running: 5, stopped: 2 } as const;
/** How long the state may come after the task: what restarts a VM, and the HA stack, act by themselves. */
export const withinSeconds = { alone: 120, task: 30 } as const;

export function stateAfter(action: 'start' | 'shutdown' | 'reboot' | 'stop'): PowerState {
  return action === 'start' || action === 'reboot' ? 'running' : 'stopped';
}
