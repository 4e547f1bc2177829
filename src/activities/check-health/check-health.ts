import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Host, Hosts, RunOptions } from '../../hosts/host.ts';
import type { FindingsSection } from '../../operations/report.ts';
import { isRunning } from '../lib/is-running.ts';
import { lookAtContainers } from './containers.ts';
import { lookAtHealth, lookAtProxy } from './endpoints.ts';
import { look, section } from './finding.ts';
import { lookAtIssues } from './issues.ts';
import { lookAtJobs } from './jobs.ts';
import { lookAtDisk, lookAtMemoryAndCpu } from './resources.ts';
import { lookAtSecurity } from './security.ts';
import { lookAtService } from './service.ts';

export const queue = 'host';

/** Which host to look at. */
export interface HealthInput {
  readonly host: string;
}

/**
 * The sections of the guide's morning health check, in its order. Each only looks, may be run again at any time, and
 * takes a second or two. They throw only when the host itself can't be asked.
 */
export interface HealthActivities {
  inspectService(input: HealthInput): Promise<FindingsSection>;
  inspectContainers(input: HealthInput): Promise<FindingsSection>;
  probeEndpoints(input: HealthInput): Promise<FindingsSection>;
  inspectResources(input: HealthInput): Promise<FindingsSection>;
  inspectSecurity(input: HealthInput): Promise<FindingsSection>;
  inspectRecentIssues(input: HealthInput): Promise<FindingsSection>;
}

export function createHealthActivities({
  hosts,
  client,
}: {
  readonly hosts: Hosts;
  readonly client: Client;
}): HealthActivities {
  const at = (input: HealthInput): [Host, RunOptions] => [
    hosts.get(input.host),
    { signal: Context.current().cancellationSignal },
  ];
  return {
    inspectService: (input) =>
      section(
        'Service',
        look('Service', () => lookAtService(...at(input))),
      ),
    inspectContainers: (input) =>
      section(
        'Containers',
        look('Containers', () => lookAtContainers(...at(input))),
      ),
    probeEndpoints: (input) =>
      section(
        'Health endpoints',
        look('Health endpoint', () => lookAtHealth(...at(input))),
        look('Reverse proxy', () => lookAtProxy(...at(input))),
      ),
    inspectResources: (input) =>
      section(
        'Resources',
        look('Memory and CPU', () => lookAtMemoryAndCpu(...at(input))),
        look('Disk', () => lookAtDisk(...at(input))),
      ),
    inspectSecurity: (input) =>
      section(
        'Security',
        look('Security', () => lookAtSecurity(...at(input))),
      ),
    inspectRecentIssues: (input) =>
      section(
        'Recent issues',
        look('Recent issues', () => lookAtIssues(...at(input))),
        look('Jobs', () => {
          const [host, options] = at(input);
          return lookAtJobs(host, (run) => isRunning(client, run), options);
        }),
      ),
  };
}
