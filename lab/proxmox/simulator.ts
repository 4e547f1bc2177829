import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { keptCertificate, makeCertificate, type ServerCertificate } from './certificate.ts';
import { createFaults, type Fault, type FaultScope, type Faults } from './faults.ts';
import { removeDumps } from './guests/archives.ts';
import { createRouter } from './router.ts';
import { accessRoutes } from './routes/access.ts';
import { backupJobRoutes } from './routes/backup-jobs.ts';
import { clusterRoutes } from './routes/cluster.ts';
import { downloadRoutes } from './routes/downloads.ts';
import { fileRestoreRoutes } from './routes/file-restore.ts';
import { firewallRoutes } from './routes/firewall.ts';
import { guestRoutes } from './routes/guests.ts';
import { guestAgentRoutes } from './routes/guests-agent.ts';
import { guestConfigRoutes } from './routes/guests-config.ts';
import { guestLifecycleRoutes } from './routes/guests-lifecycle.ts';
import { guestSnapshotRoutes } from './routes/guests-snapshots.ts';
import { haRoutes } from './routes/ha.ts';
import { nodeDiskRoutes } from './routes/node-disks.ts';
import { nodeHardwareRoutes } from './routes/node-hardware.ts';
import { nodeLogRoutes } from './routes/node-logs.ts';
import { nodeNetworkRoutes } from './routes/node-network.ts';
import { nodePackageRoutes } from './routes/node-packages.ts';
import { nodeServiceRoutes } from './routes/node-services.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { poolRoutes } from './routes/pools.ts';
import { replicationRoutes } from './routes/replication.ts';
import { roleRoutes } from './routes/roles.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { statisticsRoutes } from './routes/statistics.ts';
import { storageContentRoutes } from './routes/storage-content.ts';
import { storageRoutes } from './routes/storages.ts';
import { taskRoutes } from './routes/tasks.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { userRoutes } from './routes/users.ts';
import { createListener, type SeenRequest } from './server.ts';
import { nodeSite } from './state/nodes.ts';
import { createState, type SimulatorState, unixTime } from './state.ts';
import { createTaskEngine, type TaskEngine } from './tasks.ts';

export interface SimulatorOptions {
  /** Default 0, which takes a free one. */
  readonly port?: number;
  /** Default 127.0.0.1. Another address of loopback, so that nodes of a cluster can have the same port. */
  readonly address?: string;
  /** What the cluster holds. Default: {@link createState}. */
  readonly state?: SimulatorState;
  /** Another node of a cluster that is simulated already: all is shared but the address and the certificate. */
  readonly memberOf?: { readonly simulator: ProxmoxSimulator; readonly node: string };
  /** Keeps the certificate there, so that its pin survives a restart. Default: a new one each time. */
  readonly certificateFolder?: string;
  /** Secrets of the API tokens by `user!name`, to keep them over a restart. Default: new ones each time. */
  readonly tokenSecrets?: Readonly<Record<string, string>>;
  /** Every 401 waits this long. Default 3000, as the real daemon. */
  readonly authenticationDelayMs?: number;
  /** A request for a node without a route to it waits this long for its 595. Default 3000. */
  readonly unreachableDelayMs?: number;
}

/** An API token of the simulated cluster. */
export interface SimulatorToken {
  readonly user: string;
  readonly name: string;
  readonly secret: string;
}

export interface ProxmoxSimulator {
  /** `https://127.0.0.1:port` */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the certificate served now, `AA:BB:…`. */
  readonly certificateFingerprint: string;
  readonly certificatePem: string;
  readonly caPem: string;
  /** The CA as a file, when there is a `certificateFolder`. */
  readonly caPath: string | undefined;
  /** `full` may everything, `readOnly` may look (PVEAuditor), `limited` has privilege separation and no rights. */
  readonly tokens: {
    readonly full: SimulatorToken;
    readonly readOnly: SimulatorToken;
    readonly limited: SimulatorToken;
  };
  readonly state: SimulatorState;
  readonly tasks: TaskEngine;
  /** TLS connections accepted so far. */
  readonly connections: number;
  /** The last thousand requests, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** Makes something go wrong; the function given back mends it. */
  inject(fault: Fault, scope?: FaultScope): () => void;
  /** Serves a new certificate from now on, as after a renewal; open connections end. */
  replaceCertificate(): Promise<void>;
  /** Refuses connections until {@link ProxmoxSimulator.startListening}. */
  stopListening(): Promise<void>;
  /** Listens again on the same port. */
  startListening(): Promise<void>;
  close(): Promise<void>;
}

/** The faults that the tasks of a cluster look at. */
const faultsOf = new WeakMap<TaskEngine, Faults>();

/**
 * Starts a simulated Proxmox VE 9.1 API on loopback: HTTPS with a certificate of its own CA, API tokens, permissions,
 * tasks, and the answers of a small cluster. What it serves behaves as recorded on PVE 9.1.7.
 */
