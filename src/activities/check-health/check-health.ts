import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Host, Hosts, RunOptions } from '../../hosts/host.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { FindingsSection } from '../../operations/report.ts';
import { isRunning } from '../lib/is-running.ts';
import { inspectBackups } from './backups.ts';
import { inspectContainers } from './containers.ts';
import { probeHealth, probeProxy } from './endpoints.ts';
import { findingsOf, section } from './finding.ts';
import { inspectIssues } from './issues.ts';
import { inspectJobs } from './jobs.ts';
import { inspectNotices } from './notices.ts';
import { inspectPausedRuns } from './paused-runs.ts';
import { inspectDisks, inspectMemoryAndCpu } from './resources.ts';
import { inspectSecurityFiles } from './security.ts';
import { inspectUnit } from './service.ts';

export const queue = 'host';

/** Which host to look at. */
export interface HealthInput {
  readonly host: string;
}

/**
 * The sections of the guide's morning health check, in its order, and the backups. Each only looks, may be run again at any time, and
 * takes a second or two. They throw only when the host itself can't be asked. What a host without an installation does
 * not have is skipped with a word.
 */
export interface HealthActivities {
  inspectService(input: HealthInput): Promise<FindingsSection>;
  inspectContainers(input: HealthInput): Promise<FindingsSection>;
  probeEndpoints(input: HealthInput): Promise<FindingsSection>;
  inspectResources(input: HealthInput): Promise<FindingsSection>;
  inspectSecurity(input: HealthInput): Promise<FindingsSection>;
  inspectRecentIssues(input: HealthInput): Promise<FindingsSection>;
  inspectBackups(input: HealthInput): Promise<FindingsSection>;
}

export function createHealthActivities({
  hosts,
  client,
  mailer,
}: {
  readonly hosts: Hosts;
  readonly client: Client;
  readonly mailer?: Mailer | undefined;
}): HealthActivities {
  const at = (input: HealthInput): [Host, RunOptions] => [
    hosts.get(input.host),
    { signal: Context.current().cancellationSignal },
  ];
  return {
    inspectService: (input) =>
      section(
        'Service',
        findingsOf('Service', () => inspectUnit(...at(input))),
      ),
    inspectContainers: (input) =>
      section(
        'Containers',
        findingsOf('Containers', () => inspectContainers(...at(input))),
      ),
    probeEndpoints: (input) =>
      section(
        'Health endpoints',
        findingsOf('Health endpoint', () => probeHealth(...at(input))),
        findingsOf('Reverse proxy', () => probeProxy(...at(input))),
      ),
    inspectResources: (input) =>
      section(
        'Resources',
        findingsOf('Memory and CPU', () => inspectMemoryAndCpu(...at(input))),
        findingsOf('Disk', () => inspectDisks(...at(input))),
      ),
    inspectSecurity: (input) =>
      section(
        'Security',
        findingsOf('Security', () => inspectSecurityFiles(...at(input))),
      ),
    inspectRecentIssues: (input) =>
      section(
        'Recent issues',
        findingsOf('Recent issues', () => inspectIssues(...at(input))),
        findingsOf('Jobs', () => {
          const [host, options] = at(input);
          return inspectJobs(host, (run) => isRunning(client, run), options);
        }),
        findingsOf('Notices', () => inspectNotices(client, mailer, hosts.get(input.host).config.timeZone)),
        findingsOf('Paused runs', () => inspectPausedRuns(client, input.host)),
      ),
    inspectBackups: (input) =>
      section(
        'Backups',
        findingsOf('Backups', () => inspectBackups(...at(input))),
      ),
  };
}
