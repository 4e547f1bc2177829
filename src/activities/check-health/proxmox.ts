import type { Finding } from '../../operations/finding.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import type { ProxmoxClusterStatus, ProxmoxService } from '../../proxmox/schemas.ts';
import { cleanLine } from '../../reports/clean.ts';
import { finding } from './finding.ts';

/** The version that runs. */
export async function inspectVersion(reader: ProxmoxReader): Promise<Finding> {
  const { version } = await reader.read('version');
  return finding('Version', 'ok', `Proxmox VE ${cleanLine(version, 40)} runs.`);
}

/** What each service is for, in the words of who misses it; without it, what fails. */
const services = [
  ['pve-cluster', 'the configuration in /etc/pve'],
  ['pvedaemon', 'every change'],
  ['pveproxy', 'the web interface and the API'],
  ['pvestatd', 'the state and the figures of guests and storages'],
  ['pvescheduler', 'scheduled backups and replication'],
] as const;

export async function inspectServices(reader: ProxmoxReader): Promise<readonly Finding[]> {
  return judgeServices(await reader.read('services'));
}

/** One line where all run. corosync counts only where there is a cluster: elsewhere nobody has set it up. */
export function judgeServices(list: readonly ProxmoxService[]): readonly Finding[] {
  const known = new Map(list.map((one) => [one.service, one]));
  const stateOf = (name: string) => {
    const { 'active-state': active, state, 'unit-state': unit } = known.get(name) ?? { state: '' };
    if (!known.has(name) || unit === 'not-found') return undefined;
    // Before version 8 only the SubState is told.
    return active ?? (state === 'running' ? 'active' : state);
  };
  const expected = services.filter(([name]) => name !== 'pvescheduler' || stateOf(name) !== undefined);
  const wrong = expected.flatMap(([name, what]) => judgeService(name, what, stateOf(name)));
  const corosync = stateOf('corosync');
  const cluster = corosync === 'failed' ? judgeService('corosync', "the cluster's communication", corosync) : [];
  const found = [...wrong, ...cluster];
  if (found.length > 0) return found;
  return [finding('Services', 'ok', `${expected.map(([name]) => name).join(', ')} run.`)];
}

function judgeService(name: string, what: string, state: string | undefined): readonly Finding[] {
  const remedy = `Run on the host: systemctl status ${name}; journalctl -u ${name} -n 50; then systemctl restart ${name}`;
  if (state === 'active') return [];
  if (state === undefined) return [finding(name, 'failed', `${name} is not there: without it ${what} is missing.`)];
  const shown = cleanLine(state, 40);
  if (['activating', 'deactivating', 'reloading', 'refreshing'].includes(state)) {
    return [finding(name, 'warning', `${name} is ${shown}.`, { remedy })];
  }
  const summary = `${name} ${state === 'failed' ? 'has failed' : `is ${shown || 'in no known state'}`}: without it ${what} is missing.`;
  return [finding(name, 'failed', summary, { remedy })];
}

export async function inspectQuorum(reader: ProxmoxReader): Promise<readonly Finding[]> {
  const [members, list] = await Promise.all([reader.read('cluster'), reader.read('services')]);
  return judgeQuorum(members, list);
}

/** Whether the cluster may change anything, and who of it is away. A node by itself has no cluster, which is nothing wrong. */
export function judgeQuorum(
  members: readonly ProxmoxClusterStatus[],
  list: readonly ProxmoxService[],
): readonly Finding[] {
  const cluster = members.find((entry) => entry.type === 'cluster');
  if (cluster === undefined) return [finding('Cluster', 'skipped', 'This node is in no cluster.')];
  const name = cleanLine(cluster.name, 60);
  const away = members.flatMap((entry) => (entry.type === 'node' && !entry.online ? [cleanLine(entry.name, 63)] : []));
  const corosync = list.find(({ service }) => service === 'corosync');
  const isActive = corosync === undefined || (corosync['active-state'] ?? 'active') === 'active';
  return [
    ...(isActive
      ? []
      : [
          finding('corosync', 'failed', `corosync doesn't run, so this node has left the cluster ${name}.`, {
            remedy: 'Run on the host: systemctl status corosync; journalctl -u corosync -n 50',
          }),
        ]),
    cluster.quorate
      ? finding('Quorum', 'ok', `The cluster ${name} has quorum.`)
      : finding('Quorum', 'failed', `The cluster ${name} has no quorum: nothing can be changed or started.`, {
          remedy: 'Bring the other nodes back; see on the host: pvecm status',
        }),
    ...(away.length === 0
      ? []
      : [
          finding(
            'Nodes',
            'warning',
            `${away.length === 1 ? 'This node of the cluster is' : 'These nodes of the cluster are'} away: ${away.slice(0, 10).join(', ')}.`,
            {
              remedy: 'Look at them and at the network between; see on the host: pvecm status',
            },
          ),
        ]),
  ];
}
