import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { hostName } from './inputs.ts';

/** The guide's morning health check: its six sections and the backups, a verdict per line, one overall. */
export const checkHealth = defineOperation({
  name: 'check-health',
  title: 'Check health',
  summary: 'Look at a host: service, containers, endpoints, resources, security, recent issues, backups.',
  description:
    "Health check of a Proxmox MCP host: systemd service, Docker containers, health endpoints, memory, disk and CPU, sudoers and SSH key, blocked commands and failed logins of the last 24 hours, jobs whose runs have ended, age and state of the backups, the host's clock. Changes nothing. Returns a verdict per line with its evidence and one overall.",
  guide: 'Daily Operations: Morning Health Check',
  target: 'host',
  needs: 'commands',
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
  steps: ['Service', 'Containers', 'Health endpoints', 'Resources', 'Security', 'Recent issues', 'Backups', 'Report'],
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
