import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Config } from '../../config.ts';
import type { Host, Hosts, RunOptions } from '../../hosts/host.ts';
import { createSeals } from '../../hosts/seals.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { Finding } from '../../operations/finding.ts';
import type { FindingsSection } from '../../operations/report.ts';
import type { SwitchState } from '../../operations/switch.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import { isRunning } from '../lib/is-running.ts';
import { proxmoxReader, type Ways, waysOf } from '../lib/proxmox-reader.ts';
import { inspectBackups } from './backups.ts';
import { inspectChangeControl, inspectChangeSwitch } from './changes.ts';
import { judgeConfiguration } from './configuration.ts';
import { inspectContainers } from './containers.ts';
import { inspectCopies } from './copies.ts';
import { probeHealth, probeProxy } from './endpoints.ts';
import { findingsOf, section } from './finding.ts';
import { inspectGuestBackups } from './guest-backups.ts';
import { inspectGuests } from './guests.ts';
import { inspectIssues } from './issues.ts';
import { inspectJobs } from './jobs.ts';
import { backedUpSince, inspectLastKnown } from './last-known.ts';
import { inspectNotices } from './notices.ts';
import { inspectPausedRuns } from './paused-runs.ts';
import { inspectQuorum, inspectServices, inspectVersion } from './proxmox.ts';
import { type Reached, reachHost } from './reach.ts';
import { inspectDisks, inspectMemoryAndCpu } from './resources.ts';
import { inspectSecurityFiles } from './security.ts';
import { inspectUnit } from './service.ts';
import { inspectStorages } from './storages.ts';
import { inspectFailedUnits, inspectLoad, inspectNode, inspectUpdates } from './system.ts';

export const queue = 'host';

/** Which host to look at. */
export interface HealthInput {
  readonly host: string;
  /** By which ways it answers, as `reachHost` found. Default: those that are configured. */
  readonly ways?: Ways;
  /** Whether there is a Proxmox VE on it. Default: where its API is configured. */
  readonly hasProxmox?: boolean;
  /** Whether our helper does root's part there. Default true. */
  readonly hasHelper?: boolean;
  /** Whether there is an installation. Default: that is asked where something is not as it should be. */
  readonly isInstalled?: boolean;
}

/**
 * The sections of the health check. Each only looks, may be run again at any time, and takes a second or two. They throw
 * only when the host itself can't be asked. What a host never had is skipped with a word.
 */
export interface HealthActivities {
  /** Whether the host is there, by which ways, and what it is. */
  reachHost(input: HealthInput): Promise<Reached>;
  /** The last good backup of a host that can't be asked, as the service knows it. */
  inspectLastKnown(input: HealthInput): Promise<FindingsSection>;
  inspectBackups(input: HealthInput): Promise<FindingsSection>;
  inspectProxmox(input: HealthInput): Promise<FindingsSection>;
  inspectStorages(input: HealthInput): Promise<FindingsSection>;
  inspectGuests(input: HealthInput): Promise<FindingsSection>;
  /** The section `System`; in a run of an earlier version it stands for its Resources. */
  inspectResources(input: HealthInput): Promise<FindingsSection>;
  inspectService(input: HealthInput): Promise<FindingsSection>;
  inspectContainers(input: HealthInput): Promise<FindingsSection>;
  probeEndpoints(input: HealthInput): Promise<FindingsSection>;
  inspectSecurity(input: HealthInput): Promise<FindingsSection>;
  inspectRecentIssues(input: HealthInput): Promise<FindingsSection>;
  /**
   * What of the service itself needs a person, so it is told of a host that is away, too; of one that is said to answer to
   * commands (`ways`) also whether changes are stopped there, and who may sign.
   */
  inspectAutomation(input: HealthInput): Promise<FindingsSection>;
}

