import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { dryRun } from './inputs.ts';

/** One archive of everything that the service itself is made of, where no host's backup has that. */
export const backUpService = defineOperation({
  name: 'back-up-service',
  title: 'Back up the service',
  summary: "Make one verified archive of the service's own data folder and configuration.",
  description:
    "Back up the service itself (npm start, without containers): Temporal's database (runs, schedules) online and consistent, the ledger, tokens, people, policy, pinned host keys, configuration and the keys that it names, in one archive on the service's machine, read back and every database in it opened. Keeps the newest 14. Of an installation in containers the host's backup (back_up) has all of this. A restore is a person's at the command line: restore-service.",
  guide: 'Automated Backup Script',
  target: 'service',
  needs: 'either',
  risk: 'change',
  exposure: 'search',
  idempotent: false,
  input: () => z.object({ dryRun: dryRun() }),
  output: () =>
    z.object({
      id: z.string().describe('Name of the archive, without .tar.gz'),
      bytes: z.number().describe('Of the archive'),
      files: z.number(),
      removed: z.array(z.string()).describe('Older archives that went'),
    }),
  steps: ['Look', 'Pack', 'Verify', 'Publish', 'Remove old'],
  schedules: [
    {
      id: 'daily',
      cron: '40 3 * * *',
      input: {},
      overlap: 'skip',
      catchUpWindowMs: 20 * 60 * 60_000,
      pauseOnFailure: false,
      why: 'After the backups of the hosts, so that what they left in ledger and runs is in it; a missed one is made up within the day.',
    },
  ],
  undo: {
    how: 'By hand: remove the archive. It changes nothing of the service.',
    reverse: () => ({ why: 'The archive is a file of the service: remove it by hand. Nothing else was changed.' }),
  },
});
