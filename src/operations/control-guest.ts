import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';

/** A guest's power through its cluster's API: one action, its task followed, its effect looked at. */
export const controlGuest = defineOperation({
  name: 'control-guest',
  title: 'Control guest',
  summary: 'Start, shut down, reboot or stop a VM or container, and see that it did.',
  description:
    'Guest power: start (power on), shutdown (asks the guest to go off), reboot (restart), or stop (like pulling the plug, so it can lose data) of a VM (virtual machine, QEMU) or container (CT, LXC) through the Proxmox VE API, wherever in the cluster it is. Follows the task and looks that the guest reached the state and keeps it. Starts nothing when it is so already. A cancelled run puts the former state back. Use dryRun to see the state and the plan.',
  guide: 'qm and pct by hand',
  target: 'guest',
  needs: 'api',
  api: { reads: [{ privilege: 'VM.Audit', on: 'guest' }], changes: [{ privilege: 'VM.PowerMgmt', on: 'guest' }] },
  risk: { by: 'action', of: { start: 'change', shutdown: 'change', reboot: 'change', stop: 'dangerous' } },
  exposure: 'direct',
  searchHint: 'start, stop, restart the server, machine',
  idempotent: false,
  input: () =>
    z.object({
      host: hostOfCluster(),
      vmid: vmid(),
      action: z
        .enum(['start', 'shutdown', 'reboot', 'stop'])
        .describe('shutdown asks the guest to go off; stop is like pulling the plug, for one that does not hear'),
      timeoutSeconds: z
        .int()
        .min(1)
        .max(3600)
        .default(180)
        .describe(
          'How long a shutdown or reboot waits for the guest. Then it fails and the guest stays on, but Proxmox kills a container that is to reboot',
        ),
      dryRun: dryRun(),
    }),
  output: () =>
    z.object({
      vmid: z.int(),
      name: z.string(),
      type: z.enum(['qemu', 'lxc']),
      node: z.string().describe('Where it is afterwards'),
      from: z.enum(['running', 'stopped']),
      to: z.enum(['running', 'stopped']).describe('In a plan: what it would be'),
      task: z.string().optional().describe('UPID; absent in a plan, or when it was so already'),
      seconds: z.number().describe('From the start of the task until the state was verified'),
    }),
  steps: ['Look', 'Act', 'Verify'],
  schedules: [],
  undo: {
    how: 'A start by a shutdown, a shutdown or a stop by a start, as long as nobody has started or stopped the guest since. A reboot leaves nothing to put back.',
    reverse({ host, vmid, action }, { task, from, to }) {
      if (action === 'reboot') return { why: 'It runs again, as before: there is nothing to put back.' };
      if (task === undefined || from === to) return { why: `It was ${to} already, and nothing was done.` };
      return {
        // Off as before, and not by pulling the plug.
        input: { host, vmid, action: from === 'running' ? 'start' : 'shutdown' },
        expects: [{ name: 'State', value: to }],
        asLongAs: 'nobody has started or stopped the guest since',
        ...(action === 'stop' && { remains: 'What the guest had not written when it was stopped stays lost.' }),
      };
    },
  },
});
