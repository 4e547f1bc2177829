import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { dryRun, hostName } from './inputs.ts';

/** The guide's systemd control: one service, one action, its effect verified and taken back where it isn't there. */
export const controlService = defineOperation({
  name: 'control-service',
  title: 'Control service',
  summary: 'Start, stop, restart, reload, enable or disable a systemd service, or show its status or log.',
  description:
    'Systemd service (daemon, unit) control on a host: start, stop, restart, reload, enable, disable; status: is it running or failed; logs: its journal, to see why (the last lines, or followed for some seconds). Waits until the service stays as asked; what fails or is cancelled is put back. Only the service of the installation (proxmox-mcp) and those that root has put on the list on the host; never sshd, networking, pve-cluster or corosync.',
  guide: 'Service Management: Systemd Service Control',
  target: 'host',
  needs: 'commands',
  risk: {
    by: 'action',
    of: {
      status: 'read',
      logs: 'read',
      start: 'change',
      stop: 'change',
      restart: 'change',
      reload: 'change',
      enable: 'change',
      disable: 'change',
    },
  },
  exposure: 'search',
  idempotent: true,
  input: () =>
    z.object({
      host: hostName(),
      unit: z
        .string()
        .transform((name) => name.replace(/\.service$/, ''))
        .pipe(
          z
            .string()
            .regex(/^[A-Za-z0-9][A-Za-z0-9@_.-]{0,63}$/, 'expected the name of a systemd service, e.g. proxmox-mcp'),
        )
        .default('proxmox-mcp')
        .describe('Name of the service; left out: proxmox-mcp'),
      action: z
        .enum(['status', 'logs', 'start', 'stop', 'restart', 'reload', 'enable', 'disable'])
        .describe('What to do with it'),
      lines: z.int().min(1).max(999).default(100).describe('logs: how many of the last lines'),
      seconds: z
        .int()
        .min(0)
        .max(300)
        .default(0)
        .describe('logs: for how long to follow it; 0 only shows what is there'),
      dryRun: dryRun(),
    }),
  output: () =>
    z.object({
      before: z.object({ active: z.string(), startsAtBoot: z.string() }),
      after: z
        .object({ active: z.string(), startsAtBoot: z.string() })
        .optional()
        .describe('Absent where it only looked'),
    }),
  steps: ['Look', 'Act', 'Verify'],
  schedules: [],
  undo: {
    how: 'A start by a stop, a stop by a start, enable by disable and disable by enable, as long as nobody has changed that since. A restart of what was off by a stop; otherwise a restart or a reload leaves nothing to put back.',
    reverse({ host, unit, action }, { before, after }) {
      if (action === 'reload') return { why: 'It has read its configuration again, which is no state to put back.' };
      if (after === undefined) return { why: 'It only looked.' };
      if (action === 'enable' || action === 'disable') {
        const [was, is] = [before.startsAtBoot, after.startsAtBoot];
        const opposite = { enabled: 'enable', disabled: 'disable' }[was];
        if (was === is) return { why: `It was ${was} already, and nothing was changed.` };
        if (opposite === undefined)
          return { why: `It was "${was || 'without start at boot'}", which no action brings back.` };
        return {
          input: { host, unit, action: opposite },
          expects: [{ name: 'Starts with the host', value: is || 'no' }],
          asLongAs: 'nobody has enabled or disabled it since',
        };
      }
      const [ran, runs] = [before.active === 'active', after.active === 'active'];
      if (ran && runs) {
        return {
          why: action === 'restart' ? 'It runs again, as before.' : 'It ran already, and nothing was changed.',
        };
      }
      if (before.active === after.active) return { why: `It is ${after.active}, as before.` };
      if (ran === runs || !['active', 'inactive', 'failed'].includes(before.active)) {
        return { why: `It was ${before.active} before, which no action brings back.` };
      }
      return {
        input: { host, unit, action: ran ? 'start' : 'stop' },
        expects: [{ name: unit, value: after.active }],
        asLongAs: 'nobody has started or stopped it since',
        ...(before.active === 'failed' && { remains: 'It had failed before, and is only stopped then.' }),
      };
    },
  },
});
