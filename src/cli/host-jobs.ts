import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import type { JobSummary } from '../hosts/host.ts';
import { textTable } from '../reports/table.ts';
import type { CliContext } from './context.ts';
import { whole } from './parse.ts';
import { note, print, printJson } from './terminal.ts';

interface JobsOptions {
  readonly cancel?: string;
  readonly clean?: number;
  readonly json?: boolean;
}

/** `host jobs`: what runs, and what ran, on a host under the service's name, also of runs that are gone. */
export function hostJobsCommand(host: Command, context: CliContext): void {
  host
    .command('jobs <name>')
    .summary('List, cancel and forget the jobs on a host')
    .description(
      'List the jobs that the host helper keeps on a host: the long commands of runs, also of runs that no longer exist. A job whose state is "lost" ended without an exit code: the host restarted under it.',
    )
    .option('--cancel <id>', 'Stop this job with all its processes')
    .option('--clean <days>', 'Forget jobs that ended more than so many days ago', whole('--clean', 0, 999))
    .option('--json', 'Print them as JSON')
    .action(async (name: string, { cancel, clean, json }: JobsOptions) => {
      const config = await context.config();
      const [{ connectHosts }, { createLogger }, { createRedact }, { secretsOf }] = await Promise.all([
        import('../hosts/connect-hosts.ts'),
        import('../logger.ts'),
        import('../secret.ts'),
        import('../config/secrets.ts'),
      ]);
      const log = createLogger({ level: 'error', name: 'cli' });
      const hosts = connectHosts(config, { log, redact: createRedact(secretsOf(config)) });
      try {
        const machine = hosts.get(name);
        if (cancel !== undefined) {
          // The helper also takes an id that never was: it then refuses to start that job. A person has mistyped it.
          if (!(await machine.jobs()).jobs.some(({ id }) => id === cancel)) throw noJob(name, cancel);
          const { state, left } = await machine.cancelJob(cancel);
          note(`${cancel}: ${state}${left.length > 0 ? `; still there: ${left.join(', ')}` : ''}`);
        }
        if (clean !== undefined) note(`Forgotten: ${(await machine.cleanJobs(clean)).join(', ') || 'none'}`);
        const { jobs, notUnderstood } = await machine.jobs();
        if (json) printJson(jobs);
        else if (jobs.length === 0) note(`There is no job on ${name}.`);
        else print(textTable(['JOB', 'COMMAND', 'STATE', 'STARTED', 'ENDED', 'RUN'], jobs.map(row)));
        if (notUnderstood > 0) note(`${notUnderstood} lines of the list on ${name} are not understood and not shown.`);
      } finally {
        await hosts.close();
      }
    });
}

function noJob(name: string, id: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no job ${JSON.stringify(id)} on ${name}, so nothing was stopped`,
    remedy: `Take its id from: npx proxmox-mcp host jobs ${name}`,
  });
}

function row({ id, verb, state, exitCode, startedAt, endedAt, run }: JobSummary): string[] {
  const ended = exitCode === undefined ? state : `${state} (${exitCode})`;
  return [id, verb, ended, startedAt ?? '', endedAt ?? '', run ?? ''];
}