export function createHealthActivities(dependencies: {
  readonly hosts: Hosts;
  readonly proxmox: ProxmoxApis;
  readonly client: Client;
  readonly mailer?: Mailer | undefined;
  /** Keys of the configuration that have changed since this process read them. Default: none. */
  readonly changedKeys?: () => readonly string[];
  /** Where the keys with which hosts seal manifests are known, and where copies lie. Default: neither is looked at. */
  readonly config?: Pick<Config, 'dataDir'> & Partial<Pick<Config, 'copies'>>;
  /** The kill switch. Default: nobody looks. */
  readonly changeSwitch?: () => Promise<SwitchState>;
}): HealthActivities {
  const { hosts, proxmox, client, mailer, changedKeys = () => [], changeSwitch, config } = dependencies;
  const seals = config && createSeals(config);
  const options = (): RunOptions => ({ signal: Context.current().cancellationSignal });
  const at = (input: HealthInput): [Host, RunOptions] => [hosts.get(input.host), options()];
  const waysTo = ({ host, ways }: HealthInput) => ways ?? waysOf(proxmox, host);
  const timeZoneOf = (host: string) => proxmox.hosts.find(({ name }) => name === host)?.timeZone ?? 'UTC';
  const readerOf = (input: HealthInput): ProxmoxReader | undefined => {
    const ways = waysTo(input);
    const { hasProxmox = waysOf(proxmox, input.host).api } = input;
    return hasProxmox ? proxmoxReader(dependencies, input.host, ways, options()) : undefined;
  };
  /** Looks at the node, or nothing where there is no Proxmox VE: then the section isn't asked for. */
  const ofNode = (
    input: HealthInput,
    check: string,
    look: (reader: ProxmoxReader) => Promise<Finding | readonly Finding[]>,
  ): Promise<Finding[]> => {
    const reader = readerOf(input);
    return reader === undefined ? Promise.resolve([]) : findingsOf(check, () => look(reader));
  };
  /** Looks by commands, where the host answers to them. */
  const byCommands = (
    input: HealthInput,
    check: string,
    look: (host: Host, options: RunOptions) => Promise<Finding | readonly Finding[]>,
  ): Promise<Finding[]> => (waysTo(input).commands ? findingsOf(check, () => look(...at(input))) : Promise.resolve([]));

  return {
    reachHost: ({ host }) => reachHost(dependencies, host, options()),
    inspectLastKnown: async ({ host }) =>
      backupSection(Promise.resolve([await inspectLastKnown(client, host, timeZoneOf(host))])),
    inspectBackups: (input) =>
      backupSection(
        input.hasHelper === false
          ? Promise.resolve([])
          : byCommands(input, 'Backups', (host, given) =>
              inspectBackups(host, { ...given, seals, knownSince: () => backedUpSince(client, input.host) }),
            ),
        byCommands(input, 'Copies off the host', async ({ config: host }) =>
          config?.copies === undefined ? [] : inspectCopies(host, config.copies.folder, new Date()),
        ),
        ofNode(input, 'Backups of guests', (reader) => inspectGuestBackups(reader, timeZoneOf(input.host))),
      ),
    inspectProxmox: (input) =>
      section(
        'Proxmox VE',
        ofNode(input, 'Version', inspectVersion),
        ofNode(input, 'Services', inspectServices),
        ofNode(input, 'Quorum', inspectQuorum),
      ),
    inspectStorages: (input) => section('Storage', ofNode(input, 'Storages', inspectStorages)),
    inspectGuests: (input) => section('Guests', ofNode(input, 'Guests', inspectGuests)),
    inspectResources: (input) =>
      waysTo(input).commands
        ? section(
            'System',
            byCommands(input, 'Failed units', inspectFailedUnits),
            byCommands(input, 'Memory and CPU', inspectMemoryAndCpu),
            byCommands(input, 'Load', inspectLoad),
            byCommands(input, 'Disk', inspectDisks),
            byCommands(input, 'Updates', inspectUpdates),
          )
        : section('System', ofNode(input, 'Node', inspectNode)),
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
    inspectSecurity: (input) =>
      section(
        'Security',
        findingsOf('Security', () => inspectSecurityFiles(...at(input), input.isInstalled)),
      ),
    inspectRecentIssues: (input) =>
      section(
        'Recent issues',
        findingsOf('Recent issues', () => inspectIssues(...at(input))),
        findingsOf('Jobs', () => {
          const [host, given] = at(input);
          return inspectJobs(host, (run) => isRunning(client, run), given);
        }),
      ),
    inspectAutomation: (input) =>
      section(
        'Automation',
        changeSwitch === undefined
          ? Promise.resolve([])
          : findingsOf('Kill switch', () => inspectChangeSwitch(changeSwitch, timeZoneOf(input.host))),
        input.ways?.commands === true && input.hasHelper !== false
          ? findingsOf('Changes', () => inspectChangeControl(...at(input)))
          : Promise.resolve([]),
        findingsOf('Paused runs', () => inspectPausedRuns(client, input.host)),
        findingsOf('Notices', () => inspectNotices(client, mailer, timeZoneOf(input.host))),
        findingsOf('Configuration', async () => judgeConfiguration(changedKeys())),
      ),
  };
}

/** How old the last good backups are is told each morning, also where all is well. */
async function backupSection(...looks: readonly Promise<Finding[]>[]): Promise<FindingsSection> {
  return { ...(await section('Backups', ...looks)), unfolded: true };
}
