import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { hostName } from './inputs.ts';

/** The morning health check: backups, Proxmox VE, the system, the installation; a verdict per line, one overall. */
export const checkHealth = defineOperation({
  name: 'check-health',
  title: 'Check health',
  summary: 'Look at a host: last backups, Proxmox VE, storages, guests, system, updates, and its installation.',
  description:
    "Health check: is the host healthy, what is its status, is anything wrong? Looks at last backups (the host's own and of each guest, VM or container, with age), Proxmox VE services and quorum, storage (active, free space), guests that should run and don't, locked guests, failed systemd units, load, memory, disk, updates (security), whether a restart is needed; then at the Proxmox MCP installation where there is one (service, Docker containers, health endpoints), sudoers and SSH key, blocked commands and failed logins of the last 24 hours, jobs whose runs have ended, paused runs, the clock. Works on any managed host, by SSH or by the Proxmox API alone; what a host doesn't have is skipped. Changes nothing. Returns a verdict per line with its evidence and one overall.",
  guide: 'Daily Operations: Morning Health Check',
  target: 'host',
  needs: 'either',
  // Archives of guests need more (what it takes to restore them), and their tasks stand in for them; updates need Sys.Modify, and
  // are left out without it.
  api: {
    reads: [
      { privilege: 'Sys.Audit', on: 'root' },
      { privilege: 'Datastore.Audit', on: 'storage' },
      { privilege: 'VM.Audit', on: 'guest' },
      { privilege: 'Sys.Audit', on: 'node' },
    ],
    changes: [],
  },
  risk: 'read',
  exposure: 'direct',
  idempotent: true,
  input: () =>
    z.object({
      host: hostName(),
      mail: z.boolean().default(false).describe('true: also mail the report to the administrators'),
    }),
  output: () =>
    z.object({
      verdict: z.enum(['ok', 'warning', 'failed', 'unknown', 'skipped']),
      counts: z.object({ ok: z.int(), warning: z.int(), failed: z.int(), unknown: z.int(), skipped: z.int() }),
      mailed: z.boolean(),
    }),
  steps: [
    'Host',
    'Backups',
    'Proxmox VE',
    'Storage',
    'Guests',
    'System',
    'Service',
    'Containers',
    'Health endpoints',
    'Security',
    'Recent issues',
    'Automation',
    'Report',
  ],
  schedules: [
    {
      id: 'daily',
      cron: '0 8 * * *',
      input: { mail: true },
      overlap: 'skip',
      catchUpWindowMs: 2 * 60_000,
      pauseOnFailure: false,
      why: 'The morning report. A missed one is not made up for later in the day; a failed check must not stop the next.',
    },
  ],
});