export async function createProxmoxSimulator(options: SimulatorOptions = {}): Promise<ProxmoxSimulator> {
  const { memberOf } = options;
  const state = memberOf ? { ...memberOf.simulator.state, localNode: memberOf.node } : (options.state ?? createState());
  for (const [id, secret] of Object.entries(options.tokenSecrets ?? {})) {
    const token = state.tokens.get(id);
    if (token) token.secret = secret;
  }
  const address = options.address ?? '127.0.0.1';
  const names = [...new Set([address, '127.0.0.1', '::1', 'localhost', ...state.nodes.keys()])];
  const { certificateFolder } = options;
  const make = () =>
    certificateFolder === undefined
      ? makeCertificate(state.localNode, names)
      : keptCertificate(certificateFolder, state.localNode, names);
  let certificate = await make();
  const faults = createFaults(state, memberOf && faultsOf.get(memberOf.simulator.tasks));
  const tasks = memberOf?.simulator.tasks ?? createTaskEngine(state, faults);
  if (!memberOf) faultsOf.set(tasks, faults);
  if (!options.state && !memberOf) addHistory(state, tasks);
  const requests: SeenRequest[] = [];
  const listener = createListener({
    state,
    tasks,
    faults,
    router: createRouter([
      ...accessRoutes,
      ...backupJobRoutes,
      ...firewallRoutes,
      ...haRoutes,
      ...poolRoutes,
      ...replicationRoutes,
      ...roleRoutes,
      ...signInRoutes,
      ...tokenRoutes,
      ...userRoutes,
      ...nodeRoutes,
      ...nodeDiskRoutes,
      ...nodeHardwareRoutes,
      ...nodeLogRoutes,
      ...nodeNetworkRoutes,
      ...nodePackageRoutes,
      ...nodeServiceRoutes,
      ...statisticsRoutes,
      ...storageRoutes,
      ...storageContentRoutes,
      ...fileRestoreRoutes,
      ...downloadRoutes,
      ...guestRoutes,
      ...guestConfigRoutes,
      ...guestSnapshotRoutes,
      ...guestLifecycleRoutes,
      ...guestAgentRoutes,
      ...taskRoutes,
      ...clusterRoutes,
    ]),
    authenticationDelayMs: options.authenticationDelayMs ?? 3000,
    unreachableDelayMs: options.unreachableDelayMs ?? 3000,
    onRequest: (request) => {
      requests.push(request);
      if (requests.length > 1000) requests.shift();
    },
  });
  const server = createServer({ key: certificate.key, cert: certificate.certificate }, listener);

  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });

  function adopt(next: ServerCertificate): void {
    certificate = next;
    for (const node of state.nodes.values()) {
      // Other nodes have certificates of their own; any well-formed print will do for what nobody connects to.
      if (node.name === state.localNode) {
        node.fingerprint = next.fingerprint;
        const { certificate: own, ca: authority } = next;
        nodeSite(state.nodeSites, node.name, node.ip).certificate = { certificate: own, authority };
      }
      if (node.fingerprint === '') node.fingerprint = [...next.fingerprint].reverse().join('');
    }
  }
  adopt(certificate);

  async function listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return (server.address() as AddressInfo).port;
  }

  async function stopListening(): Promise<void> {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  // Also of those that are deleted later on.
  const firstTokens = new Map(state.tokens);
  const port = await listen(options.port ?? 0);
  return {
    url: `https://${address}:${port}`,
    host: address,
    port,
    get certificateFingerprint() {
      return certificate.fingerprint;
    },
    get certificatePem() {
      return certificate.certificate;
    },
    get caPem() {
      return certificate.ca;
    },
    caPath: certificateFolder === undefined ? undefined : join(certificateFolder, 'pve-root-ca.pem'),
    tokens: {
      get full() {
        return tokenOf(firstTokens, 'mcp@pve!full');
      },
      get readOnly() {
        return tokenOf(firstTokens, 'audit@pve!read');
      },
      get limited() {
        return tokenOf(firstTokens, 'mcp@pve!limited');
      },
    },
    state,
    tasks,
    get connections() {
      return connections;
    },
    requests,
    inject: faults.inject,
    async replaceCertificate() {
      adopt(await makeCertificate(state.localNode, names));
      server.setSecureContext({ key: certificate.key, cert: certificate.certificate });
      server.closeAllConnections();
    },
    stopListening,
    async startListening() {
      await listen(port);
    },
    async close() {
      if (!memberOf) await tasks.close();
      if (!memberOf) removeDumps(state);
      await stopListening();
    },
  };
}

function tokenOf(tokens: SimulatorState['tokens'], id: string): SimulatorToken {
  const token = tokens.get(id);
  if (!token) throw new Error(`the simulated cluster has no API token ${id}`);
  return { user: token.user, name: token.name, secret: token.secret };
}

/** Last night's backups, so that lists of tasks and of archives have something to show. */
function addHistory(state: SimulatorState, tasks: TaskEngine): void {
  const caller = { id: 'root@pam', user: 'root@pam' };
  for (const [index, node] of ['pve1', 'pve2'].entries()) {
    const starttime = unixTime() - 8 * 3600 + index * 600;
    const guests = [...state.guests.values()].filter((guest) => guest.node === node);
    const log = [
      'INFO: starting new backup job: vzdump --all 1 --storage local --mode snapshot --compress zstd',
      ...guests.flatMap(({ vmid, type }) => [
        `INFO: Starting Backup of VM ${vmid} (${type})`,
        `INFO: Finished Backup of VM ${vmid} (00:01:00)`,
      ]),
      'INFO: Backup job finished successfully',
    ];
    tasks.record({ node, type: 'vzdump', id: '', caller, starttime, endtime: starttime + 240, exitstatus: 'OK', log });
    for (const [place, { vmid, type, name, disk }] of guests.entries()) {
      const takenAt = starttime + place * 60;
      const size = Math.floor(disk / 8);
      state.archives.push({ storage: 'local', node, vmid, type, takenAt, size, notes: name });
    }
  }
}
